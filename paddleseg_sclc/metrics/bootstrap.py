"""How sure a figure is: bootstrap over independent units, and paired tests between networks.

Pixels of one patch, and patches of one patient, are alike; what is independent is the patient. So
whole units (patients, or slides, or patches) are drawn. Every figure is a function of sums over
units (counts of pixels, sums over images), so that a draw is a weighted sum of the units.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

# (..., D) sums -> (..., K) figures.
Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]

LEVEL = 0.95
RESAMPLES = 2000
# Up to this many, all ways to swap two networks' units are tried, so that p is exact.
_EXACT_UNITS = 12


@dataclass(frozen=True)
class Estimates:
    """Figures and their intervals.

    Attributes:
        values: (K,) of all units together.
        low: (K,) lower limits; NaN with fewer than two units.
        high: (K,) upper limits.
    """

    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class PairedTest:
    """One figure of two networks on the same units.

    Attributes:
        difference: first minus second.
        low: lower limit of the difference.
        high: its upper limit.
        p: two-sided, of the permutation test; not corrected.
        least_p: the smallest p that so few units can give.
    """

    difference: float
    low: float
    high: float
    p: float
    least_p: float


def bootstrap(
    sums: NDArray[np.float64],
    statistic: Statistic,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimates:
    """Bias-corrected and accelerated (BCa) bootstrap intervals of figures.

    The tails are widened as for Student's t (Hesterberg, What teachers should know about the
    bootstrap, 2015), since plain bootstrap intervals are too narrow for few units.

    Args:
        sums: (U, D), a row a unit; not changed.
        statistic: from sums to figures, for any leading axes.
        level: of the intervals.
        resamples: draws of U units with replacement.
        seed: of the draws; the same seed draws the same units.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 14.3.
    """
    values = statistic(sums.sum(axis=0))
    units = len(sums)
    if units < 2:
        unknown = np.full(values.shape, np.nan)
        return Estimates(values, unknown, unknown)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(units, np.full(units, 1 / units), size=resamples)
    drawn = statistic(weights @ sums)
    left_out = statistic(sums.sum(axis=0) - sums)
    limits = [
        _bca(drawn[:, k], left_out[:, k], float(values[k]), level, units)
        for k in range(len(values))
    ]
    low, high = np.array(limits).reshape(-1, 2).T
    return Estimates(values, low, high)


def _bca(
    drawn: NDArray[np.float64],
    left_out: NDArray[np.float64],
    value: float,
    level: float,
    units: int,
) -> tuple[float, float]:
    """BCa limits of one figure; draws in which it is undefined are left out."""
    drawn, left_out = drawn[np.isfinite(drawn)], left_out[np.isfinite(left_out)]
    if not np.isfinite(value) or len(drawn) < 2:
        return float("nan"), float("nan")
    below = ((drawn < value).mean() + (drawn <= value).mean()) / 2
    bias = special.ndtri(np.clip(below, 1 / len(drawn), 1 - 1 / len(drawn)))
    deviation = left_out.mean() - left_out if len(left_out) else np.zeros(1)
    spread = (deviation**2).sum() ** 1.5
    acceleration = (deviation**3).sum() / (6 * spread) if spread > 0 else 0.0
    tail = stats.t.ppf((1 - level) / 2, units - 1) * np.sqrt(units / (units - 1))
    limits = []
    for z in (tail, -tail):
        shifted = bias + z
        # Beyond this the correction turns round; the outermost draw is then the limit.
        room = max(1 - acceleration * shifted, 1e-6)
        limits.append(float(np.quantile(drawn, special.ndtr(bias + shifted / room))))
    return limits[0], limits[1]


def paired_test(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    statistic: Statistic,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedTest:
    """Compare one figure of two networks by a permutation test.

    Were the networks alike, it would not matter which of them gave which of a unit's two results.
    All ways to swap them are tried, or at random where there are too many.

    Args:
        first: (U, D) sums of the first network, a row a unit; not changed.
        second: (U, D) sums of the second, the same units in the same order; not changed.
        statistic: from sums to figures; the first one, (..., 1), is compared.
        level: of the interval of the difference.
        resamples: of the bootstrap; five times as many swaps are tried at random.
        seed: of the draws.

    Raises:
        ValueError: the shapes differ.
    """
    if first.shape != second.shape:
        raise ValueError(
            f"paired_test: both must have the same units, got {first.shape} and {second.shape}"
        )
    units, width = first.shape

    def difference(both: NDArray[np.float64]) -> NDArray[np.float64]:
        return statistic(both[..., :width])[..., :1] - statistic(both[..., width:])[..., :1]

    estimates = bootstrap(np.hstack([first, second]), difference, level, resamples, seed)
    observed = float(estimates.values[0])
    if units <= _EXACT_UNITS:
        swaps = (np.arange(2**units)[:, None] >> np.arange(units)) & 1
    else:
        swaps = np.random.default_rng(seed).integers(0, 2, (5 * resamples, units))
    total = first.sum(axis=0) + second.sum(axis=0)
    swapped = first.sum(axis=0) + swaps @ (second - first)
    permuted = np.abs(statistic(swapped)[:, 0] - statistic(total - swapped)[:, 0])
    # Sums in another order differ by rounding: what is as large must count as such.
    as_large = int((permuted >= abs(observed) - 1e-12).sum())
    if units <= _EXACT_UNITS:
        p, least = as_large / len(swaps), 2 / len(swaps)
    else:
        p, least = (as_large + 1) / (len(swaps) + 1), 1 / (len(swaps) + 1)
    if not np.isfinite(observed):
        p = float("nan")
    return PairedTest(
        observed, float(estimates.low[0]), float(estimates.high[0]), p, min(least, 1.0)
    )


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's correction for several tests: p-values that hold for all of them together.

    Args:
        p_values: (n,); NaN is no test and stays NaN.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Stat. 1979.
    """
    p = np.asarray(p_values, np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted


def unit_sums(rows: NDArray[np.float64], units: Sequence[str]) -> NDArray[np.float64]:
    """Add up the rows of each unit.

    Args:
        rows: (n, D), a row an image; not changed.
        units: the unit of each row.

    Returns:
        (U, D), units in alphabetical order.
    """
    names, index = np.unique(np.asarray(units, object).astype(str), return_inverse=True)
    sums = np.zeros((len(names), rows.shape[1]))
    np.add.at(sums, index, rows)
    return sums
