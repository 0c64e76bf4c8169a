"""Randomness that is a function of position: the same place looks the same in every region.

A scene is drawn region by region, so nothing may depend on the order or the size of the regions.
Values are therefore hashed from (seed, integer coordinates), not taken from a running generator.
Only IEEE-exact operations touch pixels (no float32 exp or sin), so bytes agree between machines.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
_MASK64 = (1 << 64) - 1
# Standard deviation of uniform(-1, 1) lattice values after 2-D cubic B-spline interpolation:
# the mean of the squared weights is 151/315 in each direction.
_BSPLINE_STD = float(np.sqrt(1 / 3) * 151 / 315)
TABLE_SIZE = 512


def hash_unit(seed: int, ix: NDArray, iy: NDArray, channel: int) -> Array:
    """Hash integer positions to float32 in [0, 1) (splitmix64's finaliser, 24 bits).

    Args:
        seed: of the scene.
        ix: (n,) integer x; broadcast against `iy`.
        iy: (n,) integer y.
        channel: an independent value for each.
    """
    start = np.uint64((seed * 0x9E3779B97F4A7C15 + channel * 0xD1B54A32D192ED03) & _MASK64)
    z = ix.astype(np.int64).astype(np.uint64) * np.uint64(0xBF58476D1CE4E5B9)
    z = z ^ (iy.astype(np.int64).astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F) + start)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def _bspline_weights(fraction: Array) -> Array:
    """Weights (n, 4) of the uniform cubic B-spline at `fraction` (n,) in [0, 1)."""
    t = fraction
    u = 1 - t
    weights = (u**3, 3 * t**3 - 6 * t**2 + 4, 3 * u**3 - 6 * u**2 + 4, t**3)
    return np.stack(weights, axis=-1).astype(np.float32) / np.float32(6)


def interpolate(lattice: Array, x: NDArray, y: NDArray) -> Array:
    """Interpolate lattice values on a grid of positions with a cubic B-spline.

    Args:
        lattice: (R, C) values at integer positions; node (0, 0) is at position (-1, -1).
        x: (W,) ascending positions in lattice units, within [0, C - 3).
        y: (H,) ascending positions, within [0, R - 3).

    Returns:
        (H, W) float32.
    """
    column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    weight_x = _bspline_weights((x - column).astype(np.float32))
    weight_y = _bspline_weights((y - row).astype(np.float32))
    rows = sum(lattice[row + k] * weight_y[:, k, None] for k in range(4))
    columns = np.ascontiguousarray(rows.T)
    out = sum(columns[column + k] * weight_x[:, k, None] for k in range(4))
    return np.ascontiguousarray(out.T)


def smooth_noise(seed: int, channel: int, pitch: float, x: NDArray, y: NDArray) -> Array:
    """Smooth noise of about zero mean and unit deviation on a grid of positions.

    Args:
        seed: of the scene.
        channel: an independent field for each.
        pitch: size of its features in the units of `x` and `y`.
        x: (W,) ascending positions.
        y: (H,) ascending positions.

    Returns:
        (H, W) float32.
    """
    x, y = x / pitch, y / pitch
    left, top = int(np.floor(x[0])), int(np.floor(y[0]))
    columns = np.arange(left - 1, int(np.floor(x[-1])) + 3)
    rows = np.arange(top - 1, int(np.floor(y[-1])) + 3)
    lattice = hash_unit(seed, columns[None, :], rows[:, None], channel) * 2 - 1
    return interpolate(lattice, x - left, y - top) / np.float32(_BSPLINE_STD)


@lru_cache(maxsize=8)
def noise_table(channel: int) -> NDArray[np.uint8]:
    """A periodic (512, 512) uint8 noise table, one feature a cell, for `lookup`; do not change."""
    rng = np.random.Generator(np.random.PCG64([channel, 77]))
    table = rng.normal(size=(TABLE_SIZE, TABLE_SIZE)) * 50 + 128
    return np.clip(np.rint(table), 0, 255).astype(np.uint8)


def lookup(seed: int, channel: int, u: Array, v: Array) -> Array:
    """Noise at any (H, W) positions, bilinear; about zero mean and unit deviation.

    It repeats after 512 units, which suits fine detail. OpenCV's remap works in fixed point on 8-bit images, so the result is exact everywhere.
    """
    size = np.float32(TABLE_SIZE)
    # Scenes read the same table from places of their own.
    u, v = u + np.float32(seed % 509), v + np.float32(seed // 509 % 503)
    u, v = u - np.floor(u / size) * size, v - np.floor(v / size) * size
    values = cv2.remap(noise_table(channel), u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return (values.astype(np.float32) - 128) * np.float32(1 / 35)
