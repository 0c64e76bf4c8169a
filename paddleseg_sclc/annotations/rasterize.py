"""From annotations to masks: any region, at any downsample, band by band.

See `scanline.py` for the two rules that say which pixels lie within an outline.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.labels import LabelMap, drawing_order
from paddleseg_sclc.annotations.model import Annotation, AnnotationSet
from paddleseg_sclc.annotations.scanline import Ints, Rule, Scanner, Spans, Winding

# Rows that are worked on at once, and places where an edge meets a row: they bound memory,
# whatever the size of the mask and however many outlines there are.
BAND = 512
MAX_CROSSINGS = 2_000_000


def rasterize(
    annotations: AnnotationSet,
    grid: Grid,
    labels: LabelMap | None = None,
    rule: Rule = "asap",
    winding: Winding = "nonzero",
) -> NDArray[np.uint8]:
    """Draw annotations into a mask.

    Args:
        annotations: what to draw. Under `asap` everything but dots and lines is filled, point sets
            and measurements too, as the polygon of its points; under `centre` polygons,
            rectangles and splines (as the polygon of their control points) are. Holes are cut out.
        grid: the mask's pixels and where they lie on level 0.
        labels: values and order; None for the paper's: `Annotation Group 0` is 255 where it is in
            use, else every annotation is.
        rule: `asap` or `centre`.
        winding: `nonzero`, or `evenodd` for the `centre` rule.

    Returns:
        (grid.height, grid.width) uint8, 0 where nothing is drawn.

    Raises:
        ValueError: an unknown rule, or even-odd with `asap`.
    """
    raster = MaskRaster(annotations, grid, labels, rule, winding)
    return raster.window(0, 0, grid.width, grid.height)


class MaskRaster:
    """Annotations laid over a grid once, to draw many windows of one mask.

    Threads may share it. The arguments are those of `rasterize`.
    """

    def __init__(
        self,
        annotations: AnnotationSet,
        grid: Grid,
        labels: LabelMap | None = None,
        rule: Rule = "asap",
        winding: Winding = "nonzero",
    ) -> None:
        if rule not in ("asap", "centre") or winding not in ("nonzero", "evenodd"):
            raise ValueError(f"rasterize: unknown {rule=} or {winding=}")
        if rule == "asap" and winding != "nonzero":
            raise ValueError("rasterize: the asap rule goes by winding number, got evenodd")
        self.grid = grid
        drawn = [
            (annotations.annotations[index], value)
            for index, value in drawing_order(annotations, labels)
            if _is_filled(annotations.annotations[index], rule)
        ]
        rings, owner, sign = list[NDArray[np.float64]](), list[int](), list[int]()
        for index, (annotation, _) in enumerate(drawn):
            rings += [annotation.points, *annotation.holes]
            owner += [index] * (1 + len(annotation.holes))
            sign += [1] + [-1] * len(annotation.holes)
        values = np.array([value for _, value in drawn], np.int64)
        # Neighbours of one value are one layer: their order is of no matter.
        self._layer = np.cumsum(np.diff(values, prepend=values[:1]) != 0)
        self._values = values
        self._owner, self._sign = np.array(owner, np.int64), np.array(sign, np.int64)
        self._scanner = Scanner(rings, grid, rule, winding)

    def window(self, column: int, row: int, width: int, height: int) -> NDArray[np.uint8]:
        """Draw the part of the mask from (column, row) on.

        Returns:
            (height, width) uint8.

        Raises:
            ValueError: it does not lie within the grid.
        """
        inside = 0 <= column <= self.grid.width - width and 0 <= row <= self.grid.height - height
        if not inside or width < 1 or height < 1:
            raise ValueError(
                f"window: {width} x {height} from ({column}, {row}) must lie within the mask of "
                f"{self.grid.width} x {self.grid.height}"
            )
        mask = np.zeros((height, width), np.uint8)
        for top in range(0, height, BAND):
            self._draw(mask[top : top + BAND], column, row + top)
        return mask

    def bands(self, height: int = BAND) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Draw the mask from top to bottom.

        Yields:
            The first row of a band, and the band: (height or less, grid.width) uint8, a new array.
        """
        for row in range(0, self.grid.height, height):
            rows = min(height, self.grid.height - row)
            yield row, self.window(0, row, self.grid.width, rows)

    def _draw(self, mask: NDArray[np.uint8], column: int, row: int) -> None:
        """Draw into `mask`, whose first pixel is (column, row) of the grid."""
        height, width = mask.shape
        half = height // 2
        if half and self._scanner.crossings(row, row + height) > MAX_CROSSINGS:
            self._draw(mask[:half], column, row)
            self._draw(mask[half:], column, row + half)
            return
        spans = self._scanner.spans((row, row + height), (column, column + width))
        spans = _united(spans, self._owner[spans.ring], self._sign[spans.ring])
        spans = _united(spans, self._layer[spans.ring], np.ones_like(spans.ring))
        layers, first = np.unique(spans.ring, return_index=True)
        values = self._values[np.searchsorted(self._layer, layers)]
        for value, part in zip(
            values, np.split(np.arange(len(spans.ring)), first[1:]), strict=False
        ):
            _paint(
                mask,
                int(value),
                spans.row[part] - row,
                spans.start[part] - column,
                spans.end[part] - column,
            )


def _is_filled(annotation: Annotation, rule: Rule) -> bool:
    if rule == "centre":
        return annotation.has_area
    return annotation.kind not in ("Dot", "Line") and len(annotation.points) > 0


def _united(spans: Spans, owner: Ints, sign: Ints) -> Spans:
    """The pixels of each owner: in one of its spans of sign 1 more than in those of sign -1.

    Returns:
        Spans whose `ring` is the owner, in order, without overlap.
    """
    if not len(owner):
        return spans
    low, high = spans.start.min(), spans.end.max() + 1
    top, bottom = spans.row.min(), spans.row.max() + 1
    line = owner * (bottom - top) + (spans.row - top)
    key = np.concatenate([spans.start, spans.end]) - low
    key += np.tile(line, 2) * (high - low)
    order = np.argsort(key, kind="stable")
    key = key[order]
    covered = np.cumsum(np.concatenate([sign, -sign])[order]) > 0
    change = np.flatnonzero(np.diff(covered, prepend=False))
    start, end = key[change[::2]], key[change[1::2]]
    kept = start < end
    line, start = np.divmod(start[kept], high - low)
    end = end[kept] - line * (high - low)
    ring, row = np.divmod(line, bottom - top)
    return Spans(ring, row + top, start + low, end + low)


def _paint(mask: NDArray[np.uint8], value: int, row: Ints, start: Ints, end: Ints) -> None:
    """Set spans, which are in order and do not overlap, to `value`."""
    top, bottom, left, right = row[0], row[-1] + 1, start.min(), end.max()
    part = mask[top:bottom, left:right]
    at = np.empty(2 * len(row) + 2, np.int64)
    offset = (row - top) * (right - left) - left
    at[0], at[1:-1:2], at[2:-1:2], at[-1] = 0, offset + start, offset + end, part.size
    inside = np.zeros(len(at) - 1, bool)
    inside[1::2] = True
    np.copyto(part, value, where=np.repeat(inside, np.diff(at)).reshape(part.shape))
