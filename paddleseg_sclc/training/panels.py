"""Pictures for VisualDL: the same few validation patches, again and again."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.dataset.paddleseg_format import read_image
from paddleseg_sclc.inference.engine import Predictor

# Outlines, RGB: blue for what the pathologist drew, orange for what the network found.
LABEL_COLOR = (0, 114, 178)
PREDICTION_COLOR = (230, 159, 0)
_WIDTH = 384


def show_panels(
    writer: Any, predictor: Predictor, dataset: Any, count: int, iteration: int
) -> None:
    """Write panels of a few patches, always the same ones.

    Args:
        writer: of VisualDL.
        predictor: the network.
        dataset: a PaddleSeg dataset in mode `val`; one without a `file_list` gives no panels.
        count: how many.
        iteration: the step that they are written for.
    """
    if hasattr(dataset, "file_list"):
        for index in fixed_indices(len(dataset), count):
            name = Path(dataset.file_list[index][0]).stem
            writer.add_image(f"Validation/{name}", draw_panel(predictor, dataset, index), iteration)


def fixed_indices(size: int, count: int) -> list[int]:
    """Up to `count` indices spread evenly over a dataset of `size`, always the same."""
    count = min(size, count)
    return [i * size // count for i in range(count)]


def draw_panel(predictor: Predictor, dataset: Any, index: int) -> NDArray[np.uint8]:
    """A patch with outlines of label and prediction, beside the probability of class 1.

    Args:
        predictor: the network.
        dataset: a PaddleSeg dataset in mode `val`.
        index: of the patch.

    Returns:
        RGB, (h, 2 * 384, 3), the patch's aspect kept.
    """
    sample = dataset[index]
    probabilities = predictor.probabilities(sample)
    label = np.asarray(sample["label"]).reshape(probabilities.shape[1:])
    image = read_image(Path(dataset.file_list[index][0]))
    height = max(1, round(_WIDTH * image.shape[0] / image.shape[1]))
    left = cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    for mask, color in ((label, LABEL_COLOR), (probabilities.argmax(axis=0), PREDICTION_COLOR)):
        _draw_outline(left, mask == 1, color)
    gray = np.round(255 * probabilities[min(1, len(probabilities) - 1)]).astype(np.uint8)
    right = cv2.resize(gray, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    return np.hstack([left, np.repeat(right[..., None], 3, axis=2)])


def _draw_outline(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], color: tuple[int, int, int]
) -> None:
    size = (image.shape[1], image.shape[0])
    small = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(small, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, contours, -1, color, 2)
