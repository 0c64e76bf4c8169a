"""Which images are shown, and how: the panels of the paper's figure 4, and maps of errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.dataset.paddleseg_format import IGNORE_INDEX, Sample, read_image, read_mask
from paddleseg_sclc.errors import UsageError
from paddleseg_sclc.metrics.figures import TUMOUR
from paddleseg_sclc.report.results import Result
from paddleseg_sclc.report.statistics import figures_of_image

# Okabe and Ito's blue and vermilion: told apart with any colour vision, and in grey by lightness.
MISSED = (0, 114, 178)
INVENTED = (213, 94, 0)
_IGNORED = 128
# How much of the image is left under an error map.
_FAINT = 0.45


@dataclass(frozen=True)
class Shown:
    """A run's prediction of a chosen image.

    Attributes:
        run: name of the row.
        prediction: file of the predicted classes.
        miou: of this image.
    """

    run: str
    prediction: Path
    miou: float


@dataclass(frozen=True)
class Choice:
    """An image that is shown.

    Attributes:
        why: `worst`, `median`, `best` or `named`.
        sample: its files.
        runs: the predictions, in the table's order.
    """

    why: str
    sample: Sample
    runs: Sequence[Shown]


def choose_images(results: Sequence[Result], named: Sequence[str] = ()) -> list[Choice]:
    """The worst, median and best image by mIoU (mean over the runs), and those named.

    Args:
        results: with kept predictions.
        named: names, with or without suffix, or paths.

    Raises:
        UsageError: a name is of no image, or of several.
    """
    shown: dict[str, list[Shown]] = {}
    sample_of: dict[str, Sample] = {}
    for result in results:
        assert result.kept is not None
        for index, (key, image) in enumerate(
            zip(result.images, result.evaluation.images, strict=True)
        ):
            miou = figures_of_image(image)["miou"]
            shown.setdefault(key, []).append(Shown(result.name, result.kept / f"{index}.png", miou))
            sample_of[key] = result.samples[index]
    score = {key: _mean([item.miou for item in items]) for key, items in shown.items()}
    # Of the images that most runs were evaluated on.
    most = max(len(items) for items in shown.values())
    common = [k for k in score if len(shown[k]) == most and score[k] == score[k]]
    ranked = sorted(common, key=lambda key: score[key])
    chosen: dict[str, str] = {}
    if ranked:
        for why, rank in (("worst", 0), ("median", len(ranked) // 2), ("best", -1)):
            chosen.setdefault(ranked[rank], why)
    for name in named:
        chosen.setdefault(_find(name, list(shown)), "named")
    return [Choice(why, sample_of[key], shown[key]) for key, why in chosen.items()]


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if value == value]
    return sum(defined) / len(defined) if defined else float("nan")


def _find(name: str, keys: Sequence[str]) -> str:
    found = [key for key in keys if name in (Path(key).stem, Path(key).name)]
    if not found:
        found = [key for key in keys if Path(key) == Path(name).resolve()]
    if len(found) != 1:
        raise UsageError(
            f"--images {name}: must be the name of one evaluated image, but "
            f"{len(found) or 'none'} of {len(keys)} has it"
            + ("" if found else f"; there is for example {Path(keys[0]).stem}")
        )
    return found[0]


@dataclass(frozen=True)
class Panels:
    """A chosen image's panels, (S, S') uint8 each, grey or RGB.

    Attributes:
        image: RGB.
        truth: grey, as the paper draws it: tumour white.
        predictions: grey, one a run.
        errors: RGB, one a run.
    """

    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    predictions: Sequence[NDArray[np.uint8]]
    errors: Sequence[NDArray[np.uint8]]


def draw_panels(choice: Choice, side: int = 320) -> Panels:
    """Read a chosen image and draw its panels, the longer side `side` pixels.

    Raises:
        SclcError: a file cannot be read.
    """
    image = _shrunk(read_image(choice.sample.image), side, cv2.INTER_AREA)
    label = _shrunk(read_mask(choice.sample.mask), side, cv2.INTER_NEAREST)
    preds = [_shrunk(read_mask(item.prediction), side, cv2.INTER_NEAREST) for item in choice.runs]
    return Panels(
        image,
        _black_and_white(label),
        [_black_and_white(pred) for pred in preds],
        [draw_errors(image, label, pred) for pred in preds],
    )


def _shrunk(array: NDArray[np.uint8], side: int, how: int) -> NDArray[np.uint8]:
    height, width = array.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Enlarged, pixels stay pixels.
    return cv2.resize(array, size, interpolation=how if scale < 1 else cv2.INTER_NEAREST)


def _black_and_white(classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Tumour white, all else black, ignored grey; further classes between."""
    highest = max(int(classes[classes != IGNORE_INDEX].max(initial=0)), TUMOUR)
    shade = np.linspace(255, 90, highest).round().astype(np.uint8)
    table = np.zeros(256, np.uint8)
    table[1 : highest + 1] = shade
    table[IGNORE_INDEX] = _IGNORED
    return table[classes]


def draw_errors(
    image: NDArray[np.uint8], label: NDArray[np.uint8], pred: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Paint missed tumour blue and invented tumour vermilion over a faint grey image.

    Args:
        image: (H, W, 3) uint8, RGB; not changed.
        label: (H, W) classes; ignored pixels are no errors.
        pred: (H, W) classes.

    Returns:
        (H, W, 3) uint8, RGB; the label's outline is black.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    faint = (255 - (255 - grey) * _FAINT).round().astype(np.uint8)
    result = np.repeat(faint[..., None], 3, axis=2)
    valid = label != IGNORE_INDEX
    tumour = label == TUMOUR
    result[valid & tumour & (pred != TUMOUR)] = MISSED
    result[valid & ~tumour & (pred == TUMOUR)] = INVENTED
    outlines, _ = cv2.findContours(
        (tumour & valid).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(result, outlines, -1, (0, 0, 0), 1)
    return result
