"""Figures computed from a confusion matrix, and their registry.

A figure that is not defined is NaN, never an invented 0 or 1:

| case | what is NaN |
|---|---|
| a class in neither label nor prediction | its IoU, Dice, precision and recall |
| a class that is never predicted | its precision |
| a class that is in no label | its recall |
| one class only, in label and prediction alike | kappa (chance agreement is 1) |
| everything ignored | everything |

Means over classes (`miou`, `dice`) are over the classes where the figure is defined. (PaddleSeg
counts an absent class as 0 there, and its kappa is NaN in the same case as ours.)
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix: TypeAlias = NDArray[np.int64]
Figure: TypeAlias = "float | NDArray[np.float64]"
Metric: TypeAlias = Callable[[Matrix], Figure]

M = TypeVar("M", bound=Metric)

# Name -> function of a confusion matrix (rows label, columns prediction) that returns one
# figure, or one a class.
METRICS: dict[str, Metric] = {}


def register_metric(metric: M) -> M:
    """Add a function to `METRICS` under its own name; usable as a decorator.

    Raises:
        ValueError: another metric has this name.
    """
    name = metric.__name__
    if METRICS.setdefault(name, metric) is not metric:
        raise ValueError(f"register_metric: there is a metric {name!r} already")
    return metric


def compute(matrix: Matrix, names: Iterable[str] | None = None) -> dict[str, Figure]:
    """Compute the metrics named, all if None.

    Args:
        matrix: (C, C) counts, rows label, columns prediction; not changed.
        names: keys of `METRICS`.

    Raises:
        ValueError: a name is not registered.
    """
    names = list(METRICS if names is None else names)
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}, got {', '.join(unknown)}")
    return {name: METRICS[name](matrix) for name in names}


def _divide(dividend: ArrayLike, divisor: ArrayLike) -> NDArray[np.float64]:
    """Divide, NaN where the divisor is 0."""
    a, b = np.broadcast_arrays(np.asarray(dividend, np.float64), np.asarray(divisor, np.float64))
    return np.divide(a, b, out=np.full(a.shape, np.nan), where=b != 0)


def _mean(values: NDArray[np.float64]) -> float:
    """The mean of the values that are defined, NaN where none is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


@register_metric
def miou(matrix: Matrix) -> float:
    """Mean intersection over union (paper, equation 4) over the classes that occur."""
    return _mean(class_iou(matrix))


@register_metric
def accuracy(matrix: Matrix) -> float:
    """Share of the pixels whose class is right."""
    return float(_divide(np.trace(matrix), matrix.sum()))


@register_metric
def kappa(matrix: Matrix) -> float:
    """Cohen's kappa, unweighted (paper, equation 5)."""
    total = float(matrix.sum())
    observed = _divide(np.trace(matrix), total)
    # In float64: the product of two pixel counts overflows int64 on a few whole slides.
    chance = _divide(
        (matrix.sum(axis=0, dtype=np.float64) * matrix.sum(axis=1, dtype=np.float64)).sum(),
        total**2,
    )
    return float(_divide(observed - chance, 1.0 - chance))


@register_metric
def dice(matrix: Matrix) -> float:
    """Mean Dice coefficient (F1) over the classes that occur."""
    return _mean(class_dice(matrix))


@register_metric
def class_iou(matrix: Matrix) -> NDArray[np.float64]:
    """Intersection over union of each class, (C,)."""
    hits = np.diag(matrix)
    return _divide(hits, matrix.sum(axis=0) + matrix.sum(axis=1) - hits)


@register_metric
def class_dice(matrix: Matrix) -> NDArray[np.float64]:
    """Dice coefficient (F1) of each class, (C,)."""
    return _divide(2 * np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1))


@register_metric
def class_precision(matrix: Matrix) -> NDArray[np.float64]:
    """Share of the pixels predicted as each class that are of it, (C,)."""
    return _divide(np.diag(matrix), matrix.sum(axis=0))


@register_metric
def class_recall(matrix: Matrix) -> NDArray[np.float64]:
    """Share of the pixels of each class that are predicted as it, (C,)."""
    return _divide(np.diag(matrix), matrix.sum(axis=1))
