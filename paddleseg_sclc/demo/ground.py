"""Everything but cells: fibres, cytoplasm, matrix, as stain concentrations at the pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.demo.anatomy import Anatomy
from paddleseg_sclc.demo.fields import ramp
from paddleseg_sclc.demo.noise import Array, lookup

# No tissue is painted farther out of its shape than this.
_REACH_UM = 14.0


@dataclass(frozen=True)
class View:
    """A region in pixels of the grid at `mpp`: pixel i covers [i * mpp, (i + 1) * mpp) um.

    Attributes:
        x: left edge, may be negative.
        y: top edge.
        width: in pixels.
        height: in pixels.
        mpp: micrometres a pixel.
    """

    x: int
    y: int
    width: int
    height: int
    mpp: float

    @property
    def origin(self) -> tuple[float, float]:
        """The upper left corner in micrometres."""
        return self.x * self.mpp, self.y * self.mpp

    @property
    def centres(self) -> tuple[NDArray, NDArray]:
        """Pixel centres in micrometres: x (width,) and y (height,)."""
        x = (self.x + np.arange(self.width) + 0.5) * self.mpp
        return x, (self.y + np.arange(self.height) + 0.5) * self.mpp

    def box(self, margin: float) -> tuple[float, float, float, float]:
        """The region as (x0, y0, x1, y1) in micrometres, enlarged by a margin."""
        x, y = self.origin
        right, bottom = x + self.width * self.mpp, y + self.height * self.mpp
        return x - margin, y - margin, right + margin, bottom + margin


class Ground:
    """Paints one view of a scene, tissue over tissue.

    Args:
        anatomy: must cover the view with a margin of a few micrometres.
        view: at most 2 um a pixel.
    """

    def __init__(self, anatomy: Anatomy, view: View):
        self.anatomy, self.view = anatomy, view
        self._all_grain = self._make_grain()
        self._window = np.s_[:, :]

    def _at_pixels(self, field: Array) -> Array:
        """A field at the pixels of the window being painted."""
        x, y = self.view.centres
        return self.anatomy.at(field, x[self._window[1]], y[self._window[0]])

    @property
    def grain(self) -> Array:
        """Fine irregularity of everything, features of 1.2 um, in the window being painted."""
        return self._all_grain[self._window]

    def _make_grain(self) -> Array:
        x, y = ((side * (1 / 1.2)).astype(np.float32) for side in self.view.centres)
        return lookup(self.anatomy.seed, 4, *np.meshgrid(x, y))

    def paint(self) -> Array:
        """Concentrations (H, W, 2) float32 of everything but cells."""
        out = self._stroma()
        painters = {
            "gland": self._gland,
            "cartilage": self._cartilage,
            "lymphoid": self._lymphoid,
            "vessel": self._vessel,
            "bronchus": self._bronchus,
            "tumour": self._tumour,
            "necrosis": self._necrosis,
        }
        for kind, painter in painters.items():
            if self.anatomy.has(kind) and self._look_at(kind):
                weight, hematoxylin, eosin = painter()
                part = out[self._window]
                part[..., 0] += weight * (hematoxylin - part[..., 0])
                part[..., 1] += weight * (eosin - part[..., 1])
        self._window = np.s_[:, :]
        out *= (1 - ramp(self._at_pixels(self.anatomy.empty), 2.0))[..., None]
        return np.maximum(out, 0)

    def _look_at(self, kind: str) -> bool:
        """Make the pixels that a kind of tissue may reach the window; False if there are none."""
        reached = self.anatomy.around(kind, _REACH_UM)
        if reached is None:
            return False
        x, y = self.view.centres
        columns = np.searchsorted(x, self.anatomy.x[reached[1]][[0, -1]], "left")
        rows = np.searchsorted(y, self.anatomy.y[reached[0]][[0, -1]], "left")
        self._window = np.s_[rows[0] : rows[1], columns[0] : columns[1]]
        return bool(rows[1] > rows[0] and columns[1] > columns[0])

    def thickness(self) -> Array:
        """Factor on all stain: the section is not even, and here and there folded; (H, W)."""
        anatomy = self.anatomy
        uneven = 1 + 0.06 * anatomy.noise(26, 420.0)
        fold = 14 - np.abs(anatomy.noise(27, 900.0)) * 260
        rare = ramp(anatomy.noise(28, 700.0) - 1.0, 0.4)
        return self._at_pixels((uneven + 0.65 * rare * ramp(fold, 6)).astype(np.float32))

    def _stroma(self) -> Array:
        anatomy = self.anatomy
        across, along = (self._at_pixels(field) for field in anatomy.flow)
        fine = lookup(anatomy.seed, 2, across * np.float32(1 / 2.6), along * np.float32(1 / 34))
        broad = lookup(anatomy.seed, 3, across * np.float32(1 / 8), along * np.float32(1 / 70))
        fibre = 0.5 * fine + 0.6 * broad
        density = self._at_pixels(1 + 0.15 * anatomy.noise(14, 150.0))
        loose = self._at_pixels(ramp(anatomy.noise(15, 260.0) - 0.6, 1.5))
        eosin = (0.84 + 0.13 * fibre + 0.045 * self.grain) * density
        eosin -= loose * (0.2 + 0.2 * np.maximum(-fibre, 0))
        hematoxylin = 0.09 + 0.02 * fibre + 0.04 * loose
        return np.stack([hematoxylin, np.maximum(eosin, 0.06)], axis=-1).astype(np.float32)

    def _gland(self) -> tuple[Array, Array, Array]:
        walls = self._at_pixels(self.anatomy.acinus)
        weight = ramp(self._at_pixels(self.anatomy.top("gland")), 6) * ramp(walls - 2.5, 2)
        lumen = ramp(walls - 15, 4)
        rough = 0.03 * self.grain
        return weight, 0.26 - 0.2 * lumen + rough, 0.44 - 0.34 * lumen + rough

    def _cartilage(self) -> tuple[Array, Array, Array]:
        anatomy = self.anatomy
        depth = self._at_pixels(anatomy.top("cartilage"))
        body = ramp(depth - 14, 26)
        tint = self._at_pixels((anatomy.tint("cartilage") - 0.75) * 1.9 + 0.6)
        patchy = self._at_pixels(0.14 * anatomy.noise(16, 40.0))
        hematoxylin = 0.35 + body * (tint * (1 + patchy) - 0.35) + 0.02 * self.grain
        return ramp(depth, 8), hematoxylin, 0.45 - 0.12 * body + 0.02 * self.grain

    def _lymphoid(self) -> tuple[Array, Array, Array]:
        depth = self._at_pixels(self.anatomy.top("lymphoid"))
        return ramp(depth, 24), 0.7 + 0.06 * self.grain, 0.5 + 0.05 * self.grain

    def _vessel(self) -> tuple[Array, Array, Array]:
        depth = self._at_pixels(self.anatomy.top("vessel"))
        lumen = ramp(depth - 6, 2)
        fibre = 1.02 + 0.08 * self.grain
        return ramp(depth + 9, 4), 0.12 - 0.1 * lumen, fibre - lumen * (fibre - 0.12)

    def _bronchus(self) -> tuple[Array, Array, Array]:
        depth = self._at_pixels(self.anatomy.top("bronchus"))
        rough = 0.05 * self.grain
        return ramp(depth, 3), 0.3 + rough, 0.6 + rough

    def _tumour(self) -> tuple[Array, Array, Array]:
        anatomy = self.anatomy
        nest = ramp(self._at_pixels(np.minimum(anatomy.tumour, -anatomy.septum)), 3)
        return nest, 0.46 + 0.09 * self.grain, 0.5 + 0.07 * self.grain

    def _necrosis(self) -> tuple[Array, Array, Array]:
        anatomy = self.anatomy
        depth = self._at_pixels(anatomy.necrosis)
        patchy = self._at_pixels(0.12 * anatomy.noise(17, 22.0)) + 0.12 * self.grain
        return ramp(depth, 20), 0.22 + 0.08 * self.grain, 0.85 + patchy
