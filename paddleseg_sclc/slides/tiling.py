"""Regular grids of tiles: pure geometry, in whatever frame the caller counts."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Edge(Enum):
    """What happens to tiles at the far edge."""

    OVERHANG = "overhang"  # the last tile reaches beyond the edge
    SHIFT = "shift"  # the last tile is moved back inside, over its neighbour
    DROP = "drop"  # only tiles that lie inside


@dataclass(frozen=True)
class Tile:
    """A cell of a grid: its place in the grid and its corner; all tiles have one size."""

    row: int
    column: int
    x: int
    y: int


def tile_starts(
    length: int, tile: int, step: int | None = None, edge: Edge = Edge.OVERHANG
) -> list[int]:
    """Where the tiles along one axis begin.

    Args:
        length: of the axis, in pixels.
        tile: length of a tile.
        step: from one tile to the next; `tile` (no overlap, no gap) unless given.
        edge: what happens where `length` is no multiple. An axis shorter than a tile has one tile
            at 0, or none under `Edge.DROP`.

    Returns:
        Increasing starts. Under OVERHANG and SHIFT with `step <= tile` every pixel is covered.
    """
    step = tile if step is None else step
    if length < 1 or tile < 1 or step < 1:
        raise ValueError(f"tile_starts: must be at least 1, got {length=} {tile=} {step=}")
    inside = list(range(0, length - tile + 1, step))
    covered = inside[-1] + tile if inside else 0
    if covered >= length or edge is Edge.DROP:
        return inside
    if edge is Edge.SHIFT:
        return [*inside, max(0, length - tile)]
    return list(range(0, max(1, length - tile + step), step))


def grid_tiles(
    width: int,
    height: int,
    tile: int,
    step: int | None = None,
    edge: Edge = Edge.OVERHANG,
) -> Iterator[Tile]:
    """The tiles of a grid over `width` x `height`, row by row; see `tile_starts`."""
    columns = tile_starts(width, tile, step, edge)
    for row, y in enumerate(tile_starts(height, tile, step, edge)):
        for column, x in enumerate(columns):
            yield Tile(row, column, x, y)
