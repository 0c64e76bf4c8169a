"""Nuclei and red cells: where they stand (a jittered grid) and how they are drawn."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.demo.noise import Array, hash_unit


@dataclass(frozen=True)
class CellKind:
    """A kind of cell. Lengths are in micrometres, `stain` is a concentration.

    Attributes:
        channel: first hash channel; ten are used.
        pitch: distance of neighbours.
        long: least and greatest semi-major axis.
        ratio: least and greatest ratio of minor to major axis.
        stain: least and greatest concentration drawn.
        flatten: how flat the side pressed by a neighbour is: 0 none, 1 to the centre.
        aligned: 1 follows the direction of the tissue, 0 lies anyhow.
    """

    channel: int
    pitch: float
    long: tuple[float, float]
    ratio: tuple[float, float]
    stain: tuple[float, float]
    flatten: float = 0.0
    aligned: float = 0.0


TUMOUR = CellKind(100, 7.7, (4.0, 5.4), (0.6, 0.85), (1.35, 1.95), flatten=0.45, aligned=0.6)
LYMPHOCYTE = CellKind(120, 6.3, (2.5, 3.1), (0.88, 1.0), (1.45, 2.0))
FIBROBLAST = CellKind(140, 19.0, (5.5, 9.0), (0.16, 0.3), (0.9, 1.5), aligned=0.95)
EPITHELIUM = CellKind(160, 7.4, (3.2, 4.2), (0.6, 0.9), (1.1, 1.6), flatten=0.2)
CHONDROCYTE = CellKind(180, 38.0, (3.0, 5.0), (0.6, 0.9), (1.0, 1.5))
RED_CELL = CellKind(200, 6.6, (2.9, 3.5), (0.8, 1.0), (0.9, 1.3))
DEBRIS = CellKind(220, 8.5, (0.8, 2.2), (0.6, 1.0), (0.9, 1.8))
SEPTUM = CellKind(240, 11.0, (3.0, 4.6), (0.4, 0.8), (1.0, 1.6))


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


def place(kind: CellKind, seed: int, box: tuple[float, float, float, float]) -> Cells:
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


def draw(canvas: Array, cells: Cells, mpp: float, flatten: float = 0.0) -> None:
    """Draw cells into `canvas` in place, keeping the greater value (so order does not matter).

    Args:
        canvas: (H, W) float32 concentrations; its pixel (0, 0) covers 0..mpp micrometres.
        cells: positions relative to the canvas, in micrometres.
        mpp: micrometres a pixel, at most about 2: a smaller cell is drawn a pixel wide.
        flatten: see CellKind.
    """
    if not len(cells.x):
        return
    height, width = canvas.shape
    half = int(np.ceil(float(cells.long.max()) / mpp + 0.5))
    offset = np.arange(-half, half + 1)
    dy, dx = (grid.ravel() for grid in np.meshgrid(offset, offset, indexing="ij"))
    flat = canvas.ravel()
    chunk = max(1, 60_000 // len(dx))
    for first in range(0, len(cells.x), chunk):
        some = cells[first : first + chunk]
        column = np.floor(some.x / mpp).astype(np.int32)[:, None] + dx
        row = np.floor(some.y / mpp).astype(np.int32)[:, None] + dy
        px = ((column + 0.5) * mpp - some.x[:, None]).astype(np.float32)
        py = ((row + 0.5) * mpp - some.y[:, None]).astype(np.float32)
        cos, sin = _direction(some.angle)
        u = (px * cos + py * sin) / some.long[:, None]
        v = (py * cos - px * sin) / some.short[:, None]
        radius = np.sqrt(u * u + v * v)
        if flatten:
            cos, sin = _direction(some.cut)
            radius = np.maximum(radius, (u * cos + v * sin) * np.float32(1 / (1 - flatten)))
        cover = np.clip(0.5 + (1 - radius) * (some.short[:, None] / np.float32(mpp)), 0, 1)
        # Chromatin is a little denser at the nuclear membrane.
        value = cover * some.stain[:, None] * (0.86 + 0.14 * np.minimum(radius, 1))
        keep = (value > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        np.maximum.at(flat, (row * width + column)[keep], value[keep])
