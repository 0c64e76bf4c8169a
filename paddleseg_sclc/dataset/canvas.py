"""What a mask or an annotation file is laid over: the size and the scale of a slide."""

import math
from dataclasses import dataclass
from pathlib import Path

from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.ndpa import SlideFrame
from paddleseg_sclc.errors import UsageError
from paddleseg_sclc.slides.reader import Slide

# A band of 512 rows of this width takes half a gigabyte; no slide is larger.
MAX_SIDE = 2**20


@dataclass(frozen=True)
class Canvas:
    """A slide without its pixels.

    Attributes:
        width: of level 0 in pixels.
        height: of level 0 in pixels.
        mpp: micrometres a level-0 pixel, (x, y), or None where unknown.
        offset_nm: of the scan's centre from the glass's in nanometres, (x, y), or None.
    """

    width: int
    height: int
    mpp: tuple[float, float] | None = None
    offset_nm: tuple[float, float] | None = None

    @classmethod
    def of_slide(cls, path: Path, mpp: float | None = None) -> "Canvas":
        """The size and scale of a slide file; `mpp` in place of what it says.

        Raises:
            SclcError: it is no slide, or damaged.
        """
        with Slide(path, mpp) as slide:
            scale = slide.mpp if slide.has_mpp else None
            return cls(*slide.dimensions, scale, slide.offset_from_slide_centre_nm)

    @property
    def frame(self) -> SlideFrame | None:
        """Where the scan lies on its glass, which NDPA counts from; None if that is unknown."""
        if self.mpp is None or self.offset_nm is None:
            return None
        return SlideFrame(self.width, self.height, *self.mpp, *self.offset_nm)

    def grid(self, downsample: float | None = None, mpp: float | None = None) -> Grid:
        """The pixels of a mask over the whole slide, by default its own.

        Args:
            downsample: level-0 pixels to a pixel of the mask.
            mpp: in its place, micrometres to a pixel of the mask.

        Raises:
            UsageError: `mpp` where the slide's is unknown.
        """
        if mpp is not None and self.mpp is None:
            raise UsageError(
                "--mpp: the slide's own scale must be known, but it says none; pass --slide-mpp"
            )
        across = down = downsample or 1.0
        if mpp is not None and self.mpp is not None:
            across, down = mpp / self.mpp[0], mpp / self.mpp[1]
        width, height = math.ceil(self.width / across), math.ceil(self.height / down)
        if max(width, height) > MAX_SIDE:
            raise UsageError(
                f"a mask must be at most {MAX_SIDE:,} pixels wide and high, got {width:,} x "
                f"{height:,}; choose a coarser scale"
            )
        return Grid(width, height, downsample_x=across, downsample_y=down)
