"""The colours of any number of pixels, in bounded memory and in no particular order.

Every fit starts from a `ColorHistogram`: a patch, a slide read block by block and the parts of a
slide counted by several processes all come down to the same counts, so a fit depends neither on
the order of the blocks nor on the process that read them.
"""

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.stain.optical_density import check_image, optical_density

# An image of more pixels is counted on evenly spaced rows.
SAMPLE_PIXELS = 2**18
# Pixels with all three channels above this are white, with all below it tissue (the paper's
# release); 220 itself is neither.
WHITE = 220

# Intensities are counted on levels that are evenly spaced by their square root, 80 of them (74,
# since the darkest hold one intensity each): a level is then about as wide in optical density in
# the dark as in the light. Stain vectors from these counts were within 0.05 degrees of those from
# every single pixel on the patches that this was tried on; 64 evenly spaced levels: 0.31 degrees.
# A level starts exactly at 220.
_LEVEL_OF = np.unique(np.floor(80 * np.sqrt(np.arange(256) / 256)), return_inverse=True)[1]
LEVELS = int(_LEVEL_OF[-1]) + 1
_WHITE_LEVEL = int(_LEVEL_OF[WHITE])
_SHADE = np.bincount(_LEVEL_OF, np.arange(256)) / np.bincount(_LEVEL_OF)
# What a channel adds to the key of a colour. OpenCV looks up float64 and NumPy counts int64: it
# is the same eight bytes, never used as a float.
_KEY = [(_LEVEL_OF * LEVELS**power).view(np.float64) for power in (2, 1, 0)]
_BAND_PIXELS = 2**16
_CHUNK_PIXELS = 2**20
# The background is a broad average: so many times fewer pixels are looked at for it.
_LIGHT_SHARE = 4


class ColorHistogram:
    """How often each colour occurs.

    Attributes:
        counts: int64, (LEVELS ** 3,): counted pixels by colour, the level of red first.
        light_counts: int64, (2, 256, 256): pixels looked at for the background, by green and red,
            and by green and blue.
        white_counts: int64, (3, 256): those of them with all three channels > 220, by channel.
        pixels: how many pixels were shown, counted or not.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(LEVELS**3, np.int64)
        self.light_counts = np.zeros((2, 256, 256), np.int64)
        self.white_counts = np.zeros((3, 256), np.int64)
        self.pixels = 0

    def add(self, pixels: Any, max_pixels: int | None = SAMPLE_PIXELS) -> None:
        """Count an image or a block of pixels.

        Args:
            pixels: RGB uint8, (H, W, 3) or (n, 3); not changed.
            max_pixels: a larger image is counted on evenly spaced rows only (an (n, 3) block on
                evenly spaced pixels), so that about this many are; None counts every pixel.

        Raises:
            ValueError: `pixels` is something else.
        """
        pixels = check_image(pixels, "pixels")
        if pixels.ndim == 2:
            pixels = pixels[:, None]
        self.pixels += pixels.shape[0] * pixels.shape[1]
        light_step = 1
        if max_pixels is not None:
            pixels = pixels[:: _step(pixels, max_pixels)]
            light_step = _step(pixels, max(1, max_pixels // _LIGHT_SHARE))
        self._count_colors(pixels)
        self._count_light(pixels[::light_step])

    def _count_colors(self, pixels: NDArray[np.uint8]) -> None:
        width = pixels.shape[1]
        rows = max(1, _BAND_PIXELS // width)
        # One buffer for all: glibc then keeps the memory for the next image, where several that
        # come and go are given back to the system and cost more to get again than to fill.
        chunk = rows * max(1, _CHUNK_PIXELS // (rows * width))
        buffer = np.empty((chunk, width), np.int64)
        for start in range(0, pixels.shape[0], chunk):
            part = pixels[start : start + chunk]
            keys = buffer[: part.shape[0]]
            for top in range(0, part.shape[0], rows):
                _write_keys(part[top : top + rows], keys[top : top + rows])
            self.counts += np.bincount(keys.ravel(), minlength=LEVELS**3)

    def _count_light(self, pixels: NDArray[np.uint8]) -> None:
        rows = max(1, _BAND_PIXELS // pixels.shape[1])
        for top in range(0, pixels.shape[0], rows):
            band = np.ascontiguousarray(pixels[top : top + rows])
            planes = cv2.split(band)
            for row, other in enumerate((0, 2)):
                self.light_counts[row] += _histogram([planes[1], planes[other]], None)
            white = cv2.inRange(band, (WHITE + 1,) * 3, (255,) * 3)
            if cv2.countNonZero(white) > 0:
                for channel, plane in enumerate(planes):
                    self.white_counts[channel] += _histogram([plane], white)

    def merge(self, other: "ColorHistogram") -> None:
        """Add the counts of another histogram."""
        self.counts += other.counts
        self.light_counts += other.light_counts
        self.white_counts += other.white_counts
        self.pixels += other.pixels

    def colors(self) -> "Colors":
        """Return the colours that occur."""
        keys = np.flatnonzero(self.counts != 0)
        levels = np.stack([keys // LEVELS**2, keys // LEVELS % LEVELS, keys % LEVELS])
        return Colors(levels, self.counts[keys].astype(np.float64))


class Colors:
    """Distinct colours with the number of pixels of each.

    Attributes:
        rgb: float64, (3, n): intensities.
        weights: float64, (n,): pixels.
        dark: bool, (n,): all three channels < 220, the paper's tissue.
        stained: bool, (n,): any channel < 220.
    """

    def __init__(self, levels: NDArray[np.int64], weights: NDArray[np.float64]) -> None:
        self.rgb = _SHADE[levels]
        self.weights = weights
        self.dark = (levels < _WHITE_LEVEL).all(axis=0)
        self.stained = (levels < _WHITE_LEVEL).any(axis=0)

    def od(self, background: NDArray[np.float64], log_offset: int = 0) -> NDArray[np.float64]:
        """Return the optical densities, float64 (3, n); `log_offset` as in `od_table`."""
        return optical_density(self.rgb, background[:, None], log_offset)


def histogram_of(blocks: Iterable[Any], max_pixels: int | None = SAMPLE_PIXELS) -> ColorHistogram:
    """Count blocks of pixels, of each at most `max_pixels` (see `ColorHistogram.add`)."""
    histogram = ColorHistogram()
    for block in blocks:
        histogram.add(block, max_pixels)
    return histogram


def weighted_percentile(
    values: NDArray[np.float64], weights: NDArray[np.float64], percentile: float
) -> float:
    """Return a percentile of values that occur `weights` times each, linear between values."""
    order = np.argsort(values, kind="stable")
    ordered, counts = values[order], weights[order]
    middle = np.cumsum(counts) - counts / 2
    return float(np.interp(percentile / 100 * counts.sum(), middle, ordered))


def _step(pixels: NDArray[np.uint8], most: int) -> int:
    """Every which row has to be taken so that about `most` pixels remain."""
    height, width = pixels.shape[:2]
    return min(-(-height * width // most), height)


def _write_keys(pixels: NDArray[np.uint8], keys: NDArray[np.int64]) -> None:
    planes = cv2.split(pixels)
    cv2.LUT(planes[0], _KEY[0], keys.view(np.float64))
    for plane, table in zip(planes[1:], _KEY[1:], strict=True):
        keys += cv2.LUT(plane, table).view(np.int64)


def _histogram(
    planes: list[NDArray[np.uint8]], mask: NDArray[np.uint8] | None
) -> NDArray[np.int64]:
    """Count the intensities of one plane, (256,), or the pairs of two, (256, 256)."""
    axes = len(planes)
    # OpenCV counts in float32, exact up to 2 ** 24: far more than a band has.
    counts = cv2.calcHist(planes, list(range(axes)), mask, [256] * axes, [0, 256] * axes)
    return counts.reshape((256,) * axes).astype(np.int64)
