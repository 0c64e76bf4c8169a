import itertools
import math

import numpy as np
import pytest
from scipy import stats

from paddleseg_sclc.metrics.bootstrap import bootstrap, holm, paired_test, unit_sums


def ratio(sums):
    """Right pixels by pixels, the pooled accuracy."""
    return sums[..., :1] / sums[..., 1:2]


def cohort(rng, units, truth=0.8):
    """Patients with their own number of pixels and their own accuracy, `truth` on average."""
    pixels = rng.integers(1, 8, units) * 100.0
    return np.stack([pixels * rng.beta(10 * truth, 10 * (1 - truth), units), pixels], axis=1)


@pytest.mark.parametrize(("units", "least"), [(10, 0.88), (30, 0.91)])
def test_intervals_cover_the_truth_at_about_their_nominal_rate(units, least):
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(400):
        estimates = bootstrap(cohort(rng, units), ratio, resamples=400, seed=seed)
        covered += estimates.low[0] <= 0.8 <= estimates.high[0]
    # 95 % nominal; its standard error over 400 trials is 1.1 %.
    assert least <= covered / 400 <= 0.985


def test_intervals_are_close_to_students_for_a_mean_of_many():
    values = np.random.default_rng(0).normal(3, 1, 200)
    sums = np.stack([values, np.ones(200)], axis=1)
    estimates = bootstrap(sums, ratio, resamples=4000)
    expected = stats.t.interval(0.95, 199, values.mean(), stats.sem(values))
    assert (estimates.low[0], estimates.high[0]) == pytest.approx(expected, abs=0.02)


def test_bca_agrees_with_scipy():
    values = np.random.default_rng(3).gamma(2.0, size=150)
    sums = np.stack([values, np.ones(150)], axis=1)
    ours = bootstrap(sums, ratio, resamples=6000)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=6000, random_state=0
    ).confidence_interval
    assert (ours.low[0], ours.high[0]) == pytest.approx(tuple(theirs), abs=0.02)


def test_the_same_seed_gives_the_same_and_inputs_stay():
    sums = cohort(np.random.default_rng(0), 8)
    before = sums.copy()
    first, second = (bootstrap(sums, ratio, resamples=200, seed=5) for _ in range(2))
    assert first.low == second.low
    np.testing.assert_array_equal(sums, before)
    assert bootstrap(sums, ratio, resamples=200, seed=6).low != first.low


def test_one_unit_or_an_undefined_figure_gives_no_interval():
    one = bootstrap(np.array([[3.0, 4.0]]), ratio)
    assert one.values[0] == 0.75
    assert math.isnan(one.low[0])
    with np.errstate(invalid="ignore"):
        none = bootstrap(np.zeros((5, 2)), ratio)
    assert math.isnan(none.values[0])
    assert math.isnan(none.high[0])


def test_all_units_alike_give_an_interval_of_no_width():
    estimates = bootstrap(np.tile([[3.0, 4.0]], (6, 1)), ratio)
    assert (estimates.low[0], estimates.high[0]) == (0.75, 0.75)


def test_permutation_test_is_exact_for_few_units():
    rng = np.random.default_rng(4)
    a, b = cohort(rng, 6), cohort(rng, 6)
    observed = abs(float(ratio(a.sum(0))[0] - ratio(b.sum(0))[0]))
    as_large = 0
    for swap in itertools.product([False, True], repeat=6):
        s = np.array(swap)[:, None]
        first, second = np.where(s, b, a).sum(0), np.where(s, a, b).sum(0)
        as_large += abs(float(ratio(first)[0] - ratio(second)[0])) >= observed - 1e-12
    assert paired_test(a, b, ratio, resamples=100).p == as_large / 64


def test_permutation_test_agrees_with_scipy_for_a_mean():
    rng = np.random.default_rng(5)
    a, b = rng.normal(0.3, 1, (2, 25))
    b = b - 0.3
    ones = np.ones(25)
    ours = paired_test(np.stack([a, ones], 1), np.stack([b, ones], 1), ratio)
    theirs = stats.permutation_test(
        (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=9999,
        random_state=0,
    )  # fmt: skip
    assert ours.p == pytest.approx(theirs.pvalue, abs=0.02)
    assert ours.difference == pytest.approx(a.mean() - b.mean())


def test_networks_that_are_alike_are_told_apart_no_more_often_than_they_may():
    rng = np.random.default_rng(2)
    wrong = 0
    for seed in range(300):
        base = cohort(rng, 8)
        a, b = base.copy(), base.copy()
        a[:, 0] += rng.normal(0, 20, 8)
        b[:, 0] += rng.normal(0, 20, 8)
        wrong += paired_test(a, b, ratio, resamples=100, seed=seed).p <= 0.05
    assert wrong / 300 <= 0.09


def test_a_clear_difference_is_found_and_few_units_say_how_little_they_can():
    rng = np.random.default_rng(6)
    a = cohort(rng, 20)
    b = a.copy()
    b[:, 0] -= 0.1 * b[:, 1]
    test = paired_test(a, b, ratio)
    assert test.p < 0.001
    assert test.low <= 0.1 + 1e-9
    assert test.high >= 0.1 - 1e-9
    few = paired_test(a[:3], b[:3], ratio)
    assert few.p == few.least_p == 0.25


def test_equal_networks_have_p_one():
    a = cohort(np.random.default_rng(7), 5)
    assert paired_test(a, a.copy(), ratio).p == 1.0


def test_units_must_be_the_same():
    with pytest.raises(ValueError, match="the same units"):
        paired_test(np.ones((3, 2)), np.ones((4, 2)), ratio)


def test_holm_by_hand_and_with_undefined_tests():
    # 0.01 * 3; 0.02 * 2; 0.9 * 1
    np.testing.assert_allclose(holm([0.02, 0.9, 0.01]), [0.04, 0.9, 0.03])
    np.testing.assert_allclose(holm([0.04, 0.03]), [0.06, 0.06])
    np.testing.assert_allclose(holm([math.nan, 0.6, 0.7]), [math.nan, 1.0, 1.0])
    assert holm([]).size == 0


def test_rows_of_a_unit_are_added_up():
    rows = np.array([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    np.testing.assert_array_equal(unit_sums(rows, ["b", "a", "b"]), [[10, 20], [101, 202]])
