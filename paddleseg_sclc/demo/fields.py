"""Slowly varying fields of a scene, on the nodes of a fixed 4 um grid: depths in shapes, flow."""

from collections.abc import Iterable
from functools import cached_property, reduce

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.demo.layout import Layout, Shape
from paddleseg_sclc.demo.noise import Array, interpolate, smooth_noise

PITCH_UM = 4.0
# Depths matter near an outline only; farther out the field is flat.
FAR_UM = 250.0


def ramp(field: NDArray, width: float) -> Array:
    """0 below -width / 2, 1 above width / 2, straight between."""
    return np.clip(field * np.float32(1 / width) + np.float32(0.5), 0, 1).astype(np.float32)


class Fields:
    """Fields over a box, each computed when first asked for and kept.

    Args:
        layout: of the scene.
        seed: of the scene.
        box: (x0, y0, x1, y1) in micrometres.
    """

    def __init__(self, layout: Layout, seed: int, box: tuple[float, float, float, float]):
        self.layout, self.seed = layout, seed
        left, top = (int(np.floor(side / PITCH_UM)) - 2 for side in box[:2])
        right, bottom = (int(np.ceil(side / PITCH_UM)) + 3 for side in box[2:])
        self._origin = left, top
        self.x = np.arange(left, right) * PITCH_UM
        self.y = np.arange(top, bottom) * PITCH_UM
        self._depths: dict[str, tuple[Array, Array]] = {}
        self._present = {shape.kind for shape in layout.shapes if self._near(shape)}

    def noise(self, channel: int, pitch: float) -> Array:
        """Smooth noise on the nodes; channels 1 to 99."""
        return smooth_noise(self.seed, channel, pitch, self.x, self.y)

    def _near(self, shape: Shape) -> bool:
        reach = shape.reach + FAR_UM
        beside = (self.x[0] > shape.x + reach) or (self.x[-1] < shape.x - reach)
        return not (beside or self.y[0] > shape.y + reach or self.y[-1] < shape.y - reach)

    def has(self, kind: str) -> bool:
        """Whether a shape of this kind comes near the box."""
        return kind in self._present

    def deepest(self, kinds: Iterable[str]) -> Array:
        """Greatest depth in any of several kinds."""
        present = [self.depth(kind) for kind in kinds if self.has(kind)]
        return reduce(np.maximum, present) if present else self._nowhere()

    def _nowhere(self) -> Array:
        return np.full((len(self.y), len(self.x)), -FAR_UM, np.float32)

    def depth(self, kind: str) -> Array:
        """How far inside shapes of a kind, in micrometres, with a rough edge."""
        return self._depth_and_tint(kind)[0]

    def around(self, kind: str, reach: float) -> tuple[slice, slice] | None:
        """Rows and columns of the nodes up to `reach` um from shapes of a kind, None for none.

        Three nodes more on each side, for interpolation.
        """
        near = self.depth(kind) > -reach
        rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        if not len(rows):
            return None
        return (
            slice(max(rows[0] - 3, 0), rows[-1] + 4),
            slice(max(columns[0] - 3, 0), columns[-1] + 4),
        )

    def tint(self, kind: str) -> Array:
        """Tint of the shape that is nearest."""
        return self._depth_and_tint(kind)[1]

    def _depth_and_tint(self, kind: str) -> tuple[Array, Array]:
        if kind not in self._depths:
            self._depths[kind] = self._measure(kind)
        return self._depths[kind]

    def _measure(self, kind: str) -> tuple[Array, Array]:
        out = self._nowhere()
        tint = np.ones_like(out)
        for shape in self.layout.of(kind):
            reach = shape.reach + FAR_UM
            columns = slice(*np.searchsorted(self.x, [shape.x - reach, shape.x + reach]))
            rows = slice(*np.searchsorted(self.y, [shape.y - reach, shape.y + reach]))
            depth = shape.depth(self.x[None, columns], self.y[rows, None]).astype(np.float32)
            tint[rows, columns] = np.where(
                depth > out[rows, columns], np.float32(shape.tint), tint[rows, columns]
            )
            out[rows, columns] = np.maximum(out[rows, columns], depth)
        if self.has(kind):
            near = np.clip((out + np.float32(FAR_UM)) * np.float32(0.01), 0, 1)
            out += near * self._roughness
        return out, tint

    @cached_property
    def _roughness(self) -> Array:
        """Of every edge, in micrometres."""
        return 7 * self.noise(1, 38.0) + 3 * self.noise(2, 14.0)

    @cached_property
    def flow(self) -> tuple[Array, Array]:
        """Coordinates across and along the fibres, which bend around nests and vessels."""
        cos, sin = np.cos(self.layout.direction), np.sin(self.layout.direction)
        x, y = self.x[None, :], self.y[:, None]
        across = y * cos - x * sin + 55 * self.noise(3, 330.0) + 16 * self.noise(4, 110.0)
        along = x * cos + y * sin + 40 * self.noise(5, 330.0)
        across = across.astype(np.float32)
        for kind in ("tumour", "vessel", "bronchus", "cartilage", "gland", "lymphoid"):
            if not self.has(kind):
                continue
            depth = self.depth(kind)
            outside = np.minimum(depth, 0) * np.float32(1 / 55)
            inside = np.maximum(depth, 0) * np.float32(1 / 25)
            outside = outside * outside
            pull = 1 / (1 + outside * outside + inside * inside)
            # Nothing is left of it where the depth is no longer known.
            across = across + (depth - across) * np.maximum(pull - np.float32(0.004), 0)
        return across, along.astype(np.float32)

    @cached_property
    def direction(self) -> tuple[Array, Array]:
        """Unit vector along the fibres, (x, y)."""
        gradient_y, gradient_x = np.gradient(self.flow[0])
        length = np.sqrt(gradient_x * gradient_x + gradient_y * gradient_y) + np.float32(1e-6)
        return -gradient_y / length, gradient_x / length

    @cached_property
    def warped(self) -> tuple[Array, Array]:
        """Positions displaced at random, so that tessellations look grown."""
        x = self.x[None, :] + 26 * self.noise(6, 90.0) + 10 * self.noise(7, 28.0)
        y = self.y[:, None] + 26 * self.noise(8, 90.0) + 10 * self.noise(9, 28.0)
        return x.astype(np.float32), y.astype(np.float32)

    def at(self, field: Array, x: NDArray, y: NDArray) -> Array:
        """Interpolate a field to a grid of positions, (W,) and (H,) in micrometres."""
        return interpolate(field, self._origin, x / PITCH_UM, y / PITCH_UM)

    def sample(self, field: Array, x: Array, y: Array) -> Array:
        """Bilinear samples (n,) of a field at points in micrometres, held inside the box."""
        u, v = x / np.float32(PITCH_UM), y / np.float32(PITCH_UM)
        left, top = np.floor(u), np.floor(v)
        column = np.clip(left.astype(np.int32) - self._origin[0], 0, len(self.x) - 2)
        row = np.clip(top.astype(np.int32) - self._origin[1], 0, len(self.y) - 2)
        s, t = u - left, v - top
        upper = field[row, column] * (1 - s) + field[row, column + 1] * s
        lower = field[row + 1, column] * (1 - s) + field[row + 1, column + 1] * s
        return upper * (1 - t) + lower * t
