"""Validation: predictions against labels, gathered in one confusion matrix."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from paddleseg_sclc.inference.engine import Predictor
from paddleseg_sclc.metrics import ConfusionMatrix, compute
from paddleseg_sclc.metrics.figures import Figure, Matrix


@dataclass(frozen=True)
class Evaluation:
    """The result of a validation.

    Attributes:
        matrix: (C, C) counts over all pixels of all images, rows label, columns prediction.
        images: name and matrix of each image, in the dataset's order.
    """

    matrix: Matrix
    images: list[tuple[str, Matrix]]

    def figures(self, names: Iterable[str] | None = None) -> dict[str, Figure]:
        """Metrics pooled over all pixels, as the paper and PaddleSeg do."""
        return compute(self.matrix, names)


def evaluate(predictor: Predictor, dataset: Any) -> Evaluation:
    """Predict every image of a dataset at its original size and count.

    Args:
        predictor: the network.
        dataset: a PaddleSeg dataset in mode `val`, whose labels keep their original size.
    """
    total = ConfusionMatrix(dataset.num_classes, dataset.ignore_index)
    images = []
    # None: a bar on a terminal, nothing in a log file.
    bar = tqdm(range(len(dataset)), "validate", unit="image", disable=None, leave=False)
    for index in bar:
        sample = dataset[index]
        pred = predictor.logits(sample).argmax(axis=1).numpy()
        label = np.asarray(sample["label"]).reshape(pred.shape)
        images.append((str(dataset.file_list[index][0]), total.update(pred, label)))
    return Evaluation(total.matrix, images)
