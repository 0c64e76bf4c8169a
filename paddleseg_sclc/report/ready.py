"""Ready predictions: masks (and probabilities) that a program, ours or another, has written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from paddleseg_sclc.dataset.paddleseg_format import Sample, read_mask
from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.evaluation import Prediction
from paddleseg_sclc.inference.patches import MASK, PROBABILITY

SUFFIXES = (".png", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class ReadyFiles:
    """The files of one image's prediction.

    Attributes:
        mask: classes.
        probability: of tumour, 8-bit or 16-bit grey; None where there is none.
    """

    mask: Path
    probability: Path | None


def find_ready(folder: Path, samples: Sequence[Sample], root: Path) -> list[ReadyFiles]:
    """The predictions of each sample in a folder.

    The folder is the output of tools/predict.py (with `mask/` and maybe `probability/`), or holds
    masks with the images' names.

    Raises:
        UsageError: there is no such folder.
        SclcError: an image has no prediction.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: must be a folder of predicted masks, but is not there")
    inside = folder / MASK if (folder / MASK).is_dir() else folder
    found, missing = [], []
    for sample in samples:
        mask = _find(inside, sample, root)
        if mask is None:
            missing.append(sample.image.name)
            continue
        found.append(ReadyFiles(mask, _find(folder / PROBABILITY, sample, root)))
    if missing:
        raise SclcError(
            f"{inside}: every image must have a predicted mask of its name, but "
            f"{', '.join(missing[:5])} ({len(missing)} of {len(samples)}) has none"
        )
    return found


def _find(folder: Path, sample: Sample, root: Path) -> Path | None:
    places = [Path(sample.image.stem)]
    if sample.image.is_relative_to(root):
        places.insert(0, sample.image.relative_to(root).with_suffix(""))
    for place in places:
        for suffix in SUFFIXES:
            path = folder / f"{place}{suffix}"
            if path.is_file():
                return path
    return None


def read_ready(
    files: Sequence[ReadyFiles], samples: Sequence[Sample], num_classes: int
) -> Iterator[Prediction]:
    """Read predictions and labels one by one.

    Masks hold classes, or with two classes 0 and 255.

    Raises:
        SclcError: a file cannot be read, has another size than the label, or other values.
    """
    pairs = list(zip(files, samples, strict=True))
    for ready, sample in tqdm(pairs, "evaluate", unit="image", disable=None, leave=False):
        label = read_mask(sample.mask)
        pred = _read_classes(ready.mask, num_classes)
        _check_size(ready.mask, pred, label)
        probs = None
        if ready.probability is not None:
            probs = _read_probability(ready.probability)
            _check_size(ready.probability, probs, label)
        yield Prediction(str(sample.image), pred, label, probs)


def _read_classes(path: Path, num_classes: int) -> NDArray[np.uint8]:
    mask = read_mask(path)
    values = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    if num_classes == 2 and set(values.tolist()) <= {0, 255}:
        return (mask == 255).astype(np.uint8)
    if values.max() >= num_classes:
        raise SclcError(
            f"{path}: a predicted mask must hold the values 0 to {num_classes - 1}, got "
            f"{values.max()}"
        )
    return mask


def _read_probability(path: Path) -> NDArray[np.float32]:
    values = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 2 or values.dtype not in (np.uint8, np.uint16):
        raise SclcError(
            f"{path}: probabilities must be a grey image of 8 or 16 bits; write them with "
            "tools/predict.py --probability"
        )
    return values.astype(np.float32) / np.iinfo(values.dtype).max


def _check_size(path: Path, array: NDArray, label: NDArray) -> None:
    if array.shape != label.shape:
        raise SclcError(
            f"{path}: must have the size of its label, {label.shape[1]}x{label.shape[0]}, got "
            f"{array.shape[1]}x{array.shape[0]}"
        )
