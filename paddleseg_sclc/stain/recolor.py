"""From the stains of one image to those of another, pixel by pixel: fast, and exact.

Every byte is that of the plain formula in float64 (`Recolor.plain`). Most of the work is done in
float32 by OpenCV, whose last bits depend on the machine (fused multiplications, the width of its
vectors); a pixel so close to the middle between two intensities that these bits could decide is
computed again in float64. So the result depends neither on the machine nor on the number of
threads nor on where a strip or a tile begins.
"""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.stain.fit import StainFit
from paddleseg_sclc.stain.optical_density import check_image, od_table

# Pixels worked on at once: two float32 copies of them stay in a cache, and there are few enough
# strips that threads seldom wait for each other's turn at the interpreter.
_STRIP_PIXELS = 2**17
# Fewer pixels are not worth a second thread.
_THREAD_PIXELS = 2**18
# How far float32 may be off, in intensities: so much, and so much more for every unit of the sum
# of the unmixing matrix's magnitudes. Over all 2 ** 24 colours, many matrices and OpenCV's several
# instruction sets, at most 0.4 of that was seen.
_FLOAT32_ERROR = 4e-4, 3e-5

_CHANNELS = np.arange(3)
# Beyond this float32 settles nothing: stains that can hardly be told apart, or of no strength.
_MOST_DOUBT = 0.1


def unmixing_matrix(stain_matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pseudo-inverse of a stain matrix, (3, 2): `concentrations = od @ it`."""
    return np.linalg.pinv(stain_matrix)


class Recolor:
    """Turns pixels with the stains of `source` into pixels with the stains of `target`.

    `concentrations = max(0, od @ pinv(source.stain_matrix)) * target.max / source.max`, then
    `target.background * exp(-concentrations @ target.stain_matrix)`, rounded. `log_offset` is that
    of the source's optical density (see `optical_density`).
    """

    def __init__(self, source: StainFit, target: StainFit, log_offset: int = 0) -> None:
        scale = target.max_concentrations / source.max_concentrations
        self._od, self._target_white = od_table(source.background, log_offset), target.background
        self._unmix = unmixing_matrix(source.stain_matrix) * scale
        self._mix = target.stain_matrix
        base, slope = _FLOAT32_ERROR
        self._doubt = base + slope * float(np.abs(self._unmix).sum())

        # One table serves all channels: ln(background / I) = ln(255 / I) + ln(background / 255);
        # what is brighter than the background is cut before.
        self._brightest = (*source.background.tolist(), 0.0)
        self._table = od_table(255, log_offset)[:, 0].astype(np.float32)
        to_concentrations = np.zeros((3, 4), np.float32)
        to_concentrations[:2, :3] = self._unmix.T
        to_concentrations[:2, 3] = (
            np.log((source.background + log_offset) / (255 + log_offset)) @ self._unmix
        )
        to_log = np.zeros((3, 4), np.float32)
        to_log[:, :2] = -self._mix.T
        to_log[:, 3] = np.log(target.background)
        self._to_concentrations, self._to_log = to_concentrations, to_log

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image in the target's stains.

        Large images are shared by as many threads as OpenCV uses (`cv2.setNumThreads`).

        Args:
            image: RGB uint8, (H, W, 3) or (n, 3); not changed.

        Returns:
            uint8 of the same shape.
        """
        pixels = np.ascontiguousarray(check_image(image)).reshape(1, -1, 3)
        if self._doubt > _MOST_DOUBT:
            return self.plain(image)
        result = np.empty_like(pixels)
        count = pixels.shape[1]
        threads = max(1, min(cv2.getNumThreads(), count // _THREAD_PIXELS))
        share = -(-count // threads)
        parts = [slice(start, min(start + share, count)) for start in range(0, count, share)]
        if threads == 1:
            self._recolor(pixels, result)
        else:
            with ThreadPoolExecutor(threads - 1) as pool:
                others = [pool.submit(self._recolor, pixels[:, p], result[:, p]) for p in parts[1:]]
                self._recolor(pixels[:, parts[0]], result[:, parts[0]])
                for other in others:
                    other.result()
        return result.reshape(image.shape)

    def plain(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what `__call__` returns, in float64 throughout, about fifty times as slow."""
        od = self._od[pixels, _CHANNELS]
        concentrations = np.maximum(od @ self._unmix, 0)
        return np.rint(self._target_white * np.exp(-concentrations @ self._mix)).astype(np.uint8)

    def _recolor(self, pixels: NDArray[np.uint8], result: NDArray[np.uint8]) -> None:
        """Recolour (1, n, 3) pixels strip by strip into `result`."""
        size = min(_STRIP_PIXELS, pixels.shape[1])
        buffers = np.empty((2, 1, size, 3), np.float32)
        doubtful = np.empty((1, size, 3), np.uint8)
        unsettled = []
        for start in range(0, pixels.shape[1], size):
            strip, above = pixels[:, start : start + size], result[:, start : start + size]
            length = strip.shape[1]
            first, second = buffers[:, :, :length]
            below = doubtful[:, :length]
            cv2.min(strip, self._brightest, below)
            cv2.LUT(below.reshape(1, -1), self._table, first.reshape(1, -1))
            cv2.transform(first, self._to_concentrations, second)
            cv2.threshold(second, 0, 0, cv2.THRESH_TOZERO, second)
            cv2.transform(second, self._to_log, first)
            cv2.exp(first, second)
            # Rounded a little up and a little down: where that differs, float32 cannot tell.
            cv2.convertScaleAbs(second, above, 1, self._doubt)
            cv2.convertScaleAbs(second, below, 1, -self._doubt)
            unsettled.append(_differences(above, below) + 3 * start)
        places = np.concatenate(unsettled) // 3
        result[0, places] = self.plain(pixels[0, places])


def _differences(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return where two arrays differ, flat: looked for eight bytes at a time, since few do."""
    one, other = first.reshape(-1), second.reshape(-1)
    whole = one.size // 8 * 8
    eights = np.flatnonzero(one[:whole].view(np.uint64) != other[:whole].view(np.uint64))
    unlike = one[:whole].reshape(-1, 8)[eights] != other[:whole].reshape(-1, 8)[eights]
    inside = np.flatnonzero(unlike)
    places = eights[inside >> 3] * 8 + (inside & 7)
    return np.append(places, np.flatnonzero(one[whole:] != other[whole:]) + whole)
