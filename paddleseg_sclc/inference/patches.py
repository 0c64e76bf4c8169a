"""Prediction of patches: image files in, masks and pictures out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from paddleseg_sclc.dataset.paddleseg_format import read_image
from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.files import make_folder
from paddleseg_sclc.inference.engine import Predictor
from paddleseg_sclc.inference.pictures import overlay, write_palette_png, write_picture

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

# Folders under the output; the first two are PaddleSeg's names.
OVERLAY = "added_prediction"
PSEUDO_COLOUR = "pseudo_color_prediction"
MASK = "mask"
MASK_255 = "mask_255"
PROBABILITY = "probability"


@dataclass(frozen=True)
class Input:
    """An image to predict.

    Attributes:
        path: the file.
        name: its place under each output folder, without suffix; may hold slashes.
    """

    path: Path
    name: str


def find_inputs(image_path: Path) -> list[Input]:
    """The images that `--image_path` names: a file, a folder (with its subfolders) or a list.

    A list is a text file of a path a line, relative to the list; more after a blank (the mask of
    a PaddleSeg list) is left out.

    Raises:
        UsageError: there is no such file, no image, or two images share an output name.
    """
    if image_path.is_dir():
        files = sorted(p for p in image_path.rglob("*") if p.suffix.lower() in SUFFIXES)
        visible = [
            p for p in files if not any(part.startswith(".") for part in _parts(p, image_path))
        ]
        inputs = [Input(p, p.relative_to(image_path).with_suffix("").as_posix()) for p in visible]
    elif not image_path.is_file():
        raise UsageError(f"{image_path}: must be an image, a folder or a list, but is not there")
    elif image_path.suffix.lower() in SUFFIXES:
        inputs = [Input(image_path, image_path.stem)]
    else:
        inputs = _read_path_list(image_path)
    if not inputs:
        raise UsageError(f"{image_path}: must hold images ({', '.join(SUFFIXES)}), but has none")
    taken: dict[str, Path] = {}
    for item in inputs:
        if taken.setdefault(item.name, item.path) != item.path:
            raise UsageError(
                f"{item.path}: its results would overwrite those of {taken[item.name]}; rename one"
            )
    return inputs


def _parts(path: Path, root: Path) -> tuple[str, ...]:
    return path.relative_to(root).parts


def _read_path_list(path: Path) -> list[Input]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise UsageError(
            f"{path}: must be an image ({', '.join(SUFFIXES)}) or a UTF-8 list of paths"
        ) from None
    inputs = []
    for line in filter(None, map(str.strip, lines)):
        # A path with blanks stands alone on its line; else the mask may follow.
        whole = path.parent / line
        file = whole if whole.is_file() else path.parent / line.split()[0]
        relative = Path(line if whole.is_file() else line.split()[0])
        # A path that leads out of the list's folder must not lead out of the output.
        inside = not relative.is_absolute() and ".." not in relative.parts
        name = relative.with_suffix("").as_posix() if inside else relative.stem
        inputs.append(Input(file, name))
    return inputs


def predict_patches(
    predictor: Predictor,
    transforms: Any,
    inputs: Sequence[Input],
    output: Path,
    colours: NDArray[np.uint8],
    probability: bool = False,
    stains: Callable[[Path, NDArray[np.uint8]], NDArray[np.uint8]] | None = None,
) -> list[str]:
    """Predict each image and write its results, each file whole or not there.

    For an image NAME: `mask/NAME.png` (the class), `mask_255/NAME.png` (0 or 255, with two
    classes), `pseudo_color_prediction/NAME.png` (palette), `added_prediction/NAME.png` (overlay)
    and, asked for, `probability/NAME.png` (16-bit, 65535 is 1; of class 1 with two classes, else
    `NAME_classK.png` for each class K).

    Args:
        predictor: the network.
        transforms: PaddleSeg's `Compose` of the validation transforms.
        inputs: what to predict.
        output: folder.
        colours: (C, 3) of the classes.
        probability: write probabilities as well.
        stains: normalises an image; pictures show it as it was. None leaves all as they are.

    Returns:
        The faults of images that could not be read, a line each; the others are predicted.

    Raises:
        SclcError: the output cannot be written.
    """
    make_folder(output)
    faults = []
    for item in tqdm(inputs, "predict", unit="image", disable=None, leave=False):
        try:
            image = read_image(item.path)
        except SclcError as error:
            faults.append(str(error))
            continue
        stained = image if stains is None else stains(item.path, image)
        # Compose reads BGR, as OpenCV does, and turns it itself.
        bgr = cv2.cvtColor(stained, cv2.COLOR_RGB2BGR).astype(np.float32)
        probs = predictor.probabilities(transforms({"img": bgr, "trans_info": []}))
        _write_results(output, item.name, image, probs, colours, probability)
    return faults


def _write_results(
    output: Path,
    name: str,
    image: NDArray[np.uint8],
    probs: NDArray[np.float32],
    colours: NDArray[np.uint8],
    probability: bool,
) -> None:
    pred = probs.argmax(axis=0).astype(np.uint8)
    write_picture(output / MASK / f"{name}.png", pred)
    if len(probs) == 2:
        write_picture(output / MASK_255 / f"{name}.png", pred * np.uint8(255))
    write_palette_png(output / PSEUDO_COLOUR / f"{name}.png", pred, colours)
    write_picture(output / OVERLAY / f"{name}.png", overlay(image, pred, colours))
    if probability:
        for suffix, channel in _channels(len(probs)):
            levels = np.round(probs[channel] * 65535).astype(np.uint16)
            write_picture(output / PROBABILITY / f"{name}{suffix}.png", levels)


def _channels(num_classes: int) -> Iterable[tuple[str, int]]:
    return [("", 1)] if num_classes == 2 else [(f"_class{i}", i) for i in range(num_classes)]
