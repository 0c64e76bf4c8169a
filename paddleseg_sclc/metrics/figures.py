"""Figures computed from a confusion matrix, and their registry.

A figure that is not defined is NaN, never an invented 0 or 1:

| case | what is NaN |
|---|---|
| a class in neither label nor prediction | its IoU, Dice, precision and recall |
| a class that is never predicted | its precision |
| a class that is in no label | its recall |
| no tumour in the label | sensitivity |
| nothing but tumour in the label | specificity |
| no tumour predicted | precision |
| tumour in neither label nor prediction | Dice of the tumour |
| one class only, in label and prediction alike | kappa (chance agreement is 1) |
| everything ignored | everything |

Means over classes (`miou`, `dice`) are over the classes where the figure is defined. (PaddleSeg
counts an absent class as 0 there, and its kappa is NaN in the same case as ours.)

Figures of the tumour are those of class 1 against all others. Every figure here takes a stack of
matrices, (..., C, C), as well, and then gives an array, (...) or (..., C).
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Counts are int64; weighted sums of them, as a bootstrap draws them, are float64.
Matrix: TypeAlias = NDArray[Any]
Figure: TypeAlias = "float | NDArray[np.float64]"
Metric: TypeAlias = Callable[[Matrix], Figure]

M = TypeVar("M", bound=Metric)

# The class that sensitivity, specificity, precision and Dice of the tumour are of.
TUMOUR = 1

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


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the last axis of the values that are defined, NaN where none is."""
    defined = ~np.isnan(values)
    return _divide(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))


def _one(values: ArrayLike) -> Any:
    """A float of a single figure, the array of those of a stack."""
    array = np.asarray(values, np.float64)
    return array if array.ndim else float(array)


def _hits(matrix: Matrix) -> NDArray:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _total(matrix: Matrix) -> NDArray[np.float64]:
    return matrix.sum(axis=(-2, -1), dtype=np.float64)


@register_metric
def miou(matrix: Matrix) -> float:
    """Mean intersection over union (paper, equation 4) over the classes that occur."""
    return _one(_mean(class_iou(matrix)))


@register_metric
def accuracy(matrix: Matrix) -> float:
    """Share of the pixels whose class is right."""
    return _one(_divide(_hits(matrix).sum(axis=-1), _total(matrix)))


@register_metric
def kappa(matrix: Matrix) -> float:
    """Cohen's kappa, unweighted (paper, equation 5)."""
    total = _total(matrix)
    observed = _divide(_hits(matrix).sum(axis=-1), total)
    # In float64: the product of two pixel counts overflows int64 on a few whole slides.
    predicted = matrix.sum(axis=-2, dtype=np.float64)
    actual = matrix.sum(axis=-1, dtype=np.float64)
    chance = _divide((predicted * actual).sum(axis=-1), total**2)
    return _one(_divide(observed - chance, 1.0 - chance))


@register_metric
def dice(matrix: Matrix) -> float:
    """Mean Dice coefficient (F1) over the classes that occur."""
    return _one(_mean(class_dice(matrix)))


@register_metric
def tumour_dice(matrix: Matrix) -> float:
    """Dice coefficient (F1) of the tumour."""
    return _one(class_dice(matrix)[..., TUMOUR])


@register_metric
def sensitivity(matrix: Matrix) -> float:
    """Share of the tumour that is found."""
    return _one(class_recall(matrix)[..., TUMOUR])


@register_metric
def specificity(matrix: Matrix) -> float:
    """Share of all else that is not taken for tumour."""
    actual = matrix[..., TUMOUR, :].sum(axis=-1, dtype=np.float64)
    invented = matrix[..., TUMOUR].sum(axis=-1, dtype=np.float64) - matrix[..., TUMOUR, TUMOUR]
    others = _total(matrix) - actual
    return _one(_divide(others - invented, others))


@register_metric
def precision(matrix: Matrix) -> float:
    """Share of what is predicted as tumour that is tumour."""
    return _one(class_precision(matrix)[..., TUMOUR])


@register_metric
def class_iou(matrix: Matrix) -> NDArray[np.float64]:
    """Intersection over union of each class, (C,)."""
    hits = _hits(matrix)
    return _divide(hits, matrix.sum(axis=-2) + matrix.sum(axis=-1) - hits)


@register_metric
def class_dice(matrix: Matrix) -> NDArray[np.float64]:
    """Dice coefficient (F1) of each class, (C,)."""
    return _divide(2 * _hits(matrix), matrix.sum(axis=-2) + matrix.sum(axis=-1))


@register_metric
def class_precision(matrix: Matrix) -> NDArray[np.float64]:
    """Share of the pixels predicted as each class that are of it, (C,)."""
    return _divide(_hits(matrix), matrix.sum(axis=-2))


@register_metric
def class_recall(matrix: Matrix) -> NDArray[np.float64]:
    """Share of the pixels of each class that are predicted as it, (C,)."""
    return _divide(_hits(matrix), matrix.sum(axis=-1))
