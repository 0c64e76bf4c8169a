"""On-line augmentation for PaddleSeg configs: a new version of each patch every time it is read.

    train_dataset:
      transforms:
        - type: RandomFlips
        - type: RandomRightAngle
        - type: RandomStainJitter
        - type: Resize
          target_size: [256, 256]
        - type: Normalize

Importing this module registers the classes with PaddleSeg. Like PaddleSeg's own they take and
return a dict with `img`, (H, W, C) float32 from 0 to 255, and the labels that `gt_fields` names,
and draw from the global generators of Python and NumPy, whose seeds decide. The image keeps its
size; labels move with it and are never interpolated. The classes stand before Normalize.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from paddleseg.cvlibs import manager

from paddleseg_sclc.stain.dictionary import RUIFROK
from paddleseg_sclc.stain.jitter import jitter_stains

Data = dict[str, Any]
Border = Literal["reflect", "fill"]
Warp = Callable[[NDArray, int, float], NDArray]
# Types that OpenCV moves about; others go through float32, which holds every class.
_CV_TYPES = (np.uint8, np.uint16, np.int16, np.float32)


@manager.TRANSFORMS.add_component
class RandomFlips:
    """Flip left to right and upside down, each with its own probability.

    Args:
        horizontal: probability of left to right.
        vertical: probability of upside down: tissue on a slide knows no up.
    """

    def __init__(self, horizontal: float = 0.5, vertical: float = 0.5) -> None:
        self.horizontal = _checked("horizontal", horizontal, 0, 1)
        self.vertical = _checked("vertical", vertical, 0, 1)

    def __call__(self, data: Data) -> Data:
        """Transform a sample in place."""
        if random.random() < self.horizontal:
            _each(data, lambda array: np.ascontiguousarray(array[:, ::-1]))
        if random.random() < self.vertical:
            _each(data, lambda array: np.ascontiguousarray(array[::-1]))
        return data


@manager.TRANSFORMS.add_component
class RandomRightAngle:
    """Turn by 0, 90, 180 or 270 degrees, each as likely; an image that is no square by 0 or 180.

    Args:
        prob: of turning at all.
    """

    def __init__(self, prob: float = 1.0) -> None:
        self.prob = _checked("prob", prob, 0, 1)

    def __call__(self, data: Data) -> Data:
        """Transform a sample in place."""
        turns = random.randrange(4)
        if random.random() < self.prob:
            height, width = data["img"].shape[:2]
            turns = turns if height == width else turns // 2 * 2
            _each(data, lambda array: np.ascontiguousarray(np.rot90(array, turns)))
        return data


@manager.TRANSFORMS.add_component
class RandomFreeRotation:
    """Turn about the centre by any angle; the size stays, corners are cut off.

    Args:
        max_angle: in degrees, to either side.
        prob: of turning at all.
        border: what comes in from beyond the edges: the patch's own reflection, or `fill`.
        image_fill: grey of the fill.
        label_fill: class of the fill; 255 is ignored in training.
    """

    def __init__(
        self,
        max_angle: float = 180.0,
        prob: float = 0.5,
        border: Border = "reflect",
        image_fill: float = 0,
        label_fill: int = 255,
    ) -> None:
        self.max_angle = _checked("max_angle", max_angle, 0, 180)
        self.prob = _checked("prob", prob, 0, 1)
        self.border = _Border(border, image_fill, label_fill)

    def __call__(self, data: Data) -> Data:
        """Transform a sample in place."""
        angle = random.uniform(-self.max_angle, self.max_angle)
        if random.random() < self.prob:
            height, width = data["img"].shape[:2]
            centre = (width - 1) / 2, (height - 1) / 2
            self.border.warp_affine(data, cv2.getRotationMatrix2D(centre, angle, 1.0))
        return data


@manager.TRANSFORMS.add_component
class RandomOffset:
    """Shift by whole pixels.

    Args:
        max_shift: greatest shift each way, as a part of the image's side.
        prob: of shifting at all.
        border: what comes in from beyond the edges: the patch's own reflection, or `fill`.
        image_fill: grey of the fill.
        label_fill: class of the fill; 255 is ignored in training.
    """

    def __init__(
        self,
        max_shift: float = 0.25,
        prob: float = 0.5,
        border: Border = "reflect",
        image_fill: float = 0,
        label_fill: int = 255,
    ) -> None:
        self.max_shift = _checked("max_shift", max_shift, 0, 0.9)
        self.prob = _checked("prob", prob, 0, 1)
        self.border = _Border(border, image_fill, label_fill)

    def __call__(self, data: Data) -> Data:
        """Transform a sample in place."""
        right, down = (random.uniform(-self.max_shift, self.max_shift) for _ in range(2))
        if random.random() < self.prob:
            height, width = data["img"].shape[:2]
            shift = np.array([[1, 0, round(right * width)], [0, 1, round(down * height)]], float)
            self.border.warp_affine(data, shift)
        return data


@manager.TRANSFORMS.add_component
class RandomElastic:
    """Bend the tissue smoothly, as cutting and mounting a section does.

    Displacements are drawn on a coarse lattice and interpolated between its points.

    Args:
        max_bend: greatest displacement of a lattice point each way, in pixels.
        spacing: of the lattice in pixels; with max_bend below a third of it nothing folds over.
        prob: of bending at all.
        border: what comes in from beyond the edges: the patch's own reflection, or `fill`.
        image_fill: grey of the fill.
        label_fill: class of the fill; 255 is ignored in training.
    """

    def __init__(
        self,
        max_bend: float = 10.0,
        spacing: float = 64.0,
        prob: float = 0.5,
        border: Border = "reflect",
        image_fill: float = 0,
        label_fill: int = 255,
    ) -> None:
        self.spacing = _checked("spacing", spacing, 2, 4096)
        self.max_bend = _checked("max_bend", max_bend, 0, spacing / 3)
        self.prob = _checked("prob", prob, 0, 1)
        self.border = _Border(border, image_fill, label_fill)

    def __call__(self, data: Data) -> Data:
        """Transform a sample in place."""
        height, width = data["img"].shape[:2]
        points = [int(np.ceil(side / self.spacing)) + 1 for side in (height, width)]
        bends = np.random.uniform(-self.max_bend, self.max_bend, (2, *points)).astype(np.float32)
        if random.random() < self.prob:
            # Level with the lattice: its first point on the first pixel, its last beyond the edge.
            y, x = np.mgrid[:height, :width].astype(np.float32)
            at = x / np.float32(self.spacing), y / np.float32(self.spacing)
            across, down = (cv2.remap(bend, *at, cv2.INTER_CUBIC) for bend in bends)
            self.border.remap(data, x + across, y + down)
        return data


@manager.TRANSFORMS.add_component
class RandomStainJitter:
    """Change stains in optical density, as if another laboratory had stained the section.

    See `paddleseg_sclc.stain.jitter.jitter_stains`.

    Args:
        scale: a concentration is multiplied by exp(u), u from -scale to scale.
        shift: so much is added to the concentrations, from -shift to shift.
        turn: stain vectors are turned by up to so many degrees.
        prob: of changing them at all.
        stain_matrix: (2, 3), hematoxylin first: of the target that patches were normalised to;
            None for Ruifrok and Johnston's H&E.
        background: intensity of bare glass, one number or three, R first.
        to_rgb: how `Compose` hands over the image: as RGB, which is PaddleSeg's default, or BGR.
    """

    def __init__(
        self,
        scale: float = 0.2,
        shift: float = 0.0,
        turn: float = 3.0,
        prob: float = 0.8,
        stain_matrix: Sequence[Sequence[float]] | None = None,
        background: int | Sequence[int] = 255,
        to_rgb: bool = True,
    ) -> None:
        self.scale = _checked("scale", scale, 0, 3)
        self.shift = _checked("shift", shift, 0, 3)
        self.turn = _checked("turn", turn, 0, 90)
        self.prob = _checked("prob", prob, 0, 1)
        self.stain_matrix = RUIFROK if stain_matrix is None else np.asarray(stain_matrix, float)
        self.background = background
        self.to_rgb = to_rgb
        # A matrix or background that does not do is found here and not hours into training.
        self._jittered(np.full((1, 1, 3), 255, np.uint8), np.random.default_rng(0))

    def __call__(self, data: Data) -> Data:
        """Transform a sample in place."""
        # 128 bits of NumPy's global generator, so that its seed decides.
        words = np.random.randint(0, 2**32, 4, dtype=np.uint32)
        if random.random() < self.prob:
            image = data["img"]
            if image.ndim != 3 or image.shape[2] != 3 or image.min() < -0.5 or image.max() > 255.5:
                raise ValueError(
                    "RandomStainJitter: an image must have 3 channels from 0 to 255, got "
                    f"{image.shape} from {image.min():g} to {image.max():g}; "
                    "put it before Normalize"
                )
            pixels = np.rint(image).clip(0, 255).astype(np.uint8)
            rgb = pixels if self.to_rgb else pixels[:, :, ::-1]
            rgb = self._jittered(rgb, np.random.default_rng(words))
            data["img"] = np.ascontiguousarray(rgb if self.to_rgb else rgb[:, :, ::-1], image.dtype)
        return data

    def _jittered(self, rgb: NDArray, generator: np.random.Generator) -> NDArray:
        return jitter_stains(
            rgb, generator, self.stain_matrix, self.background,
            scale=self.scale, shift=self.shift, turn=self.turn,
        )  # fmt: skip


class _Border:
    """How images and labels are moved, and what comes in from beyond their edges."""

    def __init__(self, border: str, image_fill: float, label_fill: int) -> None:
        if border not in ("reflect", "fill"):
            raise ValueError(f"border: must be reflect or fill, got {border!r}")
        self.mode = cv2.BORDER_REFLECT_101 if border == "reflect" else cv2.BORDER_CONSTANT
        self.image_fill = _checked("image_fill", image_fill, 0, 255)
        self.label_fill = _checked("label_fill", label_fill, 0, 255)

    def warp_affine(self, data: Data, matrix: NDArray) -> None:
        """Move all by a (2, 3) matrix that takes a place of the old image to one of the new."""
        height, width = data["img"].shape[:2]

        def warp(array: NDArray, interpolation: int, fill: float) -> NDArray:
            return cv2.warpAffine(
                array, matrix, (width, height),
                flags=interpolation, borderMode=self.mode, borderValue=(fill,) * 4,
            )  # fmt: skip

        self._apply(data, warp)

    def remap(self, data: Data, x: NDArray, y: NDArray) -> None:
        """Fetch each pixel from the place (x, y), both (H, W) float32."""

        def warp(array: NDArray, interpolation: int, fill: float) -> NDArray:
            return cv2.remap(
                array, x, y, interpolation, borderMode=self.mode, borderValue=(fill,) * 4
            )

        self._apply(data, warp)

    def _apply(self, data: Data, warp: Warp) -> None:
        data["img"] = _moved(data["img"], warp, cv2.INTER_LINEAR, self.image_fill)
        for key in data.get("gt_fields", []):
            data[key] = _moved(data[key], warp, cv2.INTER_NEAREST, self.label_fill)


def _moved(array: NDArray, warp: Warp, interpolation: int, fill: float) -> NDArray:
    known = array if array.dtype in _CV_TYPES else array.astype(np.float32)
    moved = warp(np.ascontiguousarray(known), interpolation, fill)
    return moved.reshape(array.shape).astype(array.dtype, copy=False)


def _each(data: Data, change: Callable[[NDArray], NDArray]) -> None:
    """Change the image and what moves with it."""
    for key in ("img", *data.get("gt_fields", [])):
        data[key] = change(data[key])


def _checked(name: str, value: float, least: float, greatest: float) -> float:
    """A number from a config.

    Raises:
        ValueError: it is none, or out of range.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not least <= value <= greatest:
        raise ValueError(f"{name}: must be a number from {least:g} to {greatest:g}, got {value!r}")
    return value
