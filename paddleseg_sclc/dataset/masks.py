"""Mask files: annotations drawn over a whole slide into a tiled pyramid, and back."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.labels import LabelMap, drawing_order
from paddleseg_sclc.annotations.model import AnnotationSet
from paddleseg_sclc.annotations.rasterize import MaskRaster
from paddleseg_sclc.annotations.scanline import Rule, Winding
from paddleseg_sclc.annotations.vectorize import vectorize
from paddleseg_sclc.dataset.canvas import Canvas
from paddleseg_sclc.dataset.paddleseg_format import read_mask
from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.slides.pyramid import PyramidWriter

TILE = 512
# Outlines are traced in memory: some 10 bytes a pixel.
MAX_MASK_PIXELS = 2**28


@dataclass(frozen=True)
class MaskFile:
    """What was written.

    Attributes:
        width: of level 0 of the mask, in pixels.
        height: the same.
        pixels: how many there are at that level of each value that something is drawn with.
    """

    width: int
    height: int
    pixels: dict[int, int]


def write_mask(
    path: str | os.PathLike[str],
    annotations: AnnotationSet,
    grid: Grid,
    labels: LabelMap | None = None,
    rule: Rule = "asap",
    mpp: tuple[float, float] | None = None,
    winding: Winding = "nonzero",
    progress: Callable[[int, int], None] | None = None,
) -> MaskFile:
    """Draw annotations into a tiled, LZW-compressed, pyramidal 8-bit TIFF.

    The mask is drawn and written band by band: memory holds 512 rows and, of the lower levels, two
    rows of tiles each. Lower levels show the upper left of four pixels, as ASAP's own masks do.

    Args:
        path: the .tif to write.
        annotations: what to draw.
        grid: the mask's pixels over the slide.
        labels: see `rasterize`; None for the paper's.
        rule: `asap` or `centre`.
        mpp: micrometres a level-0 pixel of the slide, (x, y), or None where unknown.
        winding: `nonzero`, or `evenodd` for the `centre` rule.
        progress: called with the rows done and the rows in all.

    Raises:
        SclcError: the file cannot be written, or the disk is full.
    """
    raster = MaskRaster(annotations, grid, labels, rule, winding)
    if mpp is not None:
        mpp = mpp[0] * grid.downsample_x, mpp[1] * grid.downsample_y
    pixels = {value: 0 for _, value in drawing_order(annotations, labels) if value > 0}
    with PyramidWriter(path, grid.width, grid.height, mpp=mpp, tile=TILE) as writer:
        for row, band in raster.bands(TILE):
            writer.write_band(row, band)
            for value in pixels:
                pixels[value] += int(np.count_nonzero(band == value))
            if progress is not None:
                progress(row + len(band), grid.height)
    return MaskFile(grid.width, grid.height, dict(sorted(pixels.items())))


def outline_mask(
    path: str | os.PathLike[str],
    canvas: Canvas | None = None,
    downsample: float | None = None,
    labels: LabelMap | None = None,
    rule: Rule = "centre",
) -> AnnotationSet:
    """Outline the regions of a mask file.

    Args:
        path: an 8-bit image; of a pyramid the finest level with at most MAX_MASK_PIXELS is taken.
        canvas: the slide it is of, whose size over the mask's gives the downsample.
        downsample: in its place, level-0 pixels to a pixel of the file's finest level.
        labels: names of values; None to call each value `Label <value>`.
        rule: the rule that the outlines are to draw the mask again by.

    Raises:
        SclcError: no such file, no mask, or one without anything in it.
    """
    mask, reduced = _read_level(Path(path))
    height, width = mask.shape
    if downsample is not None:
        across = down = downsample * reduced
    elif canvas is not None:
        across, down = _ratio(canvas.width, width), _ratio(canvas.height, height)
    else:
        across = down = float(reduced)
    values = (np.flatnonzero(np.bincount(mask.ravel(), minlength=256)[1:]) + 1).tolist()
    if labels is not None:
        names = {value: name for name, value in labels.values.items() if value > 0}
    else:
        names = {value: f"Label {value}" for value in values}
    if not set(values) & set(names):
        raise SclcError(f"{path}: a mask must have labelled pixels, got the values {values}")
    grid = Grid(width, height, downsample_x=across, downsample_y=down)
    return vectorize(mask, grid, names, rule)


def _read_level(path: Path) -> tuple[np.ndarray, int]:
    """A mask, (H, W) uint8, and how much coarser it is than the file's finest level."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return read_mask(path), 1
    try:
        with tifffile.TiffFile(path) as file:
            finest = file.pages[0]
            for page in file.pages:
                if page.shape[0] * page.shape[1] <= MAX_MASK_PIXELS:
                    mask = page.asarray()
                    break
            else:
                raise SclcError(f"{path}: no level has less than {MAX_MASK_PIXELS:,} pixels")
    except (OSError, ValueError, TypeError, IndexError, tifffile.TiffFileError) as error:
        reason = " ".join(str(error).split())[:200]
        raise SclcError(f"{path}: must be a TIFF mask, got: {reason}") from error
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise SclcError(f"{path}: a mask must be one channel of 8 bits, got {mask.shape}")
    return mask, round(finest.shape[1] / mask.shape[1])


def _ratio(side_l0: int, side: int) -> float:
    """Level-0 pixels a mask pixel: a whole number where the mask's size allows it."""
    whole = max(round(side_l0 / side), 1)
    return float(whole) if math.ceil(side_l0 / whole) == side else side_l0 / side
