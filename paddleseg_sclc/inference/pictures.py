"""Masks and overlays of a prediction, as image files."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from paddleseg_sclc.files import atomic_path

NOTICE = "Research use only. Not for diagnosis."
# Okabe and Ito's palette, which is told apart with any colour vision; orange stands out on H&E.
PALETTE = ((0, 0, 0), (230, 159, 0), (0, 114, 178), (0, 158, 115), (240, 228, 66), (204, 121, 167))
OVERLAY_OPACITY = 0.35


def parse_colours(values: Sequence[int] | None, num_classes: int) -> NDArray[np.uint8]:
    """The colour of each class, (num_classes, 3) uint8 RGB.

    Args:
        values: r, g, b of class 0, of class 1 and so on, 0 to 255, as PaddleSeg's
            `--custom_color` takes them; None for the default.
        num_classes: how many colours are needed.

    Raises:
        ValueError: there are not three values a class, or one is out of range.
    """
    if values is None:
        colours = [PALETTE[i % len(PALETTE)] for i in range(num_classes)]
        return np.array(colours, np.uint8)
    if len(values) != 3 * num_classes or not all(0 <= v <= 255 for v in values):
        raise ValueError(
            f"--custom_color must be {3 * num_classes} values from 0 to 255 (red, green and blue "
            f"of each of {num_classes} classes), got {list(values)}"
        )
    return np.array(values, np.uint8).reshape(-1, 3)


def overlay(
    image: NDArray[np.uint8], pred: NDArray[np.integer], colours: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Tint the predicted classes (all but 0) and draw their outlines.

    Args:
        image: (H, W, 3) uint8, RGB; not changed.
        pred: (H, W) classes.
        colours: (C, 3) uint8, RGB.

    Returns:
        (H, W, 3) uint8, RGB, with the research-use notice at the bottom where it fits.
    """
    tint = colours[pred].astype(np.float32)
    shown = (pred > 0)[..., None]
    mixed = np.where(shown, image * (1 - OVERLAY_OPACITY) + tint * OVERLAY_OPACITY, image)
    result = np.ascontiguousarray(mixed.round().astype(np.uint8))
    thickness = max(1, min(pred.shape) // 256)
    for value in range(1, len(colours)):
        outlines, _ = cv2.findContours(
            (pred == value).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(result, outlines, -1, colours[value].tolist(), thickness)
    return _write_notice(result)


def _write_notice(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    scale = max(0.3, min(height, width) / 1200)
    (text_width, text_height), _ = cv2.getTextSize(NOTICE, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    if text_width + 8 > width or text_height + 12 > height:
        return image
    band = image[height - text_height - 10 :]
    band[:] = (band * 0.4).astype(np.uint8)
    where = (4, height - 5)
    cv2.putText(
        image, NOTICE, where, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA
    )
    return image


def write_palette_png(path: Path, pred: NDArray[np.integer], colours: NDArray[np.uint8]) -> None:
    """Write classes as a palette PNG: its values are the classes, its look their colours."""
    image = Image.fromarray(pred.astype(np.uint8))
    image.putpalette(colours.tobytes(), "RGB")
    _save(image, path)


def write_picture(path: Path, pixels: NDArray) -> None:
    """Write (H, W) uint8 or uint16, or (H, W, 3) uint8, as PNG with the research-use notice."""
    _save(Image.fromarray(pixels), path)


def _save(image: Image.Image, path: Path) -> None:
    info = PngInfo()
    info.add_text("Comment", NOTICE)
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG", pnginfo=info)
