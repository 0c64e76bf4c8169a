"""Where the pixels of a mask lie on level 0."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Grid:
    """The pixels of a mask, laid over a slide.

    Pixel (column, row) covers level 0 from `x_l0 + column * downsample_x` to where the next column
    starts, and so down the rows.

    Attributes:
        width: columns.
        height: rows.
        x_l0: left edge in level-0 pixels; may be negative.
        y_l0: upper edge.
        downsample_x: level-0 pixels a column.
        downsample_y: level-0 pixels a row.
        anchor: for the `asap` rule, which tests level-0 corners only: the place in a mask pixel
            whose level-0 pixel it shows. 0, the upper left, is what lower levels of ASAP's masks
            hold (`mask[::d, ::d]` of level 0); 0.5, the centre, fits an image resized to this grid.
            The `centre` rule always tests the centre.
    """

    width: int
    height: int
    x_l0: float = 0.0
    y_l0: float = 0.0
    downsample_x: float = 1.0
    downsample_y: float = 1.0
    anchor: float = 0.0

    def __post_init__(self) -> None:
        downsamples = self.downsample_x, self.downsample_y
        if self.width < 1 or self.height < 1:
            raise ValueError(f"Grid: must have pixels, got {self.width} x {self.height}")
        if not all(math.isfinite(d) and d > 0 for d in downsamples):
            raise ValueError(f"Grid: downsample must be > 0, got {downsamples}")
        if not (math.isfinite(self.x_l0) and math.isfinite(self.y_l0) and 0 <= self.anchor < 1):
            raise ValueError(f"Grid: bad {self.x_l0=}, {self.y_l0=} or {self.anchor=}")

    @classmethod
    def of_slide(cls, width_l0: int, height_l0: int, downsample: float = 1.0) -> "Grid":
        """A whole slide; the last column and row may reach beyond it."""
        if not (math.isfinite(downsample) and downsample > 0):
            raise ValueError(f"downsample: must be > 0, got {downsample}")
        width, height = (math.ceil(side / downsample) for side in (width_l0, height_l0))
        return cls(width, height, downsample_x=downsample, downsample_y=downsample)

    @classmethod
    def of_region(
        cls,
        x_l0: float,
        y_l0: float,
        width_l0: float,
        height_l0: float,
        size: tuple[int, int],
        anchor: float = 0.5,
    ) -> "Grid":
        """A level-0 rectangle as `size` (width, height) pixels, the aspect kept or not.

        The anchor is the centre, as in an image of the region resized to `size`.
        """
        return cls(*size, x_l0, y_l0, width_l0 / size[0], height_l0 / size[1], anchor)

    def x_corners(self) -> NDArray[np.float64]:
        """(width,) level-0 columns that the `asap` rule tests, whole numbers."""
        return _corners(self.x_l0, self.downsample_x, self.width, self.anchor)

    def y_corners(self) -> NDArray[np.float64]:
        """(height,) level-0 rows that the `asap` rule tests, whole numbers."""
        return _corners(self.y_l0, self.downsample_y, self.height, self.anchor)

    def x_centres(self) -> NDArray[np.float64]:
        """(width,) level-0 positions of the columns' centres."""
        return self.x_l0 + (np.arange(self.width) + 0.5) * self.downsample_x

    def y_centres(self) -> NDArray[np.float64]:
        """(height,) level-0 positions of the rows' centres."""
        return self.y_l0 + (np.arange(self.height) + 0.5) * self.downsample_y


def _corners(start: float, downsample: float, count: int, anchor: float) -> NDArray[np.float64]:
    return np.floor(start + (np.arange(count) + anchor) * downsample)
