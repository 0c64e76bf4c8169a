"""Scale: what a level of a pyramid stands for, which one to read, and micrometres a pixel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from paddleseg_sclc.errors import UsageError

_MPP_RANGE = (0.01, 100.0)


@dataclass(frozen=True)
class Level:
    """One level of the pyramid.

    `downsample_x` is the number of level-0 pixels a pixel of this level covers. A level whose
    size was rounded (12,501 -> 3,125) has the scale it was made with, 4, where
    `openslide_downsample` is a ratio of sizes. `piece_pixels` is what OpenSlide decodes at once:
    a tile, or, `whole`, all of the level.
    """

    index: int
    width: int
    height: int
    downsample_x: float
    downsample_y: float
    openslide_downsample: float
    piece_pixels: int
    whole: bool

    @property
    def downsample(self) -> float:
        """The mean of both axes, for choosing and for printing."""
        return (self.downsample_x + self.downsample_y) / 2


def choose_level(
    levels: Sequence[Level], downsample: float, max_piece_pixels: int | None = None
) -> Level | None:
    """The coarsest level no coarser than wanted (1 % off counts as equal).

    Args:
        levels: of one slide, level 0 first.
        downsample: wanted, level-0 pixels to a pixel.
        max_piece_pixels: levels that are decoded in larger pieces are passed over, for a finer one.

    Returns:
        The level, or None if all that are fine enough were passed over.
    """
    fine = [level for level in levels if level.downsample <= downsample * 1.01] or [levels[0]]
    for level in sorted(fine, key=lambda level: -level.downsample):
        if max_piece_pixels is None or level.piece_pixels <= max_piece_pixels:
            return level
    return None


def true_downsample(size_l0: int, size: int) -> float:
    """The integer scale that a rounded size stands for, else the ratio of the sizes."""
    whole = max(1, round(size_l0 / size))
    return float(whole) if size in (size_l0 // whole, -(-size_l0 // whole)) else size_l0 / size


def mpp_of(properties: Mapping[str, str]) -> tuple[float, float] | None:
    """(x, y) as OpenSlide or, in plain TIFF, the resolution in pixels a centimetre says.

    Resolutions in inches are not taken: 72 or 96 a inch are what programs write that know none.
    """
    values = [properties.get("openslide.mpp-x"), properties.get("openslide.mpp-y")]
    if None in values and properties.get("tiff.ResolutionUnit") == "centimeter":
        resolution = [properties.get("tiff.XResolution"), properties.get("tiff.YResolution")]
        values = [str(1e4 / float(r)) if r and float(r) > 0 else None for r in resolution]
    try:
        mpp = tuple(float(value) for value in values if value is not None)
    except ValueError:
        return None
    low, high = _MPP_RANGE
    return mpp if len(mpp) == 2 and all(low <= value <= high for value in mpp) else None


def checked_mpp(mpp: float | tuple[float, float]) -> tuple[float, float]:
    """(x, y) of micrometres a pixel given by a user; UsageError if no scanner makes such."""
    pair = as_pair(mpp)
    low, high = _MPP_RANGE
    if not all(low <= value <= high for value in pair):
        raise UsageError(f"mpp: must be between {low} and {high} micrometres a pixel, got {mpp}")
    return pair


def as_pair(value: float | tuple[float, float]) -> tuple[float, float]:
    """(x, y) of one number or two."""
    if isinstance(value, tuple):
        return float(value[0]), float(value[1])
    return float(value), float(value)
