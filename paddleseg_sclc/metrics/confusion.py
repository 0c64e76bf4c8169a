"""The confusion matrix: rows are the labels, columns the predictions."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def confusion_matrix(
    pred: ArrayLike, label: ArrayLike, num_classes: int, ignore_index: int | None = 255
) -> NDArray[np.int64]:
    """Count the pixels of each (label, prediction) pair.

    Args:
        pred: integers in [0, num_classes), any shape; not changed.
        label: as many integers in [0, num_classes) or `ignore_index`; not changed.
        num_classes: number of classes.
        ignore_index: label value of pixels that are not counted; None counts all.

    Returns:
        (num_classes, num_classes) int64, `matrix[label, pred]`.

    Raises:
        ValueError: the shapes differ or a value is out of range.
    """
    # int64 first: label * num_classes + pred would wrap around in the uint8 of a mask.
    predicted = np.asarray(pred).astype(np.int64)
    actual = np.asarray(label).astype(np.int64)
    if predicted.shape != actual.shape:
        raise ValueError(
            "confusion_matrix: pred and label must have one shape, "
            f"got {predicted.shape} and {actual.shape}"
        )
    if ignore_index is not None:
        valid = actual != ignore_index
        predicted, actual = predicted[valid], actual[valid]
    for name, values in (("label", actual), ("pred", predicted)):
        if values.size and not (values.min() >= 0 and values.max() < num_classes):
            raise ValueError(
                f"confusion_matrix: {name} must be in [0, {num_classes}), got values from "
                f"{values.min()} to {values.max()}"
            )
    counts = np.bincount((actual * num_classes + predicted).ravel(), minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


class ConfusionMatrix:
    """A confusion matrix that grows image by image, in constant memory.

    Args:
        num_classes: number of classes.
        ignore_index: label value of pixels that are not counted; None counts all.

    Attributes:
        matrix: (num_classes, num_classes) int64, the counts so far.
    """

    def __init__(self, num_classes: int, ignore_index: int | None = 255) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.matrix = np.zeros((num_classes, num_classes), np.int64)

    def update(self, pred: ArrayLike, label: ArrayLike) -> NDArray[np.int64]:
        """Count one image or batch and return its own matrix; see `confusion_matrix`."""
        matrix = confusion_matrix(pred, label, self.num_classes, self.ignore_index)
        self.matrix += matrix
        return matrix
