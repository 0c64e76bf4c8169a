"""From outlines to spans: the runs of pixels in each row that lie within an outline.

Two rules say which pixels those are.

`asap`, as ASAP's mask conversion does it, to the bit: the outline in float32, tested at a level-0
pixel's upper left corner (x, y) by its winding number. An edge from A to B counts in the rows with
`min(Ay, By) <= y < max(Ay, By)`, for the corners where
`(Bx - Ax) * (Ay - y) - (x - Ax) * (Ay - By)`, each operation rounded to float32 and the result
truncated to an integer, is > 0 (edge with By > Ay, winding + 1) or < 0 (By < Ay, winding - 1).
Only corners strictly inside the outline's bounding box belong to it.

`centre`: the outline in float64, tested at a pixel's centre, by winding number or even-odd. An edge
counts in the same rows, for centres at or to the right of where it crosses the row:
`ax + (y - ay) * (bx - ax) / (by - ay)` from its upper end a to its lower end b, kept within both.
So two outlines that share an edge share no pixel and leave none out.

Both are the same search: along a row, each edge changes the winding number at one column, and from
there on, because rounding is monotonic. All edges and rows of a band are searched at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.annotations.grid import Grid

Rule = Literal["asap", "centre"]
Winding = Literal["nonzero", "evenodd"]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Spans:
    """Runs of pixels: columns `start` to before `end` of `row` lie in outline `ring`.

    Attributes:
        ring: (n,) index of the outline.
        row: (n,) of the grid.
        start: (n,) first column.
        end: (n,) column after the last one, > start.
    """

    ring: Ints
    row: Ints
    start: Ints
    end: Ints


class Scanner:
    """Closed outlines laid over a grid, ready to be cut into spans.

    Args:
        rings: outlines, each (n, 2), x and y in level-0 pixels.
        grid: the mask's pixels.
        rule: `asap` or `centre`.
        winding: `nonzero` or `evenodd` (for `centre` only).
    """

    def __init__(
        self, rings: Sequence[NDArray[np.float64]], grid: Grid, rule: Rule, winding: Winding
    ) -> None:
        self._asap, self._evenodd, self._width = rule == "asap", winding == "evenodd", grid.width
        self._x: NDArray[Any] = grid.x_centres()
        self._y: NDArray[Any] = grid.y_centres()
        if self._asap:
            self._x = grid.x_corners().astype(np.float32)
            self._y = grid.y_corners().astype(np.float32)
        outlines = [np.asarray(ring).astype(self._x.dtype) for ring in rings]
        x0, x1, y0, y1 = self._boxes(outlines)
        self._column_box = x0, x1
        kept = np.flatnonzero((x0 < x1) & (y0 < y1))
        self._set_edges([outlines[index] for index in kept], kept, y0, y1)

    def _boxes(self, rings: list[NDArray[Any]]) -> tuple[Ints, Ints, Ints, Ints]:
        """First and last (exclusive) column and row within each outline's bounding box."""
        corners = (
            np.array([(*r.min(axis=0), *r.max(axis=0)) if len(r) else (1, 1, 0, 0) for r in rings])
            .reshape(-1, 4)
            .astype(self._x.dtype)
        )
        # Strictly inside for asap. A centre on the left or upper edge belongs to the outline.
        first: Literal["left", "right"] = "right" if self._asap else "left"
        return (
            np.searchsorted(self._x, corners[:, 0], first),
            np.searchsorted(self._x, corners[:, 2], "left"),
            np.searchsorted(self._y, corners[:, 1], first),
            np.searchsorted(self._y, corners[:, 3], "left"),
        )

    def _set_edges(self, rings: list[NDArray[Any]], index: Ints, first: Ints, last: Ints) -> None:
        lengths = [len(ring) for ring in rings]
        start: NDArray[Any] = np.concatenate([np.empty((0, 2), self._x.dtype), *rings])
        end: NDArray[Any] = np.concatenate([start[:0], *(np.roll(r, -1, axis=0) for r in rings)])
        ring = np.repeat(index, lengths)
        ay, by = start[:, 1], end[:, 1]
        row0 = np.maximum(np.searchsorted(self._y, np.minimum(ay, by)), first[ring])
        row1 = np.minimum(np.searchsorted(self._y, np.maximum(ay, by)), last[ring])
        used = np.flatnonzero(row0 < row1)
        self._ring, self._row0, self._row1 = ring[used], row0[used], row1[used]
        self._down = by[used] > ay[used]
        start, end = start[used], end[used]
        if not self._asap:
            down = self._down[:, None]
            start, end = np.where(down, start, end), np.where(down, end, start)
        self._a, self._b = start.T.copy(), end.T.copy()

    def spans(self, rows: tuple[int, int], columns: tuple[int, int]) -> Spans:
        """The spans in `rows`, clipped to `columns`, each from a first to before a last.

        They are ordered by outline, row and column, and do not overlap within an outline.
        """
        edge, row = self._edges_by_row(*rows)
        ring = self._ring[edge]
        column = self._first_columns(edge, row)
        low = np.maximum(self._column_box[0], columns[0])[ring]
        high = np.minimum(self._column_box[1], columns[1])[ring]
        column = np.clip(column, low, np.maximum(low, high))

        # One integer holds outline, row, column and direction: sorting it sorts all at once.
        height, width = rows[1] - rows[0], self._width + 1
        line = ring * height + (row - rows[0])
        key = np.sort((line * width + column) * 2 + self._down[edge])
        line, column = np.divmod(key >> 1, width)
        winding = _summed_by_line((key & 1) * 2 - 1, line)
        ring = line // height
        end = np.minimum(self._column_box[1], columns[1])[ring]
        follows = line[:-1] == line[1:]
        end[:-1][follows] = column[1:][follows]
        inside = (winding & 1 if self._evenodd else winding) != 0
        kept = inside & (column < end)
        return Spans(ring[kept], line[kept] % height + rows[0], column[kept], end[kept])

    def crossings(self, row0: int, row1: int) -> int:
        """How many times edges meet rows from `row0` to before `row1`: what `spans` works on."""
        meets = np.minimum(self._row1, row1) - np.maximum(self._row0, row0)
        return int(meets.clip(min=0).sum())

    def _edges_by_row(self, row0: int, row1: int) -> tuple[Ints, Ints]:
        """Each pair of an edge and a row from `row0` to before `row1` in which it counts."""
        active = np.flatnonzero((self._row0 < row1) & (self._row1 > row0))
        first = np.maximum(self._row0[active], row0)
        count = np.minimum(self._row1[active], row1) - first
        step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        return np.repeat(active, count), np.repeat(first, count) + step

    def _first_columns(self, edge: Ints, row: Ints) -> Ints:
        """The first column of `row` that counts `edge`; the grid's width if there is none."""
        ax, ay = self._a[:, edge]
        bx, by = self._b[:, edge]
        y = self._y[row]
        if not self._asap:
            crossing = ax + (y - ay) * (bx - ax) / (by - ay)
            return np.searchsorted(
                self._x, np.clip(crossing, np.minimum(ax, bx), np.maximum(ax, bx))
            )
        across, rise = (bx - ax) * (ay - y), ay - by
        sign = np.where(self._down[edge], 1, -1).astype(np.float32)

        def counts(column: Ints, some: Ints | slice) -> NDArray[np.bool_]:
            cross = across[some] - (self._x[column] - ax[some]) * rise[some]
            return cross * sign[some] >= 1

        estimate = ax + (1.0 - np.float64(sign) * across) / np.abs(np.float64(rise))
        return _settle(np.searchsorted(self._x, estimate), self._width, counts)


def _summed_by_line(values: Ints, line: Ints) -> Ints:
    """Running sums of `values` that start anew with each line; lines stand together."""
    sums = np.cumsum(values)
    first = np.flatnonzero(np.diff(line, prepend=-1))
    before = sums[first] - values[first]
    return sums - np.repeat(before, np.diff(first, append=len(line)))


def _settle(
    guess: Ints, width: int, counts: Callable[[Ints, Ints | slice], NDArray[np.bool_]]
) -> Ints:
    """The first column in [0, width] for which `counts` holds, near `guess` where that is right.

    Args:
        guess: (n,) columns; changed.
        width: columns in all; the answer where none counts.
        counts: of columns and the indices they belong to; once true it stays so to the right.
    """
    everywhere = slice(None)
    here = (guess == width) | counts(np.minimum(guess, width - 1), everywhere)
    before = (guess > 0) & counts(np.maximum(guess - 1, 0), everywhere)
    wrong = np.flatnonzero(~here | before)
    low, high = np.zeros(len(wrong), np.int64), np.full(len(wrong), width)
    while (low < high).any():
        middle = np.minimum((low + high) // 2, width - 1)
        hit = counts(middle, wrong)
        high = np.where(hit, middle, high)
        low = np.where(hit, low, np.minimum(middle + 1, high))
    guess[wrong] = low
    return guess
