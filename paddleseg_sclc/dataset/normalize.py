"""Stain normalisation of whole slides: fit on a sample of the tissue, write tile by tile."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.slides.pyramid import PyramidWriter
from paddleseg_sclc.slides.reader import Slide
from paddleseg_sclc.slides.tile_codec import Compression
from paddleseg_sclc.slides.tiling import Tile, grid_tiles
from paddleseg_sclc.slides.tissue import find_tissue
from paddleseg_sclc.stain.histogram import histogram_of
from paddleseg_sclc.stain.normalizer import StainNormalizer

Normalizer = TypeVar("Normalizer", bound=StainNormalizer)
Task = TypeVar("Task")
Result = TypeVar("Result")

# A fit looks at so many blocks of tissue and of glass, of this side, at this scale.
FIT_MPP = 1.0
_FIT_SIDE = 256
_TISSUE_BLOCKS, _GLASS_BLOCKS = 128, 16
# Tiles that a thread reads, transforms and writes at a time: some formats decode long strips.
_TILES_AT_ONCE = 8


def fit_slide(slide: Slide, normalizer: Normalizer, mpp: float = FIT_MPP) -> Normalizer:
    """Fit a normaliser to a slide.

    The same slide gives the same fit; memory and time do not grow with its size. The fit is
    `.source` of what is returned: `.source.to_dict()` goes into JSON, and
    `normalizer.with_source(...)` takes it back.

    Args:
        slide: with a known mpp.
        normalizer: what to fit; not changed.
        mpp: micrometres a pixel at which to look; a coarser slide is looked at as it is.

    Returns:
        A fitted copy of the normaliser.

    Raises:
        TissueError: too little stained tissue, or no H&E.
        SclcError: the slide says no mpp, or cannot be read.
    """
    histogram = histogram_of(sample_slide(slide, mpp), max_pixels=None)
    return normalizer.with_source(normalizer.fit_of(histogram, str(slide.path)))


def sample_slide(slide: Slide, mpp: float = FIT_MPP) -> Iterator[NDArray[np.uint8]]:
    """Yield blocks of tissue from all over a slide, and a few of bare glass.

    Args:
        slide: with a known mpp.
        mpp: micrometres a pixel of the blocks; a coarser slide is read as it is.

    Yields:
        (256, 256, 3) uint8 RGB, 144 at most. Blocks of one value, which were not scanned, and
        damaged ones are left out.
    """
    own_x, own_y = slide.mpp
    downsample = max(mpp / own_x, 1.0), max(mpp / own_y, 1.0)
    side_x, side_y = (round(_FIT_SIDE * scale) for scale in downsample)
    tissue = find_tissue(slide)
    width, height = slide.dimensions
    # Cells of one unit of the grid: its two sides may differ where pixels are not square.
    cells = list(grid_tiles(max(1, round(width / side_x)), max(1, round(height / side_y)), 1))
    shares = [tissue.fraction(c.x * side_x, c.y * side_y, side_x, side_y) for c in cells]
    inside = [cell for cell, share in zip(cells, shares, strict=True) if share >= 0.25]
    if not inside:  # a sliver, or nothing: whatever there is, or else anything
        inside = [c for c, share in zip(cells, shares, strict=True) if share > 0] or cells
    outside = [cell for cell, share in zip(cells, shares, strict=True) if share == 0]
    for chosen in (_spread(inside, _TISSUE_BLOCKS), _spread(outside, _GLASS_BLOCKS)):
        for cell in chosen:
            corner = cell.x * side_x, cell.y * side_y
            try:
                block = slide.read_region(*corner, _FIT_SIDE, _FIT_SIDE, downsample)
            except SclcError:  # damaged here; a sample does without
                continue
            if block.min() < block.max():
                yield block


def normalize_slide(
    slide: Slide,
    normalizer: StainNormalizer,
    output: str | os.PathLike[str],
    *,
    compression: Compression = "jpeg",
    quality: int = 90,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a slide, normalised, as a pyramidal tiled TIFF with its mpp.

    Every pixel is transformed by itself, so tiles meet without a seam. A few megapixels a thread
    are in memory at a time, whatever the size of the slide.

    Args:
        slide: what to read, level 0.
        normalizer: fitted to the slide.
        output: the .tif to write, whole or not at all.
        compression: "jpeg", or "deflate" or "lzw", without loss.
        quality: of JPEG, 1 to 100.
        threads: that read and transform at the same time.
        progress: told how many of how many tiles are done.

    Raises:
        SclcError: the slide cannot be read, or the file cannot be written.
    """
    width, height = slide.dimensions
    writer = PyramidWriter(
        output,
        width,
        height,
        channels=3,
        mpp=slide.mpp if slide.has_mpp else None,
        compression=compression,
        quality=quality,
        fill=255,
        description=f"H&E, stains normalised by paddleseg_sclc ({normalizer.method})",
    )

    def work(place: tuple[int, int]) -> NDArray[np.uint8]:
        row, first = place
        x, y, _, rows = writer.tile_box(row, first)
        columns = min(_TILES_AT_ONCE * writer.tile, width - x)
        return normalizer.transform(slide.read_level(0, x, y, columns, rows))

    starts = range(0, writer.columns, _TILES_AT_ONCE)
    places = [(row, first) for row in range(writer.rows) for first in starts]
    done, total = 0, writer.rows * writer.columns
    with writer, ThreadPoolExecutor(threads) as pool:
        # Written in order, whichever is ready first: the same slide gives the same file.
        for (row, first), pixels in zip(
            places, _ahead(pool, work, places, threads + 1), strict=True
        ):
            for offset in range(0, pixels.shape[1], writer.tile):
                column = first + offset // writer.tile
                writer.write_tile(row, column, pixels[:, offset : offset + writer.tile])
                done += 1
            if progress is not None:
                progress(done, total)


def _ahead(
    pool: ThreadPoolExecutor, work: Callable[[Task], Result], tasks: Iterable[Task], count: int
) -> Iterator[Result]:
    """Yield what `work` returns for each task, in order, with at most `count` of them begun."""
    begun: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            begun.append(pool.submit(work, task))
            if len(begun) == count:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        for future in begun:
            future.cancel()


def _spread(cells: list[Tile], most: int) -> list[Tile]:
    """Return at most so many of the cells, evenly spaced."""
    count = min(len(cells), most)
    return [cells[index * len(cells) // count] for index in range(count)]
