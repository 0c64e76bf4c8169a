"""The outlines of a mask's regions, along the edges of its pixels.

Every pixel that is set lies within exactly one outline and in none of its holes: nothing is lost.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paddleseg_sclc.annotations.model import signed_area

Ints = NDArray[np.int64]
_BAND = 1024


@dataclass(frozen=True)
class Region:
    """Pixels that hang together by their sides.

    Attributes:
        outline: (n, 2) columns and rows of pixel corners, clockwise on the screen, turning at
            each point. It touches neither itself nor a hole but at single points.
        holes: the same, counter-clockwise.
        pixels: how many are set.
    """

    outline: NDArray[np.float64]
    holes: tuple[NDArray[np.float64], ...]
    pixels: int


def trace(mask: NDArray[np.bool_]) -> list[Region]:
    """Outline the regions of a mask, in the order of their first pixels.

    Args:
        mask: (H, W) bool; not changed.

    Returns:
        One region a part that hangs together by sides (4-neighbours). Parts that meet at a corner
        are separate; so are holes.
    """
    row, column, leading = _corners(mask)
    if not len(row):
        return []
    parts, _ = ndimage.label(mask)
    pixels = np.bincount(parts.ravel())
    outlines: dict[int, NDArray[np.float64]] = {}
    holes: dict[int, list[NDArray[np.float64]]] = {}
    for ring, inside in _rings(row, column, leading, mask):
        part = int(parts[inside])
        for loop in _simple_loops(ring):
            if signed_area(loop) > 0:
                outlines[part] = loop
            else:
                holes.setdefault(part, []).append(loop)
    return [
        Region(outline, tuple(holes.get(part, ())), int(pixels[part]))
        for part, outline in sorted(outlines.items())
    ]


def _corners(mask: NDArray[np.bool_]) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Where outlines turn, ordered by row and column.

    Where two pixels meet at a corner only, two outlines turn: the corner comes twice, first for the
    horizontal edge to its left, then for the one to its right.

    Returns:
        Row, column, and whether the corner's vertical edge leads upwards from it.
    """
    height, width = mask.shape
    rows, columns, up = list[Ints](), list[Ints](), list[NDArray[np.bool_]]()
    for top in range(0, height + 1, _BAND):
        bottom = min(top + _BAND, height + 1)
        part = np.zeros((bottom - top + 1, width + 2), bool)
        first, last = max(top - 1, 0), min(bottom, height)
        part[first - top + 1 : last - top + 1, 1:-1] = mask[first:last]
        nw, ne, sw, se = part[:-1, :-1], part[:-1, 1:], part[1:, :-1], part[1:, 1:]
        turns = nw ^ ne ^ sw ^ se
        saddle = (nw == se) & (nw != ne) & (ne == sw)
        at = np.flatnonzero(turns | saddle)
        at = np.repeat(at, 1 + saddle.ravel()[at])
        second = np.diff(at, prepend=-1) == 0
        doubled = saddle.ravel()[at]
        # Set pixels at NW and SE: the left edge goes with the upper one; at NE and SW, the right.
        upper = np.where(doubled, nw.ravel()[at] != second, nw.ravel()[at] != ne.ravel()[at])
        row, column = np.divmod(at, width + 1)
        rows.append(row + top)
        columns.append(column)
        up.append(upper)
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(up)


def _rings(
    row: Ints, column: Ints, up: NDArray[np.bool_], mask: NDArray[np.bool_]
) -> "list[tuple[NDArray[np.float64], tuple[int, int]]]":
    """Closed chains of corners, each with a pixel (row, column) on its inner side.

    In a row, corners pair up to the ends of horizontal edges; in a column, to those of vertical
    ones. Set pixels lie to the right of the way.
    """
    left, right = np.arange(0, len(row), 2), np.arange(1, len(row), 2)
    below = np.zeros(len(left), bool)  # whether the set pixels lie below the edge
    inner = row[left] < mask.shape[0]
    below[inner] = mask[row[left][inner], column[left][inner]]
    start, end = np.where(below, left, right), np.where(below, right, left)
    by_column = np.lexsort((~up, row, column))
    across = np.empty(len(row), np.int64)
    across[by_column[0::2]], across[by_column[1::2]] = by_column[1::2], by_column[0::2]
    following = (across[end] // 2).tolist()

    rings = []
    seen = bytearray(len(start))
    for edge in range(len(start)):
        if seen[edge]:
            continue
        chain = []
        step = edge
        while not seen[step]:
            seen[step] = 1
            chain.append(step)
            step = following[step]
        at = np.stack([start[chain], end[chain]], axis=1).ravel()
        ring = np.stack([column[at], row[at]], axis=1).astype(np.float64)
        x, y = int(column[left[edge]]), int(row[left[edge]])
        rings.append((ring, (y, x) if below[edge] else (y - 1, x)))
    return rings


def _simple_loops(ring: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Take a closed chain apart where it comes back to a point."""
    if len(np.unique(ring, axis=0)) == len(ring):
        return [ring]
    loops = []
    path: list[tuple[float, float]] = []
    place: dict[tuple[float, float], int] = {}
    for point in map(tuple, ring.tolist()):
        if point in place:
            first = place[point]
            loops.append(np.array(path[first:]))
            for passed in path[first + 1 :]:
                del place[passed]
            del path[first + 1 :]
        else:
            place[point] = len(path)
            path.append(point)
    return [*loops, np.array(path)]
