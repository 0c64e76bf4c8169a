"""Where patches are cut: boxes around annotations, or tiles of a grid. Geometry only."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Bounds = tuple[float, float, float, float]  # least x, least y, greatest x, greatest y

# `box`: around an annotation; `tile`: of a grid, over annotated area; `free`: of a grid, over
# tissue that bears no annotation.
Origin = Literal["box", "tile", "free"]


@dataclass(frozen=True)
class Region:
    """A rectangle of a slide that becomes a patch.

    Attributes:
        origin: how it was chosen.
        annotation: index of the annotation it was cut for; None for tiles.
        x_l0: left edge in level-0 pixels.
        y_l0: upper edge.
        width_l0: in level-0 pixels.
        height_l0: in level-0 pixels.
        size: (width, height) of the patch.
        inner: (left, upper, width, height): the part of the patch that shows the rectangle; the
            rest is padding.
    """

    origin: Origin
    annotation: int | None
    x_l0: float
    y_l0: float
    width_l0: float
    height_l0: float
    size: tuple[int, int]
    inner: tuple[int, int, int, int]

    @property
    def bounds(self) -> Bounds:
        """Least x and y, greatest x and y."""
        return self.x_l0, self.y_l0, self.x_l0 + self.width_l0, self.y_l0 + self.height_l0

    @property
    def downsample(self) -> tuple[float, float]:
        """Level-0 pixels to a pixel of the patch, (x, y)."""
        return self.width_l0 / self.inner[2], self.height_l0 / self.inner[3]

    def name(self, slide: str) -> str:
        """Name of the patch: slide, annotation and position."""
        what = self.origin if self.annotation is None else f"a{self.annotation:04d}"
        return f"{slide}_{what}_x{int(self.x_l0):06d}_y{int(self.y_l0):06d}"


def box_region(
    annotation: int,
    bounds: Bounds,
    slide_size: tuple[int, int],
    border: int,
    size: int,
    aspect: float | None = None,
) -> Region:
    """The box around an annotation, enlarged, and cut off where the slide ends.

    Args:
        annotation: index, for the name.
        bounds: of the annotation, in level-0 pixels; part of it must lie on the slide.
        slide_size: (width, height) of level 0.
        border: level-0 pixels on each side.
        size: side of the patch.
        aspect: None to stretch the box over the whole patch, as the paper does; else how much
            wider than high a level-0 pixel is (1 for square ones): the box then keeps its form
            in the middle of the patch, and the rest is padding.
    """
    width, height = slide_size
    left = max(0, math.floor(bounds[0]) - border)
    upper = max(0, math.floor(bounds[1]) - border)
    right = min(width, math.ceil(bounds[2]) + border)
    lower = min(height, math.ceil(bounds[3]) + border)
    # A box without extent (a line along a pixel edge, with no border) still has a pixel.
    box_width, box_height = max(1, right - left), max(1, lower - upper)
    inner = 0, 0, size, size
    if aspect is not None:
        scale = size / max(box_width * aspect, box_height)
        inner_width = min(size, max(1, round(box_width * aspect * scale)))
        inner_height = min(size, max(1, round(box_height * scale)))
        inner = (size - inner_width) // 2, (size - inner_height) // 2, inner_width, inner_height
    return Region("box", annotation, left, upper, box_width, box_height, (size, size), inner)


@dataclass(frozen=True)
class TileLattice:
    """A grid of square tiles over a slide, from its upper left corner.

    Attributes:
        slide_size: (width, height) of level 0.
        size: side of a patch.
        downsample: level-0 pixels to a pixel of the patch, (x, y).
    """

    slide_size: tuple[int, int]
    size: int
    downsample: tuple[float, float]

    @property
    def columns(self) -> int:
        """Tiles across; the last one may overhang."""
        return math.ceil(self.slide_size[0] / (self.size * self.downsample[0]))

    @property
    def rows(self) -> int:
        """Tiles down; the last one may overhang."""
        return math.ceil(self.slide_size[1] / (self.size * self.downsample[1]))

    def region(self, row: int, column: int, origin: Origin) -> Region:
        """One tile."""
        width, height = self.size * self.downsample[0], self.size * self.downsample[1]
        return Region(
            origin,
            None,
            column * width,
            row * height,
            width,
            height,
            (self.size, self.size),
            (0, 0, self.size, self.size),
        )

    def touching(self, boxes: Sequence[Bounds]) -> list[tuple[int, int]]:
        """(row, column) of the tiles that at least one box reaches into, in order."""
        width, height = self.size * self.downsample[0], self.size * self.downsample[1]
        found: set[tuple[int, int]] = set()
        for x0, y0, x1, y1 in boxes:
            columns = range(max(0, int(x0 / width)), min(self.columns, int(x1 / width) + 1))
            rows = range(max(0, int(y0 / height)), min(self.rows, int(y1 / height) + 1))
            found.update((row, column) for row in rows for column in columns)
        return sorted(found)
