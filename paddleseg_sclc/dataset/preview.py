"""A sheet of patches with the outlines of their masks: to be looked at before training."""

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.dataset.paddleseg_format import IGNORE_INDEX, write_png

_THUMB = 240
_CAPTION = 20
_GAP = 8
_COLUMNS = 6
MAX_PATCHES = 60
_OUTLINE = (255, 225, 0)
_SHADOW = (20, 20, 20)


def draw_thumb(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], caption: str
) -> NDArray[np.uint8]:
    """A small copy of a patch with its mask's outlines in yellow and a caption below.

    Args:
        image: (H, W, 3) uint8. Not changed.
        mask: (H, W) uint8, 1 inside the outlines; ignored pixels are hatched.
        caption: ASCII.

    Returns:
        (260, 240, 3) uint8 RGB.
    """
    size = (_THUMB, _THUMB)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    inside = cv2.resize((mask == 1).astype(np.uint8), size, interpolation=cv2.INTER_AREA)
    ignored = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST) == IGNORE_INDEX
    diagonal = np.add.outer(np.arange(_THUMB), np.arange(_THUMB)) % 10 == 0
    small[ignored & diagonal] = (170, 170, 170)
    contours, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for colour, thickness in ((_SHADOW, 3), (_OUTLINE, 1)):
        cv2.drawContours(small, contours, -1, colour, thickness)
    thumb = np.full((_THUMB + _CAPTION, _THUMB, 3), 255, np.uint8)
    thumb[:_THUMB] = small
    cv2.putText(
        thumb, caption, (2, _THUMB + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA
    )
    return thumb


def shown_patches(count: int) -> list[int]:
    """Which of `count` patches a sheet shows: all, or as many as fit, evenly spread."""
    if count <= MAX_PATCHES:
        return list(range(count))
    return [index * count // MAX_PATCHES for index in range(MAX_PATCHES)]


def write_sheet(path: Path, thumbs: list[NDArray[np.uint8]]) -> None:
    """Write thumbs, all of one size, as one PNG."""
    columns = min(_COLUMNS, len(thumbs))
    rows = math.ceil(len(thumbs) / columns)
    height, width = thumbs[0].shape[:2]
    sheet = np.full(
        (rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), 255, np.uint8
    )
    for index, thumb in enumerate(thumbs):
        row, column = divmod(index, columns)
        y, x = _GAP + row * (height + _GAP), _GAP + column * (width + _GAP)
        sheet[y : y + height, x : x + width] = thumb
    write_png(path, sheet)
