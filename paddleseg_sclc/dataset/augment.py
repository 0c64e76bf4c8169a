"""The paper's offline augmentation: four more versions of each patch (134 patches make 670).

`mirror` is upside down, `flip` left to right, `rotate` by an angle, `offset` shifted; what a
rotation or a shift uncovers is filled. Image and mask move alike; masks are never interpolated.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

VARIANTS = ("mirror", "flip", "rotate", "offset")


@dataclass(frozen=True)
class AugmentOptions:
    """How the variants are made.

    Attributes:
        variants: which, of VARIANTS.
        seed: with it, a patch's name and the variant, angle and shift are the same everywhere.
        angle: least and greatest angle of `rotate` in degrees, to either side.
        shift: least and greatest shift of `offset`, each way, as parts of the patch's sides.
        image_fill: grey of what is uncovered; the paper's is 0, black.
        mask_fill: its class; the paper's is 0, background. 255 leaves it out of loss and metrics.
    """

    variants: tuple[str, ...] = VARIANTS
    seed: int = 0
    angle: tuple[float, float] = (10.0, 45.0)
    shift: tuple[float, float] = (0.05, 0.25)
    image_fill: int = 0
    mask_fill: int = 0

    def __post_init__(self) -> None:
        unknown = set(self.variants) - set(VARIANTS)
        if unknown or len(set(self.variants)) != len(self.variants):
            raise ValueError(f"variants: must be different ones of {VARIANTS}, got {self.variants}")
        if not 0 <= self.angle[0] <= self.angle[1] <= 180:
            raise ValueError(f"angle: must rise within 0 to 180 degrees, got {self.angle}")
        if not 0 <= self.shift[0] <= self.shift[1] < 1:
            raise ValueError(f"shift: must rise within 0 to below 1, got {self.shift}")
        if not (0 <= self.image_fill <= 255 and 0 <= self.mask_fill <= 255):
            raise ValueError("image_fill, mask_fill: must be from 0 to 255")


@dataclass(frozen=True)
class Variant:
    """One version of a patch.

    Attributes:
        kind: of VARIANTS.
        image: (H, W, 3) uint8 RGB, a new array.
        mask: (H, W) uint8, a new array.
        parameters: what was drawn for it: `angle` in degrees, counter-clockwise, or `right` and
            `down` in pixels.
    """

    kind: str
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    parameters: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


def variant_name(name: str, kind: str) -> str:
    """The name of a patch's variant."""
    return f"{name}_{kind}"


def augment(
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    name: str,
    options: AugmentOptions | None = None,
) -> Iterator[Variant]:
    """Make the variants of a patch, one at a time.

    Args:
        image: (H, W, 3) uint8 RGB; not changed.
        mask: (H, W) uint8; not changed.
        name: of the patch: the draws depend on it and the seed, on nothing else.
        options: which variants, and how.

    Yields:
        The variants in the order of `options.variants`.

    Raises:
        ValueError: image and mask differ in size.
    """
    options = options or AugmentOptions()
    if image.shape[:2] != mask.shape:
        raise ValueError(f"augment: mask {mask.shape} must fit image {image.shape}")
    for kind in options.variants:
        yield _MAKERS[kind](image, mask, _rng(options.seed, name, kind), options)


def _rng(seed: int, name: str, kind: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}/{kind}/{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def _mirror(
    image: NDArray, mask: NDArray, rng: np.random.Generator, options: AugmentOptions
) -> Variant:
    return Variant("mirror", image[::-1].copy(), mask[::-1].copy())


def _flip(
    image: NDArray, mask: NDArray, rng: np.random.Generator, options: AugmentOptions
) -> Variant:
    return Variant("flip", image[:, ::-1].copy(), mask[:, ::-1].copy())


def _rotate(
    image: NDArray, mask: NDArray, rng: np.random.Generator, options: AugmentOptions
) -> Variant:
    angle = float(rng.uniform(*options.angle) * rng.choice((-1, 1)))
    height, width = mask.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    return Variant(
        "rotate",
        _warped(image, matrix, cv2.INTER_LINEAR, options.image_fill),
        _warped(mask, matrix, cv2.INTER_NEAREST, options.mask_fill),
        MappingProxyType({"angle": angle}),
    )


def _offset(
    image: NDArray, mask: NDArray, rng: np.random.Generator, options: AugmentOptions
) -> Variant:
    height, width = mask.shape
    parts = rng.uniform(*options.shift, size=2) * rng.choice((-1, 1), size=2)
    right, down = (
        round(float(part * side)) for part, side in zip(parts, (width, height), strict=True)
    )
    return Variant(
        "offset",
        _shifted(image, right, down, options.image_fill),
        _shifted(mask, right, down, options.mask_fill),
        MappingProxyType({"right": right, "down": down}),
    )


_MAKERS = {"mirror": _mirror, "flip": _flip, "rotate": _rotate, "offset": _offset}


def _warped(array: NDArray, matrix: NDArray, interpolation: int, fill: int) -> NDArray[np.uint8]:
    height, width = array.shape[:2]
    border = (fill, fill, fill)
    return cv2.warpAffine(
        np.ascontiguousarray(array), matrix, (width, height),
        flags=interpolation, borderMode=cv2.BORDER_CONSTANT, borderValue=border,
    )  # fmt: skip


def _shifted(array: NDArray, right: int, down: int, fill: int) -> NDArray[np.uint8]:
    height, width = array.shape[:2]
    moved = np.full_like(array, fill)
    moved[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = array[
        max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)
    ]
    return moved
