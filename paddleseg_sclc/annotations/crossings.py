"""Where an outline crosses itself."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Pairs of edges compared at once, and in all: an outline made to be slow is left unfinished.
_CHUNK = 2_000_000
MAX_PAIRS = 200_000_000


@dataclass(frozen=True)
class Crossing:
    """Two edges of an outline that cross.

    Attributes:
        first: index of the point that the earlier edge starts from.
        second: the same of the later edge.
        x: where, in the outline's frame.
        y: where.
    """

    first: int
    second: int
    x: float
    y: float


def crossings(points: NDArray[np.float64], limit: int = 1000) -> list[Crossing]:
    """Find pairs of edges of a closed outline that cross within both (touching does not count).

    Args:
        points: (n, 2).
        limit: stop after so many.

    Returns:
        Crossings ordered by their first edge; incomplete beyond MAX_PAIRS comparisons.
    """
    if len(points) < 4:
        return []
    start, end = points, np.roll(points, -1, axis=0)
    low, high = np.minimum(start, end), np.maximum(start, end)
    order = np.argsort(low[:, 0], kind="stable")
    x_low = low[order, 0]
    # Edge k of the order meets in x those after it that begin before it ends.
    reach = np.searchsorted(x_low, high[order, 0], side="right") - np.arange(len(order)) - 1
    found: list[tuple[int, int]] = []
    total = np.cumsum(np.minimum(reach, MAX_PAIRS))
    first = 0
    while first < len(order) and len(found) < limit and total[first] <= MAX_PAIRS:
        done = total[first] - reach[first]
        last = max(int(np.searchsorted(total, done + _CHUNK, side="right")), first + 1)
        count = reach[first:last]
        left = np.repeat(np.arange(first, last), count)
        right = left + 1 + np.arange(len(left)) - np.repeat(np.cumsum(count) - count, count)
        i, j = order[left], order[right]
        near = (low[i, 1] <= high[j, 1]) & (low[j, 1] <= high[i, 1])
        i, j = i[near], j[near]
        cross = _opposite(start[i], end[i], start[j], end[j])
        cross &= _opposite(start[j], end[j], start[i], end[i])
        found += zip(i[cross].tolist(), j[cross].tolist(), strict=True)
        first = last
    pairs = sorted((min(pair), max(pair)) for pair in found)[:limit]
    return [Crossing(i, j, *_meeting(start[i], end[i], start[j], end[j])) for i, j in pairs]


def _opposite(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    c: NDArray[np.float64],
    d: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Whether c and d lie strictly on opposite sides of the line through a and b."""
    side_c, side_d = _side(a, b, c), _side(a, b, d)
    return ((side_c > 0) & (side_d < 0)) | ((side_c < 0) & (side_d > 0))


def _side(
    a: NDArray[np.float64], b: NDArray[np.float64], p: NDArray[np.float64]
) -> NDArray[np.float64]:
    (abx, aby), (apx, apy) = (b - a).T, (p - a).T
    return abx * apy - aby * apx


def _meeting(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    c: NDArray[np.float64],
    d: NDArray[np.float64],
) -> tuple[float, float]:
    along, other = b - a, d - c
    part = ((c - a)[0] * other[1] - (c - a)[1] * other[0]) / (
        along[0] * other[1] - along[1] * other[0]
    )
    x, y = a + part * along
    return float(x), float(y)
