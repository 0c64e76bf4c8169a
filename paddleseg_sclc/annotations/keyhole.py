"""Join holes to their outline: one outline that says the same to programs without holes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.annotations.model import signed_area


def join_holes(
    outline: NDArray[np.float64], holes: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Cut holes into an outline along horizontal lines of no width.

    From the leftmost point of each hole a line runs to the left until it meets the outline, or a
    hole joined before; it is walked there and back, and the hole against the outline's direction.
    A horizontal line lies between rows of pixels or covers both ways alike, so a mask shows no
    trace of it. Holes must not cross the outline or one another.

    Args:
        outline: (n, 2), x and y.
        holes: each (m, 2). One that lies outside the outline is left out: it cuts nothing.

    Returns:
        (k, 2), k = n plus the points of each hole and three for its cut.
    """
    ring = np.asarray(outline, dtype=np.float64)
    clockwise = signed_area(ring) > 0
    for hole in sorted(
        (np.asarray(h, np.float64) for h in holes if len(h) >= 3), key=lambda h: h[:, 0].min()
    ):
        start = np.lexsort((hole[:, 1], hole[:, 0]))[0]
        path = np.roll(hole, -start, axis=0)
        if (signed_area(path) > 0) == clockwise:
            path = np.roll(path[::-1], 1, axis=0)
        edge, x = _first_to_the_left(ring, path[0])
        if edge < 0:
            continue
        foot = np.array([[x, path[0, 1]]])
        ring = np.concatenate([ring[: edge + 1], foot, path, path[:1], foot, ring[edge + 1 :]])
    return ring


def _first_to_the_left(ring: NDArray[np.float64], point: NDArray[np.float64]) -> tuple[int, float]:
    """The edge, by its first point, that a line from `point` to the left meets, and where."""
    x, y = point
    ax, ay = ring.T
    bx, by = np.roll(ring, -1, axis=0).T
    crossed = np.flatnonzero((np.minimum(ay, by) <= y) & (y < np.maximum(ay, by)))
    ax, ay, bx, by = ax[crossed], ay[crossed], bx[crossed], by[crossed]
    at = ax + (y - ay) * (bx - ax) / (by - ay)
    left = np.flatnonzero(at <= x)
    if not len(left):
        return -1, 0.0
    nearest = left[np.argmax(at[left])]
    return int(crossed[nearest]), float(at[nearest])
