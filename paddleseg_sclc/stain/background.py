"""The light that passes where there is no tissue."""

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.stain.histogram import ColorHistogram
from paddleseg_sclc.stain.optical_density import check_background

# From the paper's release: so many white pixels are needed, and this is their percentile.
_MIN_WHITE = 10_000
_WHITE_PERCENTILE = 80
# Glass is a peak that the histogram of green, which both stains absorb most, ends with: no wider
# than this to either side (noise and JPEG included), ...
_PEAK_WIDTH = 12
# ... so many times as high as anything between one and three widths darker, ...
_PEAK_CONTRAST = 2.0
# ... of such a share of the pixels, ...
_MIN_GLASS = 0.01
# ... not too dark, and its channels not too far apart.
_DIMMEST = 128
_MOST_TINT = 0.75


def find_background(background: object, histogram: ColorHistogram) -> NDArray[np.float64]:
    """Return the background that a normaliser's `background` asks for, float64 (3,).

    Args:
        background: "estimate" (see `estimate_background`), "released" (as the paper's authors do:
            `white_background`, else 255), or one or three whole intensities.
        histogram: what was seen.

    Raises:
        ValueError: `background` is something else.
    """
    if not isinstance(background, str):
        return check_background(background)
    if background == "estimate":
        return estimate_background(histogram)
    if background == "released":
        white = white_background(histogram)
        return np.full(3, 255.0) if white is None else white
    raise ValueError(
        f'background: must be "estimate", "released" or intensities, got {background!r}'
    )


def estimate_background(histogram: ColorHistogram) -> NDArray[np.float64]:
    """Estimate the background: glass, else the white pixels, else 255.

    Under a dim or tinted light no pixel is white and the paper's release takes 255; in noise its
    percentile is too bright. Either turns the stain vectors by degrees, so glass is looked for
    first, as the peak that green ends with.

    Args:
        histogram: what was seen, one pixel or more.

    Returns:
        float64, (3,): whole intensities, R, G, B.
    """
    for estimate in (glass_background, white_background):
        found = estimate(histogram)
        if found is not None:
            return found
    return np.full(3, 255.0)


def white_background(histogram: ColorHistogram) -> NDArray[np.float64] | None:
    """Return the 80th percentile of the white pixels (all channels > 220), None below 10,000."""
    looked_at = histogram.light_counts[0].sum()
    white = histogram.white_counts[0].sum() / max(looked_at, 1) * histogram.pixels
    if white < _MIN_WHITE:
        return None
    return np.array([_percentile(c, _WHITE_PERCENTILE) for c in histogram.white_counts], float)


def glass_background(histogram: ColorHistogram) -> NDArray[np.float64] | None:
    """Return the peak of bare glass, None if there is none."""
    by_green = histogram.light_counts
    green = _last_peak(by_green[0].sum(axis=1))
    if green is None:
        return None
    near = slice(max(green - _PEAK_WIDTH, 0), green + _PEAK_WIDTH + 1)
    red, blue = (_peak(counts[near].sum(axis=0)) for counts in by_green)
    glass = np.array([red, green, blue], float)
    if glass.min() < max(_DIMMEST, _MOST_TINT * glass.max()):
        return None
    share = by_green[0, near, max(red - _PEAK_WIDTH, 0) :].sum() / by_green[0].sum()
    return glass if share >= _MIN_GLASS else None


def _last_peak(counts: NDArray[np.int64]) -> int | None:
    """Return the intensity of the peak that a histogram ends with, None if it ends in a slope."""
    first = max(_percentile(counts, 99.9) - 2 * _PEAK_WIDTH, 0)
    peak = first + _peak(counts[first:])
    smooth = _smooth(counts)
    darker = smooth[max(peak - 3 * _PEAK_WIDTH, 0) : max(peak - _PEAK_WIDTH, 0) + 1]
    return peak if smooth[peak] >= _PEAK_CONTRAST * darker.max() else None


def _peak(counts: NDArray[np.int64]) -> int:
    """Return where a histogram is highest, as the mean of the peak's seven intensities."""
    highest = int(np.argmax(_smooth(counts)))
    around = np.arange(max(highest - 3, 0), min(highest + 4, len(counts)))
    return round(float(np.average(around, weights=counts[around])))


def _smooth(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the moving average over seven intensities, mirrored at the ends."""
    return np.convolve(np.pad(counts, 3, mode="symmetric"), np.ones(7) / 7, mode="valid")


def _percentile(counts: NDArray[np.int64], percentile: float) -> int:
    """Return the smallest intensity that `percentile` % of the pixels do not exceed."""
    return int(np.searchsorted(np.cumsum(counts), percentile / 100 * counts.sum()))
