"""Join holes to their outline: one outline that says the same to programs without holes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.annotations.model import signed_area

Points = NDArray[np.float64]
# Edges compared with the lines of holes at once.
_CHUNK = 2_000_000


def join_holes(outline: Points, holes: Sequence[Points]) -> Points:
    """Cut holes into an outline along horizontal lines of no width.

    From the leftmost point of each hole a line runs to the left until it meets the outline or
    another hole; it is walked there and back, and the hole against the outline's direction. A
    horizontal line lies between rows of pixels or covers both ways alike, so a mask shows no trace
    of it. Holes must not cross the outline or one another.

    Args:
        outline: (n, 2), x and y.
        holes: each (m, 2). One that lies outside the outline is left out: it cuts nothing.

    Returns:
        (k, 2), k = n plus the points of each hole and three for its cut.
    """
    outline = np.asarray(outline, dtype=np.float64)
    clockwise = signed_area(outline) > 0
    turned = [_from_the_left(np.asarray(h, np.float64), not clockwise) for h in holes if len(h) > 2]
    # From left to right, so that each meets the outline or one before it.
    rings = [outline, *sorted(turned, key=lambda ring: (ring[0, 0], ring[0, 1]))]
    met, x = _first_to_the_left(rings)
    feet = [np.array([[at, ring[0, 1]]]) for at, ring in zip(x, rings, strict=True)]
    return _walked(rings, met, feet)


def _from_the_left(hole: Points, clockwise: bool) -> Points:
    """A hole in the given direction, its leftmost point (the upper one of several) first."""
    if (signed_area(hole) > 0) != clockwise:
        hole = hole[::-1]
    return np.roll(hole, -int(np.lexsort((hole[:, 1], hole[:, 0]))[0]), axis=0)


def _first_to_the_left(rings: list[Points]) -> tuple[list[tuple[int, int]], Points]:
    """What the line from the first point of each ring to the left meets first.

    Args:
        rings: in the order in which they may be met: each by those after it only.

    Returns:
        Ring and edge (by its first point) for each ring, (-1, -1) where nothing is met, and at
        which x.
    """
    start = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    lengths = np.array([len(ring) for ring in rings])
    owner = np.repeat(np.arange(len(rings)), lengths)
    anchor = np.array([ring[0] for ring in rings])
    by_height = np.argsort(anchor[:, 1], kind="stable")
    height = anchor[by_height, 1]
    # Each edge with the lines that it meets: those from its upper end on, above its lower end.
    first = np.searchsorted(height, np.minimum(start[:, 1], end[:, 1]))
    count = np.searchsorted(height, np.maximum(start[:, 1], end[:, 1])) - first
    nearest = np.full(len(rings), -np.inf)
    edge_of = np.full(len(rings), -1)
    total = np.cumsum(count)
    done = 0
    while done < len(count):
        limit = (total[done - 1] if done else 0) + _CHUNK
        stop = max(int(np.searchsorted(total, limit, side="right")), done + 1)
        part = count[done:stop]
        edge = np.repeat(np.arange(done, stop), part)
        step = np.arange(len(edge)) - np.repeat(np.cumsum(part) - part, part)
        line = by_height[np.repeat(first[done:stop], part) + step]
        (ax, ay), (bx, by) = start[edge].T, end[edge].T
        x = ax + (anchor[line, 1] - ay) * (bx - ax) / (by - ay)
        kept = np.flatnonzero((owner[edge] < line) & (x <= anchor[line, 0]) & (x > nearest[line]))
        kept = kept[np.argsort(x[kept], kind="stable")]  # the last write to a line is its nearest
        nearest[line[kept]], edge_of[line[kept]] = x[kept], edge[kept]
        done = stop
    begin = np.cumsum(lengths) - lengths
    met = [(int(owner[e]), int(e - begin[owner[e]])) if e >= 0 else (-1, -1) for e in edge_of]
    return met, nearest


def _walked(rings: list[Points], met: list[tuple[int, int]], feet: list[Points]) -> Points:
    """Walk the first ring, and each other one from where its line meets the way."""
    hanging: list[list[tuple[int, float, int]]] = [[] for _ in rings]
    for ring, (other, edge) in enumerate(met):
        if other >= 0:
            along = np.abs(feet[ring][0] - rings[other][edge]).sum()
            hanging[other].append((edge, float(along), ring))
    for places in hanging:
        places.sort()
    pieces = []
    walks = [(0, 0, 0)]  # ring, next one to turn off to, next point
    while walks:
        ring, turn, point = walks.pop()
        if turn < len(hanging[ring]):
            edge, _, other = hanging[ring][turn]
            pieces += [rings[ring][point : edge + 1], feet[other]]
            walks += [(ring, turn + 1, edge + 1), (other, 0, 0)]
        else:
            pieces.append(rings[ring][point:])
            if ring:  # back along the line
                pieces += [rings[ring][:1], feet[ring]]
    return np.concatenate(pieces)
