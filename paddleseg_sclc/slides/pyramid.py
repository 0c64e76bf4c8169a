"""Write tiled pyramids: 8-bit grey or RGB TIFF of any size, in one pass and little memory.

The file is what OpenSlide (`generic-tiff`), QuPath and ASAP open: tiles, one directory a level,
each half as large as the one before, the lower ones marked as reduced, resolution in pixels a
centimetre. LZW, JPEG and deflate under its older number are the compressions that all three read
(ASAP takes neither deflate's newer number, 8, nor descriptions that speak of XML or DICOM).

Tiles of all levels are appended as they get ready and the directories come last, so nothing is
spooled or written twice. A tile of one value is encoded once: all tiles like it share the bytes.
"""

import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import BinaryIO

import numpy as np

from paddleseg_sclc.files import atomic_path
from paddleseg_sclc.slides.levels import as_pair
from paddleseg_sclc.slides.tiff_directory import HEADER_SIZE, TiffLevel, write_directories
from paddleseg_sclc.slides.tile_codec import (
    COMPRESSIONS,
    Compression,
    Reduce,
    encode_tile,
    halve,
    pad_tile,
)

# The pixels of a tile, or the one value that all of them have, a number a channel.
Pixels = np.ndarray | tuple[int, ...]


@dataclass
class _LevelInWork:
    """A level while it is written: where its tiles lie, and those not complete yet."""

    width: int
    height: int
    columns: int
    rows: int
    offsets: np.ndarray
    byte_counts: np.ndarray
    # (row, column) -> pixels or one value, and the number of tiles of the finer level still to come
    partial: dict[tuple[int, int], tuple[Pixels, int]] = field(default_factory=dict)


class PyramidWriter:
    """Writes one pyramid, fed with the tiles of level 0. Use it in a `with` block.

    Each tile is written once; in row order at most one row of tiles of each lower level waits in
    memory. Tiles not written hold `fill`. Threads may write at the same time, though only a fixed
    order makes a fixed file. The file appears under its name when the block ends well, and not at
    all otherwise.

    Args:
        path: the .tif to write.
        width: level-0 pixels.
        height: level-0 pixels.
        channels: 1 (grey, masks, probabilities) or 3 (RGB).
        mpp: micrometres a pixel, one number or (x, y), or None where unknown.
        tile: side of the tiles in pixels, a multiple of 16.
        compression: `lzw` or `deflate` (without loss; deflate is three times as fast and LZW what
            ASAP itself writes) or `jpeg`; by default JPEG for RGB and LZW for grey.
        quality: of JPEG, 1 to 100.
        reduce: how a level comes from the finer one: `nearest` (the upper left of four pixels, as
            masks need it) or `mean`; by default mean for RGB and nearest for grey.
        fill: the value of tiles that are never written.
        description: a line for the file's ImageDescription.

    Raises:
        ValueError: an argument out of range.
        SclcError: the folder cannot be written to, or the disk is full.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        width: int,
        height: int,
        channels: int = 1,
        mpp: float | tuple[float, float] | None = None,
        *,
        tile: int = 512,
        compression: Compression | None = None,
        quality: int = 85,
        reduce: Reduce | None = None,
        fill: int = 0,
        description: str = "",
    ) -> None:
        if width < 1 or height < 1 or channels not in (1, 3) or not 0 <= fill <= 255:
            raise ValueError(f"PyramidWriter: bad {width=} {height=} {channels=} {fill=}")
        if compression not in (None, *COMPRESSIONS) or reduce not in (None, "nearest", "mean"):
            raise ValueError(f"PyramidWriter: bad {compression=} or {reduce=}")
        if tile < 16 or tile % 16 or not 1 <= quality <= 100:
            raise ValueError(
                f"PyramidWriter: tile must be a multiple of 16, got {tile=} {quality=}"
            )
        if any(word in description.lower() for word in ("xml", "dicom")):
            raise ValueError("PyramidWriter: ASAP opens no TIFF described as XML or DICOM")
        self.path, self.width, self.height = path, width, height
        self.channels, self.tile, self.fill = channels, tile, fill
        self.compression = compression or ("jpeg" if channels == 3 else "lzw")
        self.reduce = reduce or ("mean" if channels == 3 else "nearest")
        self.mpp = None if mpp is None else as_pair(mpp)
        if self.mpp is not None and not all(0 < value < 1e6 for value in self.mpp):
            raise ValueError(f"PyramidWriter: mpp must be positive, got {mpp}")
        self._quality, self._description = quality, description
        self._channel_axis = () if channels == 1 else (3,)
        self._levels = self._plan_levels()
        self._shared: dict[tuple[int, ...], tuple[int, int]] = {}
        self._lock = threading.RLock()
        self._stack = ExitStack()
        self._file: BinaryIO | None = None
        self._end = HEADER_SIZE

    @property
    def rows(self) -> int:
        """Rows of tiles at level 0."""
        return self._levels[0].rows

    @property
    def columns(self) -> int:
        """Columns of tiles at level 0."""
        return self._levels[0].columns

    def tile_box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """(x, y, width, height) in level-0 pixels of a tile, cut at the edges of the image."""
        x, y = column * self.tile, row * self.tile
        return x, y, min(self.tile, self.width - x), min(self.tile, self.height - y)

    def __enter__(self) -> "PyramidWriter":
        temporary = self._stack.enter_context(atomic_path(self.path))
        self._file = self._stack.enter_context(open(temporary, "wb"))
        self._pool = self._stack.enter_context(ThreadPoolExecutor(os.cpu_count()))
        self._file.write(b"\0" * HEADER_SIZE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._stack:
            if kind is None:
                self._finish()
            else:
                self._stack.__exit__(kind, value, traceback)

    def write_tile(self, row: int, column: int, pixels: np.ndarray | int) -> None:
        """Write a tile of level 0.

        Args:
            row: of the tile.
            column: of the tile.
            pixels: (h, w) or (h, w, 3) uint8, cut at the image's edges (see `tile_box`) or a full
                tile; a number fills the tile, which costs next to nothing. Not changed.

        Raises:
            ValueError: outside the image, of another shape or type, or written before.
        """
        level = self._levels[0]
        if not (0 <= row < level.rows and 0 <= column < level.columns):
            raise ValueError(f"write_tile: row {row}, column {column} lies outside the image")
        _, _, width, height = self.tile_box(row, column)
        if isinstance(pixels, np.ndarray):
            self._check_tile(pixels, width, height)
            self._write(0, row, column, *self._encoded(pixels[:height, :width]))
        else:
            self._write(0, row, column, (int(pixels),) * self.channels)

    def write_band(self, y_l0: int, pixels: np.ndarray) -> None:
        """Write whole rows of tiles: (h, width[, 3]) uint8 from `y_l0` on, both on tile edges."""
        if y_l0 % self.tile or (pixels.shape[0] % self.tile and y_l0 + len(pixels) != self.height):
            raise ValueError(f"write_band: rows {y_l0} + {len(pixels)} must end on tiles")
        rows = range(y_l0 // self.tile, math.ceil((y_l0 + len(pixels)) / self.tile))
        places = [(row, column) for row in rows for column in range(self.columns)]

        def encoded(place: tuple[int, int]) -> tuple[Pixels, bytes]:
            x, y, width, height = self.tile_box(*place)
            part = pixels[y - y_l0 : y - y_l0 + height, x : x + width]
            self._check_tile(part, width, height)
            return self._encoded(part)

        # Compressed side by side, written in order: the same pixels make the same file.
        for place, (part, data) in zip(places, self._pool.map(encoded, places), strict=True):
            self._write(0, *place, part, data)

    def _plan_levels(self) -> list[_LevelInWork]:
        levels = []
        width, height = self.width, self.height
        while True:
            columns, rows = math.ceil(width / self.tile), math.ceil(height / self.tile)
            tables = np.zeros((2, rows, columns), np.uint64)
            levels.append(_LevelInWork(width, height, columns, rows, tables[0], tables[1]))
            # ASAP wants each level narrower than the one before.
            if columns * rows == 1 or width == 1:
                return levels
            width, height = math.ceil(width / 2), math.ceil(height / 2)

    def _check_tile(self, pixels: np.ndarray, width: int, height: int) -> None:
        shapes = {(height, width, *self._channel_axis), (self.tile, self.tile, *self._channel_axis)}
        if pixels.dtype != np.uint8 or pixels.shape not in shapes:
            raise ValueError(
                f"write_tile: must be uint8 of shape {(height, width, *self._channel_axis)}, "
                f"got {pixels.dtype} {pixels.shape}"
            )

    def _constant_of(self, pixels: Pixels) -> tuple[int, ...] | None:
        """The one value of all pixels, a number a channel, or None if they differ."""
        if isinstance(pixels, tuple):
            return pixels
        first = pixels[0, 0]
        if (pixels[-1, -1] != first).any() or (pixels[0] != first).any():
            return None
        return tuple(np.atleast_1d(first).tolist()) if (pixels == first).all() else None

    def _encoded(self, pixels: Pixels) -> tuple[Pixels, bytes]:
        """A tile as one value, if it is, and its compressed bytes, if they are not shared."""
        value = self._constant_of(pixels)
        if value is not None:
            return value, b""
        assert isinstance(pixels, np.ndarray)
        return pixels, self._encode(pad_tile(pixels, self.tile))

    def _write(
        self, index: int, row: int, column: int, pixels: Pixels, encoded: bytes = b""
    ) -> None:
        """Write a tile of any level and hand it down to the next."""
        level = self._levels[index]
        with self._lock:
            if level.byte_counts[row, column]:
                raise ValueError(f"write_tile: row {row}, column {column} was written before")
            if isinstance(pixels, tuple):
                if pixels not in self._shared:
                    self._shared[pixels] = self._append(self._encode(self._solid(pixels)))
                place = self._shared[pixels]
            else:
                place = self._append(encoded)
            level.offsets[row, column], level.byte_counts[row, column] = place
            done = self._hand_down(index, row, column, pixels)
        if done is not None:
            self._write(index + 1, row // 2, column // 2, *self._encoded(done))

    def _hand_down(self, index: int, row: int, column: int, pixels: Pixels) -> Pixels | None:
        """Put a tile into its quarter of the next level's tile; returns that when complete.

        A tile of the next level stays a mere value for as long as all its parts are that value.
        """
        if index + 1 == len(self._levels):
            return None
        level, below = self._levels[index], self._levels[index + 1]
        key = row // 2, column // 2
        if key in below.partial:
            target, awaited = below.partial.pop(key)
        else:
            awaited = min(2, level.rows - 2 * key[0]) * min(2, level.columns - 2 * key[1])
            target = pixels if isinstance(pixels, tuple) else self._blank(below, *key)
        if isinstance(target, tuple) and not (isinstance(pixels, tuple) and pixels == target):
            value, target = target, self._blank(below, *key)
            target[...] = value
        if not isinstance(target, tuple):
            half = self.tile // 2
            y, x = row % 2 * half, column % 2 * half
            quarter = target[y : y + half, x : x + half]
            quarter[...] = pixels if isinstance(pixels, tuple) else halve(pixels, self.reduce)
        if awaited > 1:
            below.partial[key] = target, awaited - 1
            return None
        return target

    def _blank(self, level: _LevelInWork, row: int, column: int) -> np.ndarray:
        """An array for a tile of a level, cut at its edges."""
        height = min(self.tile, level.height - row * self.tile)
        width = min(self.tile, level.width - column * self.tile)
        return np.empty((height, width, *self._channel_axis), np.uint8)

    def _solid(self, value: tuple[int, ...]) -> np.ndarray:
        return np.full((self.tile, self.tile, *self._channel_axis), value, np.uint8)

    def _encode(self, pixels: np.ndarray) -> bytes:
        return encode_tile(pixels, self.compression, self._quality)

    def _append(self, data: bytes) -> tuple[int, int]:
        if self._file is None:
            raise ValueError("PyramidWriter: must be used in a `with` block")
        place = self._end, len(data)
        self._file.write(data)
        self._end += len(data)
        return place

    def _finish(self) -> None:
        """Fill what was not written, then write the directories."""
        for row, column in np.argwhere(self._levels[0].byte_counts == 0).tolist():
            self._write(0, row, column, (self.fill,) * self.channels)
        assert self._file is not None
        levels = [
            TiffLevel(level.width, level.height, level.offsets.ravel(), level.byte_counts.ravel())
            for level in self._levels
        ]
        write_directories(
            self._file,
            levels,
            tile=self.tile,
            channels=self.channels,
            compression=self.compression,
            mpp=self.mpp,
            description=self._description,
        )
