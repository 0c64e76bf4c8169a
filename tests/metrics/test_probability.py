import math
import tracemalloc

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from paddleseg_sclc.metrics.probability import (
    CALIBRATION_BINS,
    ProbabilityHistogram,
    calibration_error,
    calibration_sums,
)


def sample(seed: int, n: int = 20000, sharpness: float = 2.0):
    """Probabilities of a network, from unsure to very sure, and labels."""
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.3
    log_odds = sharpness * (rng.normal(size=n) + np.where(positive, 1, -1))
    return (1 / (1 + np.exp(-log_odds))).astype(np.float32), positive


def filled(probs, positive, parts=1) -> ProbabilityHistogram:
    histogram = ProbabilityHistogram()
    for p, y in zip(np.array_split(probs, parts), np.array_split(positive, parts), strict=True):
        histogram.update(p, y)
    return histogram


@pytest.mark.parametrize("sharpness", [0.3, 2.0, 5.0])
@pytest.mark.parametrize("parts", [1, 7])
def test_areas_agree_with_scikit_learn(sharpness, parts):
    probs, positive = sample(1, sharpness=sharpness)
    histogram = filled(probs, positive, parts)
    assert histogram.auroc() == pytest.approx(sk.roc_auc_score(positive, probs), abs=2e-4)
    expected = sk.average_precision_score(positive, probs)
    assert histogram.average_precision() == pytest.approx(expected, abs=2e-3)


def test_curves_are_scikit_learns_where_probabilities_have_few_values():
    probs, positive = sample(2)
    probs = np.round(probs * 32) / 32
    histogram = filled(probs, positive)
    false_rate, true_rate, _ = sk.roc_curve(positive, probs, drop_intermediate=False)
    np.testing.assert_allclose(histogram.roc(), (false_rate, true_rate))
    precision, recall, _ = sk.precision_recall_curve(positive, probs)
    ours = histogram.precision_recall()
    np.testing.assert_allclose(ours, (recall[-2::-1], precision[-2::-1]))
    assert histogram.auroc() == pytest.approx(sk.roc_auc_score(positive, probs))


def test_calibration_agrees_with_scikit_learn():
    probs, positive = sample(3)
    sums = calibration_sums(probs, positive)
    share, mean = calibration_curve(positive, probs, n_bins=CALIBRATION_BINS)
    some = sums[0] > 0
    np.testing.assert_allclose(sums[1, some] / sums[0, some], mean)
    np.testing.assert_allclose(sums[2, some] / sums[0, some], share)
    weights = sums[0, some] / sums[0].sum()
    assert calibration_error(sums) == pytest.approx((weights * np.abs(share - mean)).sum())


def test_hand_computed_calibration_error():
    # Two pixels in the bin of 0.3, one tumour; one pixel sure and wrong.
    sums = calibration_sums(np.array([0.3, 0.3, 1.0]), np.array([True, False, False]))
    assert calibration_error(sums) == pytest.approx((abs(0.6 - 1) + 1.0) / 3)


def test_sums_of_images_add_up():
    probs, positive = sample(4)
    parts = [calibration_sums(probs[i::3], positive[i::3]) for i in range(3)]
    np.testing.assert_allclose(sum(parts), calibration_sums(probs, positive))
    both = filled(probs[::2], positive[::2])
    both.add(filled(probs[1::2], positive[1::2]))
    np.testing.assert_array_equal(both.counts, filled(probs, positive).counts)


def test_one_half_parts_the_histogram_in_the_middle():
    histogram = ProbabilityHistogram()
    histogram.update(
        np.array([0, np.nextafter(np.float32(0.5), np.float32(0)), 0.5, 1], np.float32),
        np.ones(4, bool),
    )
    middle = histogram.counts.shape[1] // 2
    assert histogram.counts[1, :middle].sum() == histogram.counts[1, middle:].sum() == 2


@pytest.mark.parametrize("fill", [False, True])
def test_one_class_only_leaves_the_areas_undefined(fill):
    histogram = filled(np.linspace(0, 1, 10), np.full(10, fill))
    assert math.isnan(histogram.auroc())
    assert math.isnan(histogram.average_precision())
    assert histogram.roc()[0].size == histogram.precision_recall()[0].size == 0


def test_nothing_at_all_is_undefined():
    assert math.isnan(ProbabilityHistogram().auroc())
    assert math.isnan(calibration_error(calibration_sums(np.empty(0), np.empty(0, bool))))


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_what_is_no_probability_is_refused(value):
    for function in (ProbabilityHistogram().update, calibration_sums):
        with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
            function(np.array([0.5, value]), np.ones(2, bool))
        with pytest.raises(ValueError, match="one shape"):
            function(np.array([0.5]), np.ones(2, bool))


def test_memory_stays_the_same_however_many_pixels():
    histogram = ProbabilityHistogram()
    probs, positive = sample(5, 4096)
    histogram.update(probs, positive)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(200):
        histogram.update(probs, positive)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert histogram.counts.sum() == 201 * 4096
    assert grown < 20_000
