"""ROC, precision-recall and calibration of predicted probabilities, gathered in constant memory.

The probability is that of tumour. ROC and precision-recall come from a histogram whose bins are
equal in log-odds, so that they stay apart where a confident network puts nearly all pixels, near 0
and 1. Two probabilities in one bin count as equal, and so do all below 4e-8 and above 1 - 4e-8.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

# The log-odds of the largest float32 below 1 are 16.6; 8192 bins of 0.0042 each.
_LIMIT = 17.0
_BINS = 8192
# Of the reliability diagram and the calibration error, as Guo et al., On calibration of modern
# neural networks, ICML 2017, have them.
CALIBRATION_BINS = 15


class ProbabilityHistogram:
    """Counts of tumour and other pixels by their predicted probability of tumour.

    Attributes:
        counts: (2, 8192) int64; row 1 tumour by label, row 0 all else; probability ascends.
    """

    def __init__(self) -> None:
        self.counts = np.zeros((2, _BINS), np.int64)

    def update(self, probs: NDArray, positive: NDArray[np.bool_]) -> None:
        """Count pixels.

        Args:
            probs: probabilities of tumour in [0, 1], any shape; not changed.
            positive: as many, True where the label is tumour.

        Raises:
            ValueError: the shapes differ, or a value is no probability.
        """
        values = _checked(probs, positive)
        with np.errstate(divide="ignore"):
            log_odds = np.log(values) - np.log1p(-values)
        place = (np.clip(log_odds, -_LIMIT, _LIMIT) + _LIMIT) * (_BINS / (2 * _LIMIT))
        # Edge 4096 is a probability of 0.5.
        bins = np.minimum(place.astype(np.int64), _BINS - 1)
        for row, chosen in ((0, ~positive.ravel()), (1, positive.ravel())):
            self.counts[row] += np.bincount(bins[chosen], minlength=_BINS)

    def add(self, other: "ProbabilityHistogram") -> None:
        """Add the counts of another histogram."""
        self.counts += other.counts

    def _reached(self) -> NDArray[np.float64]:
        """(2, n + 1): others and tumour at or above each threshold, thresholds descending."""
        occupied = self.counts[:, self.counts.any(axis=0)][:, ::-1]
        return np.pad(np.cumsum(occupied, axis=1), ((0, 0), (1, 0))).astype(np.float64)

    def roc(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """False and true positive rates, ascending from 0 to 1; empty where a class is absent."""
        reached = self._reached()
        if not reached[:, -1].all():
            return np.empty(0), np.empty(0)
        false_rate, true_rate = reached / reached[:, -1:]
        return false_rate, true_rate

    def precision_recall(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Recall (ascending) and precision at it; empty where a class is absent."""
        reached = self._reached()[:, 1:]
        if not reached.size or not reached[:, -1].all():
            return np.empty(0), np.empty(0)
        return reached[1] / reached[1, -1], reached[1] / reached.sum(axis=0)

    def auroc(self) -> float:
        """Area under the ROC curve; NaN where a class is absent."""
        false_rate, true_rate = self.roc()
        return float(np.trapz(true_rate, false_rate)) if false_rate.size else float("nan")

    def average_precision(self) -> float:
        """Mean precision over the steps of recall, without interpolation; NaN as for `auroc`."""
        recall, precision = self.precision_recall()
        if not recall.size:
            return float("nan")
        return float((np.diff(recall, prepend=0.0) * precision).sum())


def calibration_sums(probs: NDArray, positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What a reliability diagram needs of some pixels; sums of several images add up.

    Args:
        probs: probabilities of tumour in [0, 1], any shape; not changed.
        positive: as many, True where the label is tumour.

    Returns:
        (3, 15): in each bin of probability (a/15, b/15] the pixels, the sum of their
        probabilities, and how many are tumour.

    Raises:
        ValueError: the shapes differ, or a value is no probability.
    """
    values = _checked(probs, positive)
    bins = np.clip(np.ceil(values * CALIBRATION_BINS).astype(np.int64) - 1, 0, None)
    weights = (None, values, positive.ravel().astype(np.float64))
    return np.stack([np.bincount(bins, w, CALIBRATION_BINS) for w in weights]).astype(np.float64)


def calibration_error(sums: ArrayLike) -> NDArray[np.float64]:
    """Expected calibration error of the probability of tumour.

    Args:
        sums: (..., 3, 15) as `calibration_sums` gives them, maybe summed over images.

    Returns:
        (...): the mean distance, over pixels, between a bin's mean probability and its share of
        tumour; NaN without pixels.
    """
    values = np.asarray(sums, np.float64)
    total = values[..., 0, :].sum(axis=-1)
    gaps = np.abs(values[..., 1, :] - values[..., 2, :]).sum(axis=-1)
    return np.divide(gaps, total, out=np.full(np.shape(total), np.nan), where=total > 0)


def _checked(probs: NDArray, positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    if np.shape(probs) != np.shape(positive):
        raise ValueError(
            "probs and positive must have one shape, got "
            f"{np.shape(probs)} and {np.shape(positive)}"
        )
    values = np.asarray(probs, np.float64).ravel()
    if values.size and not (values.min() >= 0 and values.max() <= 1):  # NaN fails, too
        raise ValueError("probs must be in [0, 1], got other values or NaN")
    return values
