"""Slowly varying fields of a scene, on a fixed 4 um grid: depths in shapes, flow, compartments."""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from paddleseg_sclc.demo.layout import Layout
from paddleseg_sclc.demo.noise import Array, hash_unit, interpolate, smooth_noise

PITCH_UM = 4.0
# Depths matter near an outline only; farther out the field is flat.
FAR_UM = 250.0


def cells_edge(
    seed: int, channel: int, pitch: float, x: Array, y: Array, stretch: float = 1.0
) -> tuple[Array, Array]:
    """Distance to the walls of a Voronoi tessellation of jittered points, and a value a cell.

    Args:
        seed: of the scene.
        channel: an independent tessellation for each (three are used).
        pitch: mean distance of the points, in the units of `x`.
        x: (H, W) positions, warped at will.
        y: (H, W) positions.
        stretch: how much longer cells are along y.

    Returns:
        (H, W) distance to the nearest wall (half of second nearest minus nearest point) in the
        units of `x`, and (H, W) a random value in [0, 1) of the cell.
    """
    u, v = x / np.float32(pitch), y / np.float32(pitch * stretch)
    column, row = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
    left, top = int(column.min()) - 1, int(row.min()) - 1
    columns = np.arange(left, int(column.max()) + 2)
    rows = np.arange(top, int(row.max()) + 2)
    shape = (len(rows), len(columns))
    grid = (columns[None, :], rows[:, None])
    jitter_x = (
        (hash_unit(seed, grid[0], grid[1], channel) * 0.8 + 0.1 + grid[0])
        .astype(np.float32)
        .ravel()
    )
    jitter_y = (hash_unit(seed, grid[0], grid[1], channel + 1) * 0.8 + 0.1 + grid[1]).astype(
        np.float32
    )
    jitter_y = jitter_y.ravel()
    base = (row - top) * shape[1] + (column - left)
    nearest = np.full(u.shape, 9.0, np.float32)
    second = nearest.copy()
    owner = np.zeros(u.shape, np.int64)
    for step in (dy * shape[1] + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
        index = base + step
        du, dv = jitter_x[index] - u, jitter_y[index] - v
        distance = np.sqrt(du * du + dv * dv)
        closer = distance < nearest
        second = np.where(closer, nearest, np.minimum(second, distance))
        nearest = np.where(closer, distance, nearest)
        owner = np.where(closer, index, owner)
    value = hash_unit(seed, grid[0], grid[1], channel + 2).ravel()[owner]
    return (second - nearest) * np.float32(pitch / 2), value


class Fields:
    """Fields over a box, each computed when first asked for, on nodes of a fixed grid.

    Args:
        layout: of the scene.
        seed: of the scene.
        box: (x0, y0, x1, y1) in micrometres.
    """

    def __init__(self, layout: Layout, seed: int, box: tuple[float, float, float, float]):
        self.layout, self.seed = layout, seed
        left, top = (int(np.floor(side / PITCH_UM)) - 2 for side in box[:2])
        right, bottom = (int(np.ceil(side / PITCH_UM)) + 3 for side in box[2:])
        self.x = np.arange(left, right) * PITCH_UM
        self.y = np.arange(top, bottom) * PITCH_UM
        self._cache: dict[str, Array] = {}

    def noise(self, channel: int, pitch: float) -> Array:
        """Smooth noise on the nodes; channels 1 to 99."""
        return smooth_noise(self.seed, channel, pitch, self.x, self.y)

    def has(self, kind: str) -> bool:
        """Whether a shape of this kind comes near the box."""
        return bool((self.depth(kind) > -FAR_UM).any())

    def _cached(self, name: str, compute: Callable[[], Array]) -> Array:
        if name not in self._cache:
            self._cache[name] = compute()
        return self._cache[name]

    def depth(self, kind: str) -> Array:
        """How far inside shapes of a kind, in micrometres, with a rough edge."""
        return self._cached(f"depth {kind}", lambda: self._depth(kind))

    def _depth(self, kind: str) -> Array:
        out = np.full((len(self.y), len(self.x)), -FAR_UM, np.float32)
        for shape in self.layout.of(kind):
            reach = shape.reach + FAR_UM
            columns = slice(*np.searchsorted(self.x, [shape.x - reach, shape.x + reach]))
            rows = slice(*np.searchsorted(self.y, [shape.y - reach, shape.y + reach]))
            depth = shape.depth(self.x[None, columns], self.y[rows, None])
            out[rows, columns] = np.maximum(out[rows, columns], depth)
        if (out > -FAR_UM).any():
            near = np.clip((out + FAR_UM) / 100, 0, 1)
            out += near * (7 * self.noise(1, 38.0) + 3 * self.noise(2, 14.0))
        return out

    @cached_property
    def flow(self) -> tuple[Array, Array]:
        """Coordinates across and along the fibres, which bend around nests and vessels."""
        cos, sin = np.cos(self.layout.direction), np.sin(self.layout.direction)
        x, y = self.x[None, :], self.y[:, None]
        across = y * cos - x * sin + 55 * self.noise(3, 330.0) + 16 * self.noise(4, 110.0)
        along = x * cos + y * sin + 40 * self.noise(5, 330.0)
        across = across.astype(np.float32)
        for kind in ("tumour", "vessel", "cartilage", "gland", "lymphoid"):
            depth = self.depth(kind)
            if not (depth > -FAR_UM).any():
                continue
            outside = np.minimum(depth, 0) / 60
            inside = np.maximum(depth, 0) / (40 if kind == "vessel" else 25)
            pull = 1 / (1 + outside**4 + inside**2)
            across = across + pull * (depth - across)
        return across, along.astype(np.float32)

    @cached_property
    def direction(self) -> tuple[Array, Array]:
        """Unit vector along the fibres."""
        gradient_y, gradient_x = np.gradient(self.flow[0])
        length = np.sqrt(gradient_x**2 + gradient_y**2) + np.float32(1e-6)
        return -gradient_y / length, gradient_x / length

    @cached_property
    def warped(self) -> tuple[Array, Array]:
        """Positions, displaced at random so that tessellations look grown."""
        x = self.x[None, :] + 22 * self.noise(6, 90.0) + 9 * self.noise(7, 30.0)
        y = self.y[:, None] + 22 * self.noise(8, 90.0) + 9 * self.noise(9, 30.0)
        return x.astype(np.float32), y.astype(np.float32)

    def compartment(self, name: str) -> tuple[Array, Array]:
        """Wall distance and cell value of nests (tumour), alveoli (lung) or acini (gland)."""
        pitch, channel = {"nest": (170.0, 300), "alveolus": (130.0, 310), "acinus": (46.0, 320)}[
            name
        ]
        walls = self._cached(name, lambda: self._compartment(name, channel, pitch))
        return walls, self._cache[f"{name} value"]

    def _compartment(self, name: str, channel: int, pitch: float) -> Array:
        if name == "nest":
            across, along = self.flow
            warp_x, warp_y = self.warped
            x = across + 0.6 * (warp_x - self.x[None, :].astype(np.float32))
            y = along + 0.6 * (warp_y - self.y[:, None].astype(np.float32))
            walls, value = cells_edge(self.seed, channel, pitch, x, y, 1.8)
        else:
            walls, value = cells_edge(self.seed, channel, pitch, *self.warped)
        self._cache[f"{name} value"] = value
        return walls

    def at_pixels(
        self, field: Array, x_px: int, y_px: int, size: tuple[int, int], mpp: float
    ) -> Array:
        """Interpolate a field to pixel centres; `size` is (width, height)."""
        x = ((x_px + np.arange(size[0]) + 0.5) * mpp - self.x[0]) / PITCH_UM - 1
        y = ((y_px + np.arange(size[1]) + 0.5) * mpp - self.y[0]) / PITCH_UM - 1
        return interpolate(field, x, y)

    def sample(self, field: Array, x: Array, y: Array) -> Array:
        """Bilinear samples (n,) of a field at positions in micrometres within the box."""
        u, v = (x - self.x[0]) / PITCH_UM, (y - self.y[0]) / PITCH_UM
        column = np.clip(np.floor(u).astype(np.int32), 0, len(self.x) - 2)
        row = np.clip(np.floor(v).astype(np.int32), 0, len(self.y) - 2)
        s, t = (u - column).astype(np.float32), (v - row).astype(np.float32)
        upper = field[row, column] * (1 - s) + field[row, column + 1] * s
        lower = field[row + 1, column] * (1 - s) + field[row + 1, column + 1] * s
        return upper * (1 - t) + lower * t
