"""A sheet to look at: before, after, hematoxylin alone, eosin alone, as figure 1 of the paper."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.dataset.normalize_items import Item
from paddleseg_sclc.dataset.paddleseg_format import read_image, write_png
from paddleseg_sclc.slides.reader import open_slide
from paddleseg_sclc.stain import StainFit, StainNormalizer, separate

_ROWS = 10
_CELL = 320
_GAP, _CAPTION = 6, 22
_TITLES = ("before", "after", "hematoxylin", "eosin")


def write_stain_sheet(path: Path, items: Sequence[Item], normalizer: StainNormalizer) -> int:
    """Write the sheet of at most ten of the files that are done, evenly spaced.

    Args:
        path: the PNG to write.
        items: what was normalised; what has no output is left out.
        normalizer: whose target tells the two stains apart; of a method without stains, the sheet
            has before and after only.

    Returns:
        How many rows it has; 0 writes none.
    """
    done = [item for item in items if item.output.is_file()]
    count = min(len(done), _ROWS)
    shown = [done[index * len(done) // count] for index in range(count)]
    if shown:
        write_png(path, np.vstack([_row(item, normalizer.target) for item in shown]))
    return count


def _row(item: Item, target: object) -> NDArray[np.uint8]:
    pictures = [_small(item.path, item.slide), _small(item.output, item.slide)]
    if isinstance(target, StainFit):
        pictures += separate(pictures[1], target.stain_matrix, target.background)
    cells = [
        _cell(picture, f"{title}  {item.path.name}" if column == 0 else title)
        for column, (picture, title) in enumerate(zip(pictures, _TITLES, strict=False))
    ]
    return np.hstack(cells)


def _small(path: Path, slide: bool) -> NDArray[np.uint8]:
    if slide:
        with open_slide(path) as opened:
            return opened.read_thumbnail(_CELL)
    image = read_image(path)
    scale = _CELL / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _cell(picture: NDArray[np.uint8], title: str) -> NDArray[np.uint8]:
    """Put a picture in the middle of a white cell with its title below."""
    cell = np.full((_CELL + _CAPTION + _GAP, _CELL + _GAP, 3), 255, np.uint8)
    height, width = picture.shape[:2]
    top, left = (_CELL - height) // 2, (_CELL - width) // 2
    cell[top : top + height, left : left + width] = picture
    text = title.encode("ascii", "replace").decode()[:44]
    where = (2, _CELL + _CAPTION - 7)
    cv2.putText(cell, text, where, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return cell
