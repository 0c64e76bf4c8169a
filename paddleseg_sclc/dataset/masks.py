"""Mask files: annotations drawn over a whole slide into a tiled pyramid."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.labels import LabelMap, drawing_order
from paddleseg_sclc.annotations.model import AnnotationSet
from paddleseg_sclc.annotations.rasterize import MaskRaster
from paddleseg_sclc.annotations.scanline import Rule
from paddleseg_sclc.slides.pyramid import PyramidWriter

TILE = 512


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
        progress: called with the rows done and the rows in all.

    Raises:
        SclcError: the file cannot be written, or the disk is full.
    """
    raster = MaskRaster(annotations, grid, labels, rule)
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
