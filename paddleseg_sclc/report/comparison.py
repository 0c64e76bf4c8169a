"""Intervals of every figure, and tests between runs that were evaluated on the same units."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.metrics.bootstrap import (
    RESAMPLES,
    Estimates,
    PairedTest,
    bootstrap,
    holm,
    paired_test,
    unit_sums,
)
from paddleseg_sclc.report.provenance import (
    UNIT_PLURALS,
    Unit,
    choose_unit,
    unit_of,
)
from paddleseg_sclc.report.results import Result
from paddleseg_sclc.report.statistics import ALL, Sums

# A bootstrap of fewer units says nothing.
LEAST_UNITS = 5
# Of fewer units than this an interval is a rough one.
FEW_UNITS = 10


@dataclass(frozen=True)
class Figure:
    """A figure with its interval.

    Attributes:
        value: NaN where it is undefined.
        low: lower limit; NaN with fewer than two units.
        high: upper limit.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """A result with its figures.

    Attributes:
        result: what was measured.
        figures: key -> figure, pooled and averaged (`mean_...`).
        units: how many were drawn from.
    """

    result: Result
    figures: dict[str, Figure]
    units: int


@dataclass(frozen=True)
class Comparison:
    """Two rows compared by one figure.

    Attributes:
        first: name of the first row.
        second: name of the second.
        test: its outcome; None where the two were evaluated on different images.
        corrected_p: by Holm's method over all comparisons of the table.
    """

    first: str
    second: str
    test: PairedTest | None
    corrected_p: float


@dataclass(frozen=True)
class Table:
    """All that table and report show.

    Attributes:
        rows: in the order asked for.
        comparisons: of all pairs of rows.
        compared: the figure that they are compared by.
        unit: what the bootstrap draws.
        level: of the intervals.
        resamples: of the bootstrap.
    """

    rows: Sequence[Row]
    comparisons: Sequence[Comparison]
    compared: str
    unit: Unit
    level: float
    resamples: int

    @property
    def length_unit(self) -> str:
        """Of distances: `um` or `px`."""
        return self.rows[0].result.length_unit

    def method(self) -> list[str]:
        """How the figures came about, in sentences."""
        counts = sorted({row.units for row in self.rows})
        units = " or ".join(map(str, counts)) + " " + UNIT_PLURALS[self.unit]
        lines = [
            "Pooled figures count all pixels of all images together, as the paper and PaddleSeg "
            "do; averaged ones are computed for each image, then averaged over those in which "
            "they are defined.",
            f"Intervals: {self.level:.0%}, BCa bootstrap of {self.resamples} draws over {units}.",
        ]
        if counts[0] < LEAST_UNITS:
            lines.append(
                f"Fewer than {LEAST_UNITS} {UNIT_PLURALS[self.unit]} are too few for an interval: "
                "it is left out."
            )
        elif counts[0] < FEW_UNITS:
            lines.append(
                f"With so few {UNIT_PLURALS[self.unit]} the intervals are rough, and mostly too "
                "narrow."
            )
        if self.unit != "patient":
            known = all(o.patient for row in self.rows for o in row.result.origins)
            lines.append(
                ("" if known else "Patients are not known. ")
                + f"The intervals take {UNIT_PLURALS[self.unit]} for independent; those of one "
                "patient are not, and with such they are too narrow."
            )
        return lines


def make_table(
    results: Sequence[Result],
    unit: str | None = None,
    compared: str = "miou",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Table:
    """Intervals of all results, and tests between all pairs.

    Args:
        results: measured.
        unit: what to draw; None for patients where they are known, else slides, else patches.
        compared: the figure that pairs are tested by, a key of `statistics.ALL`.
        level: of the intervals.
        resamples: of the bootstrap.
        seed: of the draws.

    Raises:
        UsageError: the unit is not known of every image.
    """
    chosen = choose_unit([origin for result in results for origin in result.origins], unit)
    sums = Sums(len(results[0].evaluation.matrix))
    rows = []
    for result in results:
        of_units = unit_sums(sums.rows(result.evaluation.images), _units(result, chosen))
        estimates = bootstrap(of_units, sums.figures, level, resamples, seed)
        rows.append(Row(result, _figures(estimates, len(of_units)), len(of_units)))
    comparisons = _compare(results, sums, chosen, compared, level, resamples, seed)
    return Table(rows, comparisons, compared, chosen, level, resamples)


def _units(result: Result, unit: Unit) -> list[str]:
    return [
        unit_of(origin, unit, image)
        for origin, image in zip(result.origins, result.images, strict=True)
    ]


def _figures(estimates: Estimates, units: int) -> dict[str, Figure]:
    low, high = estimates.low, estimates.high
    if units < LEAST_UNITS:
        low = high = np.full(len(low), np.nan)
    columns = (estimates.values, low, high)
    return {name: Figure(*(float(column[k]) for column in columns)) for k, name in enumerate(ALL)}


def _compare(
    results: Sequence[Result],
    sums: Sums,
    unit: Unit,
    compared: str,
    level: float,
    resamples: int,
    seed: int,
) -> list[Comparison]:
    def statistic(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return sums.figure(values, compared)

    tests: list[PairedTest | None] = []
    pairs = list(combinations(results, 2))
    for first, second in pairs:
        if sorted(first.images) != sorted(second.images):
            tests.append(None)
            continue
        both = [
            unit_sums(sums.rows(result.evaluation.images), _units(result, unit))
            for result in (first, second)
        ]
        test = paired_test(both[0], both[1], statistic, level, resamples, seed)
        if len(both[0]) < LEAST_UNITS:
            test = replace(test, low=float("nan"), high=float("nan"))
        tests.append(test)
    corrected = holm([test.p if test else float("nan") for test in tests])
    return [
        Comparison(first.name, second.name, test, float(p))
        for (first, second), test, p in zip(pairs, tests, corrected, strict=True)
    ]
