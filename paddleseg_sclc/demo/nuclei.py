"""Nuclei and red cells: where they stand (a jittered grid) and how they are drawn."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.demo.ground import View
from paddleseg_sclc.demo.noise import Array, hash_unit


@dataclass(frozen=True)
class CellKind:
    """A kind of cell. Lengths are in micrometres.

    Attributes:
        channel: first hash channel; ten are used.
        pitch: distance of neighbours.
        long: least and greatest semi-major axis.
        ratio: least and greatest ratio of minor to major axis.
        stain: least and greatest concentration.
        layer: what it is stained by: 0 hematoxylin, 1 eosin.
        flatten: how flat the side pressed by a neighbour is: 0 none, 1 to the centre.
        aligned: 1 follows the direction of the tissue, 0 lies anyhow.
        turn: angle to that direction.
        halo: width of the empty space around it.
    """

    channel: int
    pitch: float
    long: tuple[float, float]
    ratio: tuple[float, float]
    stain: tuple[float, float]
    layer: int = 0
    flatten: float = 0.0
    aligned: float = 0.0
    turn: float = 0.0
    halo: float = 0.0


TUMOUR = CellKind(100, 7.5, (4.2, 5.8), (0.6, 0.85), (1.35, 2.05), flatten=0.42, aligned=0.6)
LYMPHOCYTE = CellKind(120, 5.9, (2.5, 3.1), (0.88, 1.0), (1.5, 1.95))
FIBROBLAST = CellKind(140, 19.0, (5.5, 9.0), (0.14, 0.28), (0.9, 1.5), aligned=0.95)
EPITHELIUM = CellKind(160, 7.0, (3.2, 4.2), (0.6, 0.9), (1.2, 1.8), flatten=0.2)
COLUMNAR = CellKind(260, 5.6, (4.0, 5.5), (0.42, 0.6), (1.3, 1.9), aligned=0.9, turn=np.pi / 2)
CHONDROCYTE = CellKind(180, 25.0, (1.6, 4.2), (0.5, 0.9), (1.0, 1.6), halo=2.6)
RED_CELL = CellKind(200, 6.6, (2.9, 3.5), (0.8, 1.0), (0.9, 1.3), layer=1)
DEBRIS = CellKind(220, 8.5, (0.8, 2.2), (0.6, 1.0), (0.9, 1.8))
PNEUMOCYTE = CellKind(240, 10.0, (2.6, 4.2), (0.4, 0.8), (1.0, 1.6), aligned=0.5)


@dataclass(frozen=True)
class Cells:
    """Cells as columns, each (n,) float32; lengths and positions in micrometres."""

    x: Array
    y: Array
    long: Array
    short: Array
    angle: Array
    stain: Array
    chance: Array
    cut: Array

    def __getitem__(self, index: NDArray | slice) -> "Cells":
        return Cells(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def swollen(self, margin: float) -> "Cells":
        """The same cells, wider by a margin in micrometres, with stain 1."""
        margin32 = np.float32(margin)
        return replace(
            self,
            long=self.long + margin32,
            short=self.short + margin32,
            stain=np.ones_like(self.stain),
        )


def place(kind: CellKind, seed: int, box: tuple[float, ...]) -> Cells:
    """All cells of a kind whose grid cell touches `box` (x0, y0, x1, y1 in micrometres).

    Rows are shifted by half a pitch in turn (a hexagonal grid), then each cell is jittered.
    `chance` is uniform in [0, 1): a cell stands where it is below the local density.
    """
    pitch_y = kind.pitch * 0.87
    columns = np.arange(int(np.floor(box[0] / kind.pitch)) - 1, int(box[2] // kind.pitch) + 2)
    rows = np.arange(int(np.floor(box[1] / pitch_y)) - 1, int(box[3] // pitch_y) + 2)
    iy, ix = (grid.ravel() for grid in np.meshgrid(rows, columns, indexing="ij"))

    def unit(channel: int) -> Array:
        return hash_unit(seed, ix, iy, kind.channel + channel)

    def within(limits: tuple[float, float], channel: int) -> Array:
        return (limits[0] + (limits[1] - limits[0]) * unit(channel)).astype(np.float32)

    long = within(kind.long, 2)
    x = (ix + 0.5 * (iy % 2) + 0.5 + 0.62 * (unit(0) - 0.5)) * kind.pitch
    y = (iy + 0.5 + 0.62 * (unit(1) - 0.5)) * pitch_y
    return Cells(
        x.astype(np.float32),
        y.astype(np.float32),
        long,
        long * within(kind.ratio, 3),
        (unit(4) - 0.5) * np.float32(np.pi),
        within(kind.stain, 5),
        unit(6),
        (unit(7) * np.float32(2 * np.pi)),
    )


def _direction(angle: Array) -> tuple[Array, Array]:
    """Cosine and sine (n, 1), in double precision: float32 ones differ between machines."""
    exact = angle.astype(np.float64)[:, None]
    return np.cos(exact).astype(np.float32), np.sin(exact).astype(np.float32)


def draw_cells(canvas: Array, cells: Cells, view: View, flatten: float = 0.0) -> Array:
    """Draw cells into `canvas`, keeping the greater value (so that order does not matter).

    Args:
        canvas: (H, W) float32 concentrations, contiguous; changed.
        cells: positions in micrometres.
        view: of the canvas, at most about 2 um a pixel: a smaller cell is a pixel wide.
        flatten: see CellKind.

    Returns:
        The canvas.
    """
    if not len(cells.x):
        return canvas
    mpp = view.mpp
    half = int(float(cells.long.max()) / mpp + 1)
    offset = np.arange(-half, half + 1)
    dy, dx = (grid.ravel() for grid in np.meshgrid(offset, offset, indexing="ij"))
    # In whole pixels and rest, in double precision: the same in every view that shows the cell.
    x, y = cells.x / np.float64(mpp), cells.y / np.float64(mpp)
    left, top = np.floor(x), np.floor(y)
    rest_x, rest_y = ((side * mpp).astype(np.float32)[:, None] for side in (x - left, y - top))
    first_column = (left.astype(np.int32) - view.x)[:, None]
    first_row = (top.astype(np.int32) - view.y)[:, None]
    step_x, step_y = (((step + 0.5) * mpp).astype(np.float32) for step in (dx, dy))
    flat = canvas.ravel()
    chunk = max(1, 60_000 // len(dx))
    for first in range(0, len(cells.x), chunk):
        some = slice(first, first + chunk)
        column, row = first_column[some] + dx, first_row[some] + dy
        px, py = step_x - rest_x[some], step_y - rest_y[some]
        value = _profile(cells[some], px, py, np.float32(1 / mpp), flatten)
        keep = (value > 0) & (column >= 0) & (column < view.width)
        keep &= (row >= 0) & (row < view.height)
        np.maximum.at(flat, (row * view.width + column)[keep], value[keep])
    return canvas


def _profile(cells: Cells, px: Array, py: Array, per_um: np.float32, flatten: float) -> Array:
    """Concentrations (n, k) that n cells give to k pixels at (px, py) um from their centres."""
    cos, sin = _direction(cells.angle)
    u = (px * cos + py * sin) / cells.long[:, None]
    v = (py * cos - px * sin) / cells.short[:, None]
    radius = np.sqrt(u * u + v * v)
    # From the centre to the edge in the direction of the pixel.
    ray = np.sqrt(px * px + py * py) / (radius + np.float32(1e-6))
    if flatten:
        cos, sin = _direction(cells.cut)
        radius = np.maximum(radius, (u * cos + v * sin) * np.float32(1 / (1 - flatten)))
    cover = np.clip(0.5 + (1 - radius) * ray * per_um, 0, 1)
    # Chromatin is a little denser at the nuclear membrane.
    return cover * cells.stain[:, None] * (0.86 + 0.14 * np.minimum(radius, 1))
