"""Which cells live where."""

from dataclasses import replace

import numpy as np

from paddleseg_sclc.demo import nuclei
from paddleseg_sclc.demo.anatomy import Anatomy
from paddleseg_sclc.demo.fields import ramp
from paddleseg_sclc.demo.noise import Array
from paddleseg_sclc.demo.nuclei import CellKind, Cells

# The shape without which a kind of cell is absent (lymphocytes and fibroblasts are everywhere).
_HOMES = {
    "tumour": nuclei.TUMOUR,
    "gland": nuclei.EPITHELIUM,
    "bronchus": nuclei.COLUMNAR,
    "cartilage": nuclei.CHONDROCYTE,
    "vessel": nuclei.RED_CELL,
    "necrosis": nuclei.DEBRIS,
    "lung": nuclei.PNEUMOCYTE,
}


def residents(anatomy: Anatomy) -> list[CellKind]:
    """The kinds of cells over a box."""
    homes = [kind for shape, kind in _HOMES.items() if anatomy.has(shape)]
    return [nuclei.FIBROBLAST, nuclei.LYMPHOCYTE, *homes]


def settle(kind: CellKind, anatomy: Anatomy, seed: int, box: tuple[float, ...]) -> Cells:
    """The cells of a kind in a box: those for which the place is right, turned and stained."""
    cells = nuclei.place(kind, seed, box)
    density = anatomy.sample(_density(kind, anatomy), cells.x, cells.y)
    cells = cells[cells.chance < density]
    angle, stain = cells.angle, cells.stain
    if kind.aligned:
        along_x, along_y = (anatomy.sample(f, cells.x, cells.y) for f in anatomy.direction)
        flow = np.arctan2(along_y.astype(np.float64), along_x.astype(np.float64)) + kind.turn
        angle = (flow + (1 - kind.aligned) * angle).astype(np.float32)
    if kind in (nuclei.TUMOUR, nuclei.LYMPHOCYTE):
        shape = "tumour" if kind is nuclei.TUMOUR else "lymphoid"
        stain = stain * anatomy.sample(anatomy.tint(shape), cells.x, cells.y)
    if kind is nuclei.TUMOUR:
        stain = stain * np.float32(anatomy.layout.hyperchromasia)
    return replace(cells, angle=angle, stain=stain)


def _density(kind: CellKind, anatomy: Anatomy) -> Array:
    """Share of the places for a kind of cell that are taken, at the nodes of the fields."""
    if kind is nuclei.TUMOUR:
        return ramp(anatomy.nest - 2, 2) * (0.97 + 0.05 * anatomy.noise(18, 60.0))
    if kind is nuclei.DEBRIS:
        return ramp(anatomy.necrosis, 20) * (0.25 + 0.12 * anatomy.noise(19, 50.0))
    if kind is nuclei.EPITHELIUM:
        walls = anatomy.acinus
        return ramp(anatomy.top("gland"), 4) * ramp(walls - 4, 2) * ramp(13 - walls, 3) * 0.9
    if kind is nuclei.COLUMNAR:
        depth = anatomy.top("bronchus")
        return ramp(depth - 4, 2) * ramp(18 - depth, 4) * 0.95
    if kind is nuclei.CHONDROCYTE:
        return ramp(anatomy.top("cartilage") - 12, 10) * 0.75
    if kind is nuclei.RED_CELL:
        filled = ramp(anatomy.noise(20, 300.0) + 0.3, 0.5)
        return ramp(anatomy.top("vessel") - 9, 2) * filled * 0.9
    if kind is nuclei.PNEUMOCYTE:
        return ramp(anatomy.depth("lung"), 10) * anatomy.stroma * 0.5
    if kind is nuclei.FIBROBLAST:
        within = anatomy.stroma * ramp(-anatomy.empty - 5, 3)
        return within * np.clip(0.42 + 0.2 * anatomy.noise(29, 90.0), 0.05, 1)
    return _lymphocyte_density(anatomy)


def _lymphocyte_density(anatomy: Anatomy) -> Array:
    follicle = anatomy.top("lymphoid")
    # Some follicles have a paler germinal centre.
    centre = ramp(follicle - 62, 30) * ramp(anatomy.noise(21, 200.0), 0.5)
    dense = ramp(follicle, 14) * (0.99 - 0.4 * centre)
    outside = np.minimum(anatomy.depth("lymphoid"), 0) * np.float32(1 / 25)
    patches = np.maximum(anatomy.noise(22, 120.0) - 0.9, 0) * 0.35
    scattered = np.clip(0.015 + patches + 0.3 / (1 + outside * outside), 0, 0.7)
    return np.maximum(dense, scattered * anatomy.stroma) * ramp(-anatomy.empty - 2, 2)
