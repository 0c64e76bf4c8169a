"""A scene: tissue that can be drawn at any place and any mpp, always the same."""

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.demo.anatomy import Anatomy
from paddleseg_sclc.demo.ground import Ground, View
from paddleseg_sclc.demo.layout import Layout
from paddleseg_sclc.demo.noise import TABLE_SIZE, Array, noise_table
from paddleseg_sclc.demo.nuclei import draw_cells
from paddleseg_sclc.demo.population import residents, settle
from paddleseg_sclc.demo.stain import Stain, focus, shrink, transmit

# Nuclei are drawn pixel by pixel up to this scale; coarser regions are drawn finer and shrunk.
MAX_MPP = 2.0
_MARGIN_UM = 12.0


class Scene:
    """Synthetic H&E tissue, a deterministic function of (seed, layout, stain).

    A region is given in pixels of the grid at its mpp: pixel (i, j) covers
    [i * mpp, (i + 1) * mpp) micrometres in x. Regions therefore join without a seam.

    Args:
        layout: what lies where.
        stain: how it is stained and scanned.
        seed: of all that is smaller than the layout: fibres, nuclei, noise.
    """

    def __init__(self, layout: Layout, stain: Stain, seed: int):
        self.layout, self.stain, self.seed = layout, stain, seed

    def concentrations(self, x: int, y: int, width: int, height: int, mpp: float) -> Array:
        """Stain concentrations (height, width, 2) float32, hematoxylin first.

        Args:
            x: left edge in pixels at `mpp`.
            y: top edge.
            width: in pixels.
            height: in pixels.
            mpp: micrometres a pixel, at most `MAX_MPP`.

        Raises:
            ValueError: `mpp` is too coarse for single nuclei.
        """
        if not 0 < mpp <= MAX_MPP:
            raise ValueError(f"concentrations: mpp must be above 0, at most {MAX_MPP}, got {mpp}")
        view = View(x, y, width, height, mpp)
        anatomy = self._anatomy(view)
        ground = Ground(anatomy, view)
        out = ground.paint()
        layers = [np.ascontiguousarray(out[..., k]) for k in (0, 1)]
        for kind in residents(anatomy):
            cells = settle(kind, anatomy, self.seed, view.box(_MARGIN_UM))
            if kind.halo:
                halo = draw_cells(np.zeros_like(layers[0]), cells.swollen(kind.halo), view)
                layers = [layer * (1 - 0.6 * halo) for layer in layers]
            draw_cells(layers[kind.layer], cells, view, kind.flatten)
        # Chromatin and cytoplasm are grainy.
        layers[0] *= 1 + 0.13 * ground.grain
        return np.maximum(np.stack(layers, axis=-1) * ground.thickness()[..., None], 0)

    def _anatomy(self, view: View) -> Anatomy:
        return Anatomy(self.layout, self.seed, view.box(2 * _MARGIN_UM))

    def mask(self, x: int, y: int, width: int, height: int, mpp: float) -> NDArray[np.uint8]:
        """Tumour (1) or not (0) at the pixel centres, (height, width) uint8."""
        view = View(x, y, width, height, mpp)
        anatomy = self._anatomy(view)
        return (anatomy.at(anatomy.tumour, *view.centres) > 0).astype(np.uint8)

    def render(self, x: int, y: int, width: int, height: int, mpp: float) -> NDArray[np.uint8]:
        """The region as a scanner sees it: (height, width, 3) uint8 RGB.

        Args:
            x: left edge in pixels at `mpp`; may be negative.
            y: top edge in pixels at `mpp`.
            width: in pixels.
            height: in pixels.
            mpp: micrometres a pixel.
        """
        factor = int(np.ceil(mpp / MAX_MPP - 1e-9))
        blur_px = self.stain.blur / mpp
        margin = int(np.ceil(4 * blur_px)) + 1
        fine = self.concentrations(
            (x - margin) * factor,
            (y - margin) * factor,
            (width + 2 * margin) * factor,
            (height + 2 * margin) * factor,
            mpp / factor,
        )
        light = focus(shrink(transmit(fine, self.stain), factor), blur_px)
        light = light[margin : margin + height, margin : margin + width]
        return self._expose(light, x, y)

    def _expose(self, light: NDArray[np.uint16], x: int, y: int) -> NDArray[np.uint8]:
        """Add the sensor's noise, which belongs to the pixel, and round to 8 bits."""
        y, x = y + self.seed % 509, x + self.seed // 509 % 503
        rows = (y + np.arange(light.shape[0])) % TABLE_SIZE
        columns = (x + np.arange(light.shape[1])) % TABLE_SIZE
        out = np.empty(light.shape, np.uint8)
        for channel in range(3):
            grain = noise_table(5 + channel)[np.ix_(rows, columns)]
            noise = (grain.astype(np.float32) - 128) * np.float32(self.stain.noise / 50)
            out[..., channel] = np.clip(np.rint(light[..., channel] / 256 + noise), 0, 255)
        return out
