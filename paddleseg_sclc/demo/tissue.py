"""How each tissue is stained, and which cells live where."""

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.demo import nuclei
from paddleseg_sclc.demo.fields import Fields
from paddleseg_sclc.demo.layout import Layout
from paddleseg_sclc.demo.noise import Array, lookup
from paddleseg_sclc.demo.nuclei import CellKind, Cells

_BORDER_UM = 24.0


def step(field: NDArray, width: float) -> Array:
    """0 below -width / 2, 1 above width / 2, straight between."""
    return np.clip(field / np.float32(width) + 0.5, 0, 1).astype(np.float32)


class Tissue:
    """One region of a scene: its fields at the pixels and the rules of each tissue.

    Args:
        layout: of the scene.
        seed: of the scene.
        x: left edge in pixels at `mpp`.
        y: top edge.
        width: in pixels.
        height: in pixels.
        mpp: micrometres a pixel, at most 2.
    """

    def __init__(
        self, layout: Layout, seed: int, x: int, y: int, width: int, height: int, mpp: float
    ):
        self.seed, self.mpp = seed, mpp
        self.x, self.y, self.size = x, y, (width, height)
        box = (
            x * mpp - _BORDER_UM,
            y * mpp - _BORDER_UM,
            (x + width) * mpp + _BORDER_UM,
            (y + height) * mpp + _BORDER_UM,
        )
        self.fields = Fields(layout, seed, box)

    def _pixels(self, field: Array) -> Array:
        return self.fields.at_pixels(field, self.x, self.y, self.size, self.mpp)

    # Compartments, at the nodes of the 4 um grid: > 0 inside, about in micrometres.

    @cached_property
    def _crack(self) -> Array:
        """Clefts that open in tumour along its flow, and tears in stroma; > 0 is empty."""
        fields = self.fields
        across, along = fields.flow
        u, v = across / 30 + 1.3 * fields.noise(10, 60.0), along / 95
        ridge = lookup(self.seed, 1, u.astype(np.float32), v.astype(np.float32))
        opening = 0.16 + 0.12 * fields.noise(11, 210.0)
        return (opening - np.abs(ridge)) * 16

    @cached_property
    def _tumour(self) -> Array:
        return np.minimum(self.fields.depth("tumour"), -self.fields.depth("necrosis"))

    @cached_property
    def _septum(self) -> Array:
        """Stroma between nests: > 0."""
        walls, value = self.fields.compartment("nest")
        width = 4 + 5 * self.fields.noise(12, 130.0) - 9 * (value > 0.62)
        return width.astype(np.float32) - walls

    @cached_property
    def _nest(self) -> Array:
        """Where tumour cells stand."""
        return np.minimum(np.minimum(self._tumour, -self._septum), -self._crack)

    @cached_property
    def _glass(self) -> Array:
        return self.fields.depth("glass")

    @cached_property
    def _air(self) -> Array:
        """Air spaces of lung."""
        walls, value = self.fields.compartment("alveolus")
        air = walls - (5.5 + 2.5 * self.fields.noise(13, 60.0)) - 6 * (value > 0.9)
        solid = np.maximum.reduce(
            [self.fields.depth(k) for k in ("tumour", "lymphoid", "cartilage", "gland")]
        )
        solid = np.maximum(solid, self.fields.depth("vessel") - 6)
        return np.minimum(np.minimum(air, self.fields.depth("lung")), -solid - 12)

    def _order(self, kind: str) -> Array:
        """Depth in a kind of tissue where nothing lies above it."""
        above = {
            "tumour": (),
            "vessel": ("tumour",),
            "lymphoid": ("tumour", "vessel"),
            "cartilage": ("tumour", "vessel", "lymphoid"),
            "gland": ("tumour", "vessel", "lymphoid", "cartilage"),
        }[kind]
        depth = self.fields.depth(kind)
        for other in above:
            depth = np.minimum(depth, -self.fields.depth(other) - 3)
        return np.minimum(depth, -self._glass - 4)

    def tumour_mask(self) -> NDArray[np.uint8]:
        """1 where the pixel centre lies in tumour, clefts and septa included."""
        inside = np.minimum(self._tumour, -self._glass)
        return (self._pixels(inside) > 0).astype(np.uint8)

    # Ground: everything but cells, at the pixels.

    def ground(self) -> Array:
        """Concentrations (H, W, 2) of fibres, cytoplasm and matrix, without cells."""
        fields = self.fields
        across, along = (self._pixels(field) for field in fields.flow)
        fine = lookup(self.seed, 2, across / 2.6, along / 34)
        broad = lookup(self.seed, 3, across / 8.0, along / 70)
        fibre = 0.55 * fine + 0.6 * broad
        grain = self._grain
        density = self._pixels(1 + 0.16 * fields.noise(14, 150.0))
        loose = self._pixels(step(fields.noise(15, 260.0) - 0.4, 1.5))
        eosin = (0.8 + 0.15 * fibre) * density - loose * (0.22 + 0.3 * np.maximum(-fibre, 0))
        eosin = np.maximum(eosin, 0.05)
        hematoxylin = 0.09 + 0.02 * fibre + 0.03 * loose
        out = np.stack([hematoxylin, eosin], axis=-1).astype(np.float32)
        for kind, paint in (
            ("gland", self._paint_gland),
            ("cartilage", self._paint_cartilage),
            ("lymphoid", self._paint_lymphoid),
            ("vessel", self._paint_vessel),
            ("tumour", self._paint_tumour),
            ("necrosis", self._paint_necrosis),
        ):
            if fields.has(kind):
                paint(out, grain)
        return out

    @cached_property
    def _grain(self) -> Array:
        """Fine irregularity of everything, features of 1.5 um."""
        columns = (self.x + np.arange(self.size[0]) + 0.5) * self.mpp / 1.5
        rows = (self.y + np.arange(self.size[1]) + 0.5) * self.mpp / 1.5
        u, v = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
        return lookup(self.seed, 4, u, v)

    @staticmethod
    def _blend(out: Array, weight: Array, hematoxylin: Array, eosin: Array) -> None:
        out[..., 0] += weight * (hematoxylin - out[..., 0])
        out[..., 1] += weight * (eosin - out[..., 1])

    def _paint_gland(self, out: Array, grain: Array) -> None:
        walls = self._pixels(self.fields.compartment("acinus")[0])
        weight = step(self._pixels(self._order("gland")), 6) * step(walls - 2.5, 2)
        lumen = step(walls - 15, 4)
        self._blend(
            out, weight, 0.24 - 0.2 * lumen + 0.03 * grain, 0.42 - 0.34 * lumen + 0.03 * grain
        )

    def _paint_cartilage(self, out: Array, grain: Array) -> None:
        depth = self._pixels(self._order("cartilage"))
        body = step(depth - 12, 30)
        patchy = self._pixels(self.fields.noise(16, 34.0))
        self._blend(
            out,
            step(depth, 8),
            0.3 + body * (0.75 + 0.16 * patchy) + 0.02 * grain,
            0.4 - 0.22 * body + 0.02 * grain,
        )

    def _paint_lymphoid(self, out: Array, grain: Array) -> None:
        depth = self._pixels(self._order("lymphoid"))
        self._blend(out, step(depth, 24), 0.28 + 0.05 * grain, 0.36 + 0.05 * grain)

    def _paint_vessel(self, out: Array, grain: Array) -> None:
        depth = self._pixels(self._order("vessel"))
        wall = step(depth + 10, 4)
        out[..., 1] += wall * 0.16
        lumen = step(depth - 6, 2)
        self._blend(out, lumen, 0.02 + 0 * grain, 0.1 + 0.02 * grain)

    def _paint_tumour(self, out: Array, grain: Array) -> None:
        nest = step(self._pixels(np.minimum(self._tumour, -self._septum)), 3)
        self._blend(out, nest, 0.5 + 0.09 * grain, 0.5 + 0.07 * grain)

    def _paint_necrosis(self, out: Array, grain: Array) -> None:
        depth = self._pixels(np.minimum(self.fields.depth("necrosis"), self.fields.depth("tumour")))
        patchy = self._pixels(self.fields.noise(17, 22.0))
        self._blend(out, step(depth, 20), 0.22 + 0.08 * grain, 0.85 + 0.12 * patchy + 0.12 * grain)

    def finish(self, out: Array) -> Array:
        """Empty what is empty: glass, air, clefts; in place.

        Chromatin gets its grain here, after the nuclei.
        """
        out[..., 0] *= 1 + 0.11 * self._grain
        crack = np.minimum(self._crack, self.fields.depth("tumour") - 4)
        empty = step(self._pixels(crack), 3)
        if self.fields.has("lung"):
            empty = np.maximum(empty, step(self._pixels(self._air), 2.5))
        if self.fields.has("glass"):
            empty = np.maximum(empty, step(self._pixels(self._glass), 3))
        out *= (1 - empty)[..., None]
        return np.maximum(out, 0)

    # Cells.

    def cell_kinds(self) -> list[tuple[CellKind, str]]:
        """The kinds of cells in this region with the layer each is drawn in."""
        fields = self.fields
        kinds = [(nuclei.FIBROBLAST, "hematoxylin"), (nuclei.LYMPHOCYTE, "hematoxylin")]
        for shape, kind, layer in (
            ("tumour", nuclei.TUMOUR, "hematoxylin"),
            ("gland", nuclei.EPITHELIUM, "hematoxylin"),
            ("cartilage", nuclei.CHONDROCYTE, "hematoxylin"),
            ("vessel", nuclei.RED_CELL, "eosin"),
            ("necrosis", nuclei.DEBRIS, "hematoxylin"),
            ("lung", nuclei.SEPTUM, "hematoxylin"),
        ):
            if fields.has(shape):
                kinds.append((kind, layer))
        return kinds

    def settle(self, kind: CellKind, cells: Cells) -> Cells:
        """Keep the cells that live where they stand; positions become relative to the region."""
        fields = self.fields
        density = fields.sample(self._density(kind), cells.x, cells.y)
        cells = cells[cells.chance < density]
        angle = cells.angle
        if kind.aligned:
            along_x, along_y = (fields.sample(f, cells.x, cells.y) for f in fields.direction)
            flow = np.arctan2(along_y.astype(np.float64), along_x.astype(np.float64))
            angle = (flow + (1 - kind.aligned) * angle).astype(np.float32)
        return replace(
            cells,
            x=cells.x - np.float32(self.x * self.mpp),
            y=cells.y - np.float32(self.y * self.mpp),
            angle=angle,
        )

    def _density(self, kind: CellKind) -> Array:
        """Share of places that hold a cell of this kind, at the nodes."""
        fields = self.fields
        if kind is nuclei.TUMOUR:
            return step(self._nest - 2.5, 1) * (0.96 + 0.05 * fields.noise(18, 60.0))
        if kind is nuclei.DEBRIS:
            inside = np.minimum(fields.depth("necrosis"), fields.depth("tumour"))
            return step(inside, 20) * (0.25 + 0.12 * fields.noise(19, 50.0))
        if kind is nuclei.EPITHELIUM:
            walls = fields.compartment("acinus")[0]
            return step(self._order("gland"), 4) * step(walls - 4, 2) * step(13 - walls, 3) * 0.9
        if kind is nuclei.CHONDROCYTE:
            return step(self._order("cartilage") - 14, 10) * 0.8
        if kind is nuclei.RED_CELL:
            filled = step(fields.noise(20, 300.0) + 0.3, 0.5)
            return step(self._order("vessel") - 9, 2) * filled * 0.9
        if kind is nuclei.SEPTUM:
            return step(fields.depth("lung"), 10) * step(-self._air - 2, 2) * 0.4 * self._free
        if kind is nuclei.FIBROBLAST:
            return self._free * 0.75
        return self._lymphocyte_density()

    @cached_property
    def _free(self) -> Array:
        """1 in stroma (septa of the tumour included), 0 in every other tissue."""
        fields = self.fields
        other = np.maximum.reduce(
            [fields.depth(k) for k in ("vessel", "cartilage", "gland", "lymphoid")]
        )
        other = np.maximum(other, np.minimum(self._tumour, -self._septum))
        return step(-other - 2, 4) * step(-self._glass - 3, 2) * step(-self._air - 2, 2)

    def _lymphocyte_density(self) -> Array:
        fields = self.fields
        follicle = self._order("lymphoid")
        centre = step(follicle - 62, 30) * step(fields.noise(21, 200.0), 0.5)
        dense = step(follicle, 14) * (0.97 - 0.4 * centre)
        halo = 0.3 / (1 + (np.minimum(fields.depth("lymphoid"), 0) / 25) ** 2)
        patches = np.maximum(fields.noise(22, 120.0) - 0.9, 0) * 0.35
        scattered = self._free * np.clip(0.02 + patches + halo, 0, 0.7)
        return np.maximum(dense, scattered) * step(-self._air - 2, 2)
