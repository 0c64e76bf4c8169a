"""Optical density (Beer-Lambert): how strongly each channel is absorbed, natural logarithm."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def check_image(image: Any, where: str = "image") -> NDArray[np.uint8]:
    """Return `image` as it is, if it is an RGB image or a list of RGB pixels.

    Args:
        image: uint8, (H, W, 3) or (n, 3), RGB, not empty.
        where: what to call it in the message.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(image, np.ndarray):
        raise ValueError(f"{where}: must be a NumPy array, got {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[-1] != 3:
        raise ValueError(
            f"{where}: must be RGB uint8 of shape (H, W, 3) or (n, 3), "
            f"got {image.dtype} of shape {image.shape}; convert it first"
        )
    if image.size == 0:
        raise ValueError(f"{where}: must have at least one pixel, got shape {image.shape}")
    return image


def check_background(background: Any, where: str = "background") -> NDArray[np.float64]:
    """Return the light that passes where there is no tissue, as three float64.

    Args:
        background: one intensity or one a channel (R, G, B), whole numbers from 1 to 255.
        where: what to call it in the message.

    Raises:
        ValueError: it is something else.
    """
    try:
        values = np.broadcast_to(np.asarray(background, np.float64), (3,)).copy()
    except (TypeError, ValueError):
        values = np.full(3, np.nan)
    if not np.all((values >= 1) & (values <= 255) & (values == np.rint(values))):
        raise ValueError(
            f"{where}: must be one or three whole intensities from 1 to 255, got {background!r}"
        )
    return values


def optical_density(
    intensities: NDArray[np.float64], background: NDArray[np.float64], log_offset: int = 0
) -> NDArray[np.float64]:
    """Return `ln(background) - ln(max(I, 1))`, and 0 where I is brighter than the background.

    This one definition serves everything here: it is the inverse of `background * exp(-od)` for
    every intensity from 1 to the background.

    Args:
        intensities: any shape, 0 to 255; not changed.
        background: broadcastable to it, 1 to 255.
        log_offset: 1 gives `ln(background + 1) - ln(I + 1)`, from which the paper's release
            takes its concentrations.
    """
    cut = np.clip(intensities, 1 - log_offset, background)
    return np.log(background + log_offset) - np.log(cut + log_offset)


def od_table(background: ArrayLike = 255, log_offset: int = 0) -> NDArray[np.float64]:
    """Return the optical density of every intensity, float64 (256, 3)."""
    return optical_density(np.arange(256.0)[:, None], check_background(background), log_offset)


def rgb_to_od(image: NDArray[np.uint8], background: ArrayLike = 255.0) -> NDArray[np.float32]:
    """Turn intensities into optical densities.

    Args:
        image: RGB uint8, (H, W, 3) or (n, 3); not changed.
        background: light where there is no tissue, one or three whole intensities.

    Returns:
        float32 of the same shape, 0 to ln(255).
    """
    image = check_image(image)
    table = od_table(background).astype(np.float32)
    return np.stack([table[image[..., channel], channel] for channel in range(3)], axis=-1)


def od_to_rgb(od: ArrayLike, background: ArrayLike = 255.0) -> NDArray[np.uint8]:
    """Turn optical densities into intensities, `background * exp(-od)`, rounded.

    Args:
        od: optical densities, (..., 3); not changed.
        background: light where there is no tissue, one or three whole intensities.

    Returns:
        uint8 of the same shape.
    """
    values = np.asarray(od)
    if values.ndim == 0 or values.shape[-1] != 3:
        raise ValueError(f"od: must be of shape (..., 3), got {values.shape}")
    white = check_background(background).astype(values.dtype if values.dtype.kind == "f" else float)
    return np.clip(np.rint(white * np.exp(-values)), 0, 255).astype(np.uint8)


def stain_angles(stain_matrix: ArrayLike, other: ArrayLike) -> NDArray[np.float64]:
    """Return the angle between the same rows of two stain matrices, degrees, (2,)."""
    first, second = np.asarray(stain_matrix, np.float64), np.asarray(other, np.float64)
    first = first / np.linalg.norm(first, axis=-1, keepdims=True)
    second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    # Of the half angle, since the arc cosine of nearly 1 loses half the digits.
    half = np.arctan2(
        np.linalg.norm(first - second, axis=-1), np.linalg.norm(first + second, axis=-1)
    )
    return np.degrees(2 * half)
