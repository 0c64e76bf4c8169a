"""Resample a rectangle of a large image block by block, without seams and in bounded memory."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image

# Takes (x, y, width, height) of the source grid, integers that may lie outside, and returns
# (height, width, 3) uint8.
ReadPixels = Callable[[int, int, int, int], np.ndarray]

# Below this step the Hamming kernel has too few taps: details would be off by up to a seventh of
# a pixel. From here on neither kernel moves them by more than a sixteenth.
_SHRINKS = 1.2


def resample(
    read: ReadPixels,
    corner: tuple[float, float],
    step: tuple[float, float],
    size: tuple[int, int],
    block_pixels: int,
) -> np.ndarray:
    """Sample an image on another grid.

    Pixel (i, j) of the result covers the source from `corner + (i, j) * step` on, one `step` wide.
    Where the result is coarser, a Hamming-windowed kernel two of its pixels wide weighs the
    source: no aliasing, nearly as sharp as the area mean, no ringing, and of Pillow's kernels the
    one whose result lies closest to all others. Where it is finer, or about as fine, it is
    bilinear. A shift by whole pixels at step 1 is a copy.

    Args:
        read: gives source pixels.
        corner: (x, y) of the result's top left corner in source pixels.
        step: (x, y) source pixels to a pixel of the result.
        size: (width, height) of the result.
        block_pixels: about how many source pixels may be held at once.

    Returns:
        (height, width, 3) uint8.
    """
    if step == (1.0, 1.0) and corner == (int(corner[0]), int(corner[1])):
        return read(int(corner[0]), int(corner[1]), size[0], size[1])
    # A block's source must not exceed the limit, however large the step is.
    side = math.sqrt(block_pixels)
    columns = max(1, min(size[0], int(side / step[0])))
    rows = max(1, min(size[1], int(side / step[1])))
    result = np.empty((size[1], size[0], 3), np.uint8)
    for top in range(0, size[1], rows):
        for left in range(0, size[0], columns):
            width, height = min(columns, size[0] - left), min(rows, size[1] - top)
            origin = corner[0] + left * step[0], corner[1] + top * step[1]
            block = _resample_block(read, origin, step, (width, height))
            result[top : top + height, left : left + width] = block
    return result


def _resample_block(
    read: ReadPixels,
    corner: tuple[float, float],
    step: tuple[float, float],
    size: tuple[int, int],
) -> np.ndarray:
    # The filter looks this far beyond the rectangle on each side.
    margin = [math.ceil(max(1.0, s)) + 1 for s in step]
    end = [corner[i] + step[i] * size[i] for i in (0, 1)]
    low = [math.floor(corner[i]) - margin[i] for i in (0, 1)]
    high = [math.ceil(end[i]) + margin[i] for i in (0, 1)]
    source = read(low[0], low[1], high[0] - low[0], high[1] - low[1])
    box = (corner[0] - low[0], corner[1] - low[1], end[0] - low[0], end[1] - low[1])
    kernel = Image.Resampling.HAMMING if min(step) >= _SHRINKS else Image.Resampling.BILINEAR
    return np.array(Image.fromarray(source).resize(size, kernel, box=box))
