"""Evaluation: predictions against labels, image by image, in constant memory.

An image leaves behind its confusion matrix and a few dozen sums; nothing of its pixels is kept.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from paddleseg_sclc.inference.engine import Predictor
from paddleseg_sclc.metrics import compute
from paddleseg_sclc.metrics.boundary import BoundaryMatch, match_boundaries
from paddleseg_sclc.metrics.confusion import confusion_matrix
from paddleseg_sclc.metrics.figures import TUMOUR, Figure, Matrix
from paddleseg_sclc.metrics.probability import ProbabilityHistogram, calibration_sums


@dataclass(frozen=True)
class Prediction:
    """An image's prediction beside its label.

    Attributes:
        name: the image's, as its dataset lists it.
        pred: (H, W) integer classes.
        label: (H, W) integer classes, or the ignored value.
        probs: (H, W) float, probability of tumour; None where it is not known.
    """

    name: str
    pred: NDArray[np.integer]
    label: NDArray[np.integer]
    probs: NDArray[np.floating] | None = None


@dataclass(frozen=True)
class ImageResult:
    """What is kept of one image.

    Attributes:
        name: the image's, as its dataset lists it.
        matrix: (C, C) counts, rows label, columns prediction.
        boundary: of the tumour's outlines; None where it was not measured.
        calibration: (3, 15), see `calibration_sums`; None without probabilities.
    """

    name: str
    matrix: Matrix
    boundary: BoundaryMatch | None = None
    calibration: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        images: in the dataset's order.
        histogram: of the probabilities of all pixels; empty where there were none.
        seconds: per image, from the file to the prediction; 0 for ready predictions.
    """

    images: Sequence[ImageResult]
    histogram: ProbabilityHistogram = field(default_factory=ProbabilityHistogram)
    seconds: float = 0.0

    @property
    def matrix(self) -> Matrix:
        """(C, C) counts over all pixels of all images, rows label, columns prediction."""
        return np.sum([image.matrix for image in self.images], axis=0)

    def figures(self, names: Iterable[str] | None = None) -> dict[str, Figure]:
        """Metrics pooled over all pixels, as the paper and PaddleSeg do."""
        return compute(self.matrix, names)

    @staticmethod
    def join(parts: Sequence["Evaluation"]) -> "Evaluation":
        """One evaluation of the images of several, as of the folds of a cross-validation."""
        histogram = ProbabilityHistogram()
        for part in parts:
            histogram.add(part.histogram)
        images = [image for part in parts for image in part.images]
        seconds = sum(part.seconds * len(part.images) for part in parts) / len(images)
        return Evaluation(images, histogram, seconds)


def evaluate(predictor: Predictor, dataset: Any) -> Evaluation:
    """Predict every image of a dataset at its original size and count; confusion matrices only.

    Args:
        predictor: the network.
        dataset: a PaddleSeg dataset in mode `val`, whose labels keep their original size.
    """
    return count(predict_dataset(predictor, dataset), dataset.num_classes, dataset.ignore_index)


def predict_dataset(
    predictor: Predictor,
    dataset: Any,
    probabilities: bool = False,
    add_seconds: Callable[[float], None] = lambda _: None,
) -> Iterator[Prediction]:
    """Predict the images of a dataset one by one.

    Args:
        predictor: the network.
        dataset: a PaddleSeg dataset in mode `val`, whose labels keep their original size.
        probabilities: give the probability of tumour as well.
        add_seconds: called with the time that each image took, reading included.
    """
    # None: a bar on a terminal, nothing in a log file.
    bar = tqdm(range(len(dataset)), "validate", unit="image", disable=None, leave=False)
    for index in bar:
        start = time.perf_counter()
        sample = dataset[index]
        probs = None
        if probabilities:
            classes = predictor.probabilities(sample)
            probs, pred = classes[TUMOUR], classes.argmax(axis=0)
        else:
            pred = predictor.logits(sample).argmax(axis=1).numpy()[0]
        add_seconds(time.perf_counter() - start)
        label = np.asarray(sample["label"]).reshape(pred.shape)
        yield Prediction(str(dataset.file_list[index][0]), pred, label, probs)


def count(
    predictions: Iterable[Prediction], num_classes: int, ignore_index: int | None = 255
) -> Evaluation:
    """Confusion matrices of predictions, and nothing else."""
    return Evaluation(
        [
            ImageResult(p.name, confusion_matrix(p.pred, p.label, num_classes, ignore_index))
            for p in predictions
        ]
    )


def measure(
    predictions: Iterable[Prediction],
    num_classes: int,
    ignore_index: int | None = 255,
    spacing: Mapping[str, tuple[float, float]] | None = None,
    tolerance: float | None = None,
) -> Evaluation:
    """All that can be known of predictions.

    Args:
        predictions: read once, one after the other.
        num_classes: number of classes.
        ignore_index: label value of pixels that are not counted; None counts all.
        spacing: image name -> micrometres a pixel down and across; None measures distances in
            pixels.
        tolerance: of the boundary F-score, in the same unit; None for 0.75 % of the diagonal.

    Raises:
        ValueError: shapes differ, or a class or probability is out of range.
        KeyError: `spacing` lacks an image.
    """
    histogram = ProbabilityHistogram()
    images = []
    for item in predictions:
        matrix = confusion_matrix(item.pred, item.label, num_classes, ignore_index)
        valid = np.ones(item.label.shape, bool)
        if ignore_index is not None:
            valid = item.label != ignore_index
        tumour = item.label == TUMOUR
        boundary = match_boundaries(
            item.pred == TUMOUR,
            tumour,
            spacing[item.name] if spacing else (1.0, 1.0),
            tolerance,
            valid,
        )
        calibration = None
        if item.probs is not None:
            probs, positive = item.probs[valid], tumour[valid]
            histogram.update(probs, positive)
            calibration = calibration_sums(probs, positive)
        images.append(ImageResult(item.name, matrix, boundary, calibration))
    return Evaluation(images, histogram)
