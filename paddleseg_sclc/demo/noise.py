"""Randomness that is a function of position: the same place looks the same in every region.

A scene is drawn region by region, so nothing may depend on the order or the size of the regions.
Values are therefore hashed from (seed, integer coordinates), not taken from a running generator.
Pixels see IEEE-exact operations only (no float32 exp, sin or pow, whose last bit depends on the
processor), so that the same seed gives the same bytes on another machine.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
TABLE_SIZE = 512
_MASK64 = (1 << 64) - 1
# Standard deviation of uniform(-1, 1) lattice values after 2-D cubic B-spline interpolation:
# the mean over positions of the sum of squared weights is 151/315 in each direction.
_BSPLINE_STD = float(np.sqrt(1 / 3) * 151 / 315)
_TABLE_STD = 50.0
# Bilinear interpolation keeps (2/3)^2 of the variance on average.
_LOOKUP_STD = _TABLE_STD * 2 / 3


def hash_unit(seed: int, ix: NDArray, iy: NDArray, channel: int) -> Array:
    """Hash integer positions to float32 in [0, 1) (the finaliser of splitmix64, 24 bits kept).

    Args:
        seed: of the scene.
        ix: integer x; broadcast against `iy`.
        iy: integer y.
        channel: an independent value for each.
    """
    start = np.uint64((seed * 0x9E3779B97F4A7C15 + channel * 0xD1B54A32D192ED03) & _MASK64)
    z = ix.astype(np.int64).astype(np.uint64) * np.uint64(0xBF58476D1CE4E5B9)
    z = z ^ (iy.astype(np.int64).astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F) + start)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def _bspline_weights(t: Array) -> list[Array]:
    """Four weights of the uniform cubic B-spline at `t` (n,) in [0, 1)."""
    u = 1 - t
    t2, u2 = t * t, u * u
    sixth = np.float32(1 / 6)
    return [
        u2 * u * sixth,
        (3 * t2 * t - 6 * t2 + 4) * sixth,
        (3 * u2 * u - 6 * u2 + 4) * sixth,
        t2 * t * sixth,
    ]


def interpolate(
    lattice: Array, origin: tuple[int, int], x: NDArray[np.float64], y: NDArray[np.float64]
) -> Array:
    """Interpolate lattice values on a grid of positions with a cubic B-spline.

    Args:
        lattice: (R, C) values at integer positions, from `origin` on.
        origin: column and row of the first value. The lattice must reach from one before the
            first position to two beyond the last.
        x: (W,) positions in lattice units. The result depends on these, and not on `origin`.
        y: (H,) positions.

    Returns:
        (H, W) float32.
    """
    out = lattice
    for position, first in ((y, origin[1]), (x, origin[0])):
        whole = np.floor(position)
        node = whole.astype(np.int64) - (first + 1)
        weights = _bspline_weights((position - whole).astype(np.float32))
        total = out[node]
        total *= weights[0][:, None]
        for k in range(1, 4):
            part = out[node + k]
            part *= weights[k][:, None]
            total += part
        out = np.ascontiguousarray(total.T)
    return out


def smooth_noise(
    seed: int, channel: int, pitch: float, x: NDArray[np.float64], y: NDArray[np.float64]
) -> Array:
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
    columns = np.arange(int(np.floor(x[0])) - 1, int(np.floor(x[-1])) + 3)
    rows = np.arange(int(np.floor(y[0])) - 1, int(np.floor(y[-1])) + 3)
    lattice = hash_unit(seed, columns[None, :], rows[:, None], channel) * 2 - 1
    return interpolate(lattice / np.float32(_BSPLINE_STD), (columns[0], rows[0]), x, y)


@lru_cache(maxsize=16)
def noise_table(channel: int) -> NDArray[np.uint8]:
    """A periodic (512, 512) uint8 table of independent normal values; not to be changed."""
    rng = np.random.Generator(np.random.PCG64([channel, 77]))
    table = rng.normal(size=(TABLE_SIZE, TABLE_SIZE)) * _TABLE_STD + 128
    return np.clip(np.rint(table), 0, 255).astype(np.uint8)


def lookup(seed: int, channel: int, u: Array, v: Array) -> Array:
    """Noise at any (H, W) positions, bilinear; about zero mean and unit deviation.

    It repeats after 512 units, which suits fine detail. OpenCV's remap works in fixed point on
    8-bit images, so the result is the same everywhere.
    """
    size = np.float32(TABLE_SIZE)
    # Scenes read the same table from places of their own.
    u, v = u + np.float32(seed % 509), v + np.float32(seed // 509 % 503)
    u, v = u - np.floor(u / size) * size, v - np.floor(v / size) * size
    values = cv2.remap(noise_table(channel), u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return (values.astype(np.float32) - 128) * np.float32(1 / _LOOKUP_STD)


def voronoi_walls(
    seed: int, channel: int, pitch: float, x: Array, y: Array, gaps: float = 0.0
) -> tuple[Array, Array]:
    """Distance to the walls of a Voronoi tessellation of jittered points, and a value a cell.

    Args:
        seed: of the scene.
        channel: an independent tessellation for each; channels up to `channel` + 2 are used.
        pitch: mean distance of the points, in the units of `x`.
        x: (H, W) positions, warped at will.
        y: (H, W) positions.
        gaps: share of cells that have no wall between them where they meet.

    Returns:
        (H, W) distance to the nearest wall, half the difference of the distances to the nearest
        and the second nearest point, in the units of `x`; and (H, W) the cell's value in [0, 1).
    """
    u, v = x * np.float32(1 / pitch), y * np.float32(1 / pitch)
    column, row = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
    left, top = int(column.min()) - 1, int(row.min()) - 1
    columns = np.arange(left, int(column.max()) + 2)[None, :]
    rows = np.arange(top, int(row.max()) + 2)[:, None]
    jitter = [hash_unit(seed, columns, rows, channel + k) for k in range(3)]
    point_x = (jitter[0] * np.float32(0.84) + np.float32(0.08) + columns).astype(np.float32)
    point_y = (jitter[1] * np.float32(0.84) + np.float32(0.08) + rows).astype(np.float32)
    value = jitter[2].ravel()
    width = columns.size
    base = (row - top) * width + (column - left)
    nearest, second = np.full(u.shape, 9.0, np.float32), np.full(u.shape, 9.0, np.float32)
    first_cell, second_cell = np.zeros(u.shape, np.int32), np.zeros(u.shape, np.int32)
    for move in (dy * width + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
        cell = base + move
        du, dv = point_x.ravel()[cell] - u, point_y.ravel()[cell] - v
        distance = np.sqrt(du * du + dv * dv)
        closer = distance < nearest
        behind = np.where(closer, nearest, distance)
        nearer = behind < second
        second_cell = np.where(nearer, np.where(closer, first_cell, cell), second_cell)
        second = np.where(nearer, behind, second)
        first_cell = np.where(closer, cell, first_cell)
        nearest = np.where(closer, distance, nearest)
    walls = (second - nearest) * np.float32(pitch / 2)
    if gaps:
        open_both = (value[first_cell] < gaps) & (value[second_cell] < gaps)
        walls = np.where(open_both, np.float32(pitch), walls)
    return walls, value[first_cell]
