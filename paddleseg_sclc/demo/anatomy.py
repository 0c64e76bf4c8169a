"""Which tissue is where: compartments of a scene as depths, > 0 inside, about in micrometres."""

from functools import cached_property, reduce

import numpy as np

from paddleseg_sclc.demo.fields import PITCH_UM, Fields, ramp
from paddleseg_sclc.demo.noise import Array, lookup, voronoi_walls

NEST_UM, ALVEOLUS_UM, ACINUS_UM = 170.0, 115.0, 46.0
# What lies over what: a tissue is cut away where one before it in this list reaches.
_ORDER = ("tumour", "bronchus", "vessel", "lymphoid", "cartilage", "gland")


class Anatomy(Fields):
    """The compartments over a box; see Fields."""

    def top(self, kind: str) -> Array:
        """Depth in a kind of tissue where nothing lies over it and there is no glass."""
        depth = np.minimum(self.depth(kind), -self.glass - 4)
        for other in _ORDER[: _ORDER.index(kind)]:
            if self.has(other):
                depth = np.minimum(depth, -self.depth(other) - 3)
        return depth

    @cached_property
    def glass(self) -> Array:
        """The empty slide: shapes of glass, and all that lies outside the pieces of tissue."""
        if not self.layout.of("tissue"):
            return self.depth("glass")
        return np.maximum(self.depth("glass"), -self.depth("tissue"))

    @cached_property
    def necrosis(self) -> Array:
        """Dead tumour, within tumour only."""
        depth = np.minimum(self.depth("necrosis"), self.depth("tumour"))
        return np.minimum(depth, -self.glass)

    @cached_property
    def tumour(self) -> Array:
        """Tumour as annotated: nests, the clefts and thin septa between them, no necrosis."""
        depth = np.minimum(self.depth("tumour"), -self.glass)
        return np.minimum(depth, -self.depth("necrosis")) if self.has("necrosis") else depth

    @cached_property
    def septum(self) -> Array:
        """Stroma between nests; its width varies, and some nests touch."""
        across, along = self.flow
        warp_x, warp_y = self.warped
        x = across + np.float32(0.6) * (warp_x - self.x[None, :].astype(np.float32))
        y = along + np.float32(0.6) * (warp_y - self.y[:, None].astype(np.float32))
        walls, value = self._walls("tumour", 300, NEST_UM, x, y * np.float32(0.55), gaps=0.45)
        width = 3 + 4 * self.noise(12, 130.0) + 3 * (value > 0.9)
        return (width - walls).astype(np.float32)

    def _walls(
        self, kind: str, channel: int, pitch: float, x: Array, y: Array, gaps: float = 0.0
    ) -> tuple[Array, Array]:
        """Tessellation of a kind of tissue; 0 where that is far."""
        walls, value = np.zeros_like(x), np.zeros_like(x)
        part = self.around(kind, 40.0)
        if part is not None:
            walls[part], value[part] = voronoi_walls(
                self.seed, channel, pitch, x[part], y[part], gaps
            )
        return walls, value

    def _slits(self, channel: int, across_um: float, along_um: float, width: Array) -> Array:
        """Slits that follow the flow: the zero lines of noise stretched along it."""
        across, along = self.flow
        bend = np.float32(0.35) * self.noise(channel, 2.2 * across_um)
        ridge = lookup(
            self.seed, channel, across * np.float32(1 / across_um) + bend, along / along_um
        )
        slope_y, slope_x = np.gradient(ridge)
        slope = np.sqrt(slope_x * slope_x + slope_y * slope_y) * np.float32(1 / PITCH_UM)
        distance = np.abs(ridge) / (slope + np.float32(0.004))
        return (width - distance).astype(np.float32)

    @cached_property
    def cleft(self) -> Array:
        """Empty clefts in tumour, left by shrinkage; large ones and fine ones."""
        shrinkage = np.float32(self.layout.shrinkage)
        wide = self._slits(10, 32.0, 120.0, 0.45 * shrinkage + 2.2 * self.noise(11, 190.0))
        fine = self._slits(23, 13.0, 45.0, 0.2 * shrinkage + 0.9 * self.noise(24, 150.0))
        inside = self.depth("tumour") - 4
        return np.minimum(np.maximum(wide, fine), inside)

    @cached_property
    def tear(self) -> Array:
        """Empty slits between collagen bundles, where stroma is loose."""
        width = 2.2 * self.noise(15, 260.0) - 1.6
        slits = self._slits(25, 17.0, 110.0, width.astype(np.float32))
        return np.minimum(slits, -self.solid - 4)

    @cached_property
    def nest(self) -> Array:
        """Where tumour cells stand."""
        return np.minimum(np.minimum(self.tumour, -self.septum), -self.cleft)

    @cached_property
    def solid(self) -> Array:
        """Tissue that is neither stroma nor lung."""
        return self.deepest(_ORDER)

    @cached_property
    def air(self) -> Array:
        """Air spaces of lung."""
        if not self.has("lung"):
            return self.depth("lung")
        walls, _ = self._walls("lung", 310, ALVEOLUS_UM, *self.warped, gaps=0.42)
        thickness = 3.6 + 1.6 * self.noise(13, 50.0)
        air = np.minimum(walls - thickness, self.depth("lung"))
        return np.minimum(air, -self.solid - 12).astype(np.float32)

    @cached_property
    def acinus(self) -> Array:
        """Distance from the walls of the acini of glands."""
        return self._walls("gland", 320, ACINUS_UM, *self.warped)[0]

    @cached_property
    def empty(self) -> Array:
        """Where there is nothing: glass, air, clefts, tears, the lumen of bronchi."""
        parts = [self.glass, self.tear]
        if self.has("lung"):
            parts.append(self.air)
        if self.has("tumour"):
            parts.append(self.cleft)
        if self.has("bronchus"):
            parts.append(self.top("bronchus") - 27)
        return reduce(np.maximum, parts)

    @cached_property
    def stroma(self) -> Array:
        """1 in stroma, septa between nests and walls of alveoli included, else 0."""
        solid = self.deepest(_ORDER[1:])
        if self.has("tumour"):
            solid = np.maximum(solid, np.minimum(self.depth("tumour"), -self.septum))
        return ramp(-solid - 2, 4) * ramp(-self.empty - 2, 2)
