"""Read whole-slide images: any rectangle, at any scale, as RGB. The only user of OpenSlide.

Frames. `x_l0, y_l0` are level-0 pixels, `x_lvl, y_lvl` pixels of one pyramid level. OpenSlide's
(x, y) and (width, height) become (H, W, 3) arrays here and nowhere else.
"""

import math
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import numpy as np
import openslide

from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.slides.levels import (
    Level,
    as_pair,
    checked_mpp,
    choose_level,
    mpp_of,
    true_downsample,
)
from paddleseg_sclc.slides.resampling import resample

# What decodes the slides, for those who note versions.
OPENSLIDE_VERSION: str = openslide.__library_version__
# A level that OpenSlide can only decode in larger pieces (mostly: whole) is refused: keeping it
# takes 3 bytes a pixel (0.8 GB), decoding it 7.
MAX_PIECE_PIXELS = 2**28
# Whole levels up to this size stay in OpenSlide's own cache; larger ones are kept here.
_SMALL_LEVEL_PIXELS = 2**21
_CACHE_BYTES = 64 * 2**20
# Source pixels held at once while a large area is shrunk.
_BLOCK_PIXELS = 2**24
# A lenient read gives up on a part of this side that holds damaged data.
_DAMAGED_SIDE = 256


class Slide:
    """A whole-slide image. Threads and forked processes may share one; it pickles by its path.

    Args:
        path: a file that OpenSlide reads (NDPI, SVS, MIRAX, tiled TIFF, ...).
        mpp: micrometres a level-0 pixel, one number or (x, y), in place of the slide's own.
        max_piece_pixels: the largest piece that may be decoded at once. A level that is one JPEG
            without restart markers is one piece: it is decoded once and kept in memory.

    Raises:
        SclcError: no such file, not a slide, or a damaged one.
        UsageError: `mpp` is out of range.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        mpp: float | tuple[float, float] | None = None,
        max_piece_pixels: int = MAX_PIECE_PIXELS,
    ) -> None:
        self.path = Path(path)
        self._given_mpp = None if mpp is None else checked_mpp(mpp)
        self._max_piece_pixels = max_piece_pixels
        self._closed = False
        self._connect()
        handle = self._handle
        self.properties: Mapping[str, str] = MappingProxyType(dict(handle.properties))
        self.levels: tuple[Level, ...] = tuple(
            _describe_level(handle, index) for index in range(handle.level_count)
        )

    def _connect(self) -> None:
        """Open OpenSlide's handle for this process and forget what another one had."""
        self._lock = threading.RLock()
        self._whole_levels: dict[int, np.ndarray] = {}
        self._handle = _open_handle(self.path)
        self._pid = os.getpid()

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def dimensions(self) -> tuple[int, int]:
        """(width, height) of level 0."""
        return self.levels[0].width, self.levels[0].height

    @property
    def has_mpp(self) -> bool:
        """Whether the scale is known, from the file or from the caller."""
        return self._given_mpp is not None or mpp_of(self.properties) is not None

    @property
    def mpp(self) -> tuple[float, float]:
        """Micrometres a level-0 pixel, (x, y).

        Raises:
            SclcError: neither the file nor the caller says.
        """
        mpp = self._given_mpp or mpp_of(self.properties)
        if mpp is None:
            raise SclcError(f"{self.path}: the slide says no mpp (micrometres a pixel); pass --mpp")
        return mpp

    @property
    def vendor(self) -> str:
        """OpenSlide's name for the format, such as `hamamatsu` or `aperio`."""
        return self.properties.get("openslide.vendor", "unknown")

    @property
    def offset_from_slide_centre_nm(self) -> tuple[int, int] | None:
        """Where the scan's centre lies on the glass, (x, y) in nanometres, in Hamamatsu files.

        NDPA annotations count nanometres from the centre of the glass.
        """
        try:
            x = self.properties["hamamatsu.XOffsetFromSlideCentre"]
            y = self.properties["hamamatsu.YOffsetFromSlideCentre"]
            return int(x), int(y)
        except (KeyError, ValueError):
            return None

    def read_region(
        self,
        x_l0: float,
        y_l0: float,
        width: int,
        height: int,
        downsample: float | tuple[float, float] | None = None,
        mpp: float | tuple[float, float] | None = None,
    ) -> np.ndarray:
        """Read `width` x `height` pixels at a scale, the top left corner at (x_l0, y_l0).

        Args:
            x_l0: left edge in level-0 pixels, fractions and negative numbers included.
            y_l0: top edge in level-0 pixels.
            width: pixels of the result.
            height: pixels of the result.
            downsample: level-0 pixels to a pixel of the result, one number or (x, y); default 1.
            mpp: in place of `downsample`, micrometres to a pixel of the result.

        Returns:
            (height, width, 3) uint8 RGB; white where the slide is transparent or ends.

        Raises:
            ValueError: both scales given, a scale or a size that is not positive.
            SclcError: a damaged slide, no mpp, or a level too large to decode whole.
        """
        if downsample is not None and mpp is not None:
            raise ValueError("read_region: pass downsample or mpp, not both")
        scale_x, scale_y = as_pair(1.0 if downsample is None else downsample)
        if mpp is not None:
            wanted, own = as_pair(mpp), self.mpp
            scale_x, scale_y = wanted[0] / own[0], wanted[1] / own[1]
        return self.read_box(x_l0, y_l0, width * scale_x, height * scale_y, (width, height))

    def read_box(
        self,
        x_l0: float,
        y_l0: float,
        width_l0: float,
        height_l0: float,
        size: tuple[int, int],
        lenient: bool = False,
    ) -> np.ndarray:
        """Read a rectangle of level 0 as `size` (width, height) pixels, the aspect kept or not.

        The coarsest level that is at least as fine as asked is read and resampled without
        aliasing (see `resampling.py`). Neighbouring rectangles fit without a seam.

        Args:
            x_l0: left edge in level-0 pixels.
            y_l0: top edge in level-0 pixels.
            width_l0: in level-0 pixels.
            height_l0: in level-0 pixels.
            size: (width, height) of the result.
            lenient: what cannot be decoded is white, instead of an error.

        Returns:
            (height, width, 3) uint8 RGB; white where the slide is transparent or ends.
        """
        box = (float(x_l0), float(y_l0), float(width_l0), float(height_l0))
        if not (all(map(math.isfinite, box)) and min(box[2:]) > 0 and min(size) >= 1):
            raise ValueError(f"read_box: a box of positive size is needed, got {box} as {size}")
        level = self._choose_level(min(box[2] / size[0], box[3] / size[1]))
        x_lvl, y_lvl = box[0] / level.downsample_x, box[1] / level.downsample_y
        step_x = box[2] / level.downsample_x / size[0]
        step_y = box[3] / level.downsample_y / size[1]

        def read(x: int, y: int, width: int, height: int) -> np.ndarray:
            return self.read_level(level.index, x, y, width, height, lenient)

        return resample(read, (x_lvl, y_lvl), (step_x, step_y), size, _BLOCK_PIXELS)

    def read_level(
        self,
        level: int,
        x_lvl: int,
        y_lvl: int,
        width: int,
        height: int,
        lenient: bool = False,
    ) -> np.ndarray:
        """Read pixels of one level as they are stored; white beyond its edges.

        `lenient`: what cannot be decoded is white, instead of an error.

        Returns:
            (height, width, 3) uint8 RGB.
        """
        shape = self.levels[level]
        left, top = max(x_lvl, 0), max(y_lvl, 0)
        right, bottom = min(x_lvl + width, shape.width), min(y_lvl + height, shape.height)
        if right <= left or bottom <= top:
            return np.full((height, width, 3), 255, np.uint8)
        if shape.whole and shape.width * shape.height > _SMALL_LEVEL_PIXELS:
            inside = self._whole_level(shape)[top:bottom, left:right]
        else:
            read = self._read_what_can_be if lenient else self._read_stored
            inside = read(shape, left, top, right - left, bottom - top)
        if inside.shape[:2] == (height, width):
            return inside.copy() if inside.base is not None else inside
        padded = np.full((height, width, 3), 255, np.uint8)
        padded[top - y_lvl : bottom - y_lvl, left - x_lvl : right - x_lvl] = inside
        return padded

    def read_thumbnail(self, max_side: int = 1024) -> np.ndarray:
        """Read the whole slide with its longer side at most `max_side` pixels.

        Returns:
            (H, W, 3) uint8 RGB. Its scale is `dimensions` over its size, a bit off square.
        """
        width, height = self.dimensions
        scale = max(1.0, max(width, height) / max_side)
        size = max(1, round(width / scale)), max(1, round(height / scale))
        return self.read_box(0, 0, width, height, size)

    def close(self) -> None:
        """Let go of the file and of what is kept in memory. Reading again raises ValueError."""
        with self._lock:
            self._closed = True
            self._whole_levels.clear()
            if self._pid == os.getpid():
                self._handle.close()

    def __enter__(self) -> "Slide":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Slide({str(self.path)!r}, {self.dimensions[0]} x {self.dimensions[1]})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Slide, (self.path, self._given_mpp, self._max_piece_pixels)

    def _choose_level(self, downsample: float) -> Level:
        level = choose_level(self.levels, downsample, self._max_piece_pixels)
        if level is not None:
            return level
        level = choose_level(self.levels, downsample)
        assert level is not None
        raise SclcError(
            f"{self.path}: level {level.index} ({level.width} x {level.height}) must have tiles or "
            f"restart markers at most {self._max_piece_pixels:,} pixels apart, got "
            f"{level.piece_pixels:,} that can only be decoded at once; convert the slide to a "
            "tiled TIFF (such as `vips tiffsave --tile --pyramid --compression jpeg`)"
        )

    def _open_here(self) -> Any:
        """OpenSlide's handle, opened anew in a forked process (file positions are shared)."""
        if self._closed:
            raise ValueError(f"{self.path}: the slide is closed")
        if self._pid != os.getpid():
            self._inherited = self._handle  # closing it here could wait for the parent's lock
            self._connect()
        return self._handle

    def _read_stored(self, level: Level, x: int, y: int, width: int, height: int) -> np.ndarray:
        """Read pixels that lie inside the level through OpenSlide."""
        handle = self._open_here()
        try:
            return _read_rgb(handle, level, x, y, width, height)
        except openslide.OpenSlideError:
            with self._lock:
                if self._handle is handle:  # it refuses all reads after its first error
                    self._handle = _open_handle(self.path)
        # The error may be one that another thread's read had left behind.
        alone = _open_handle(self.path)
        try:
            return _read_rgb(alone, level, x, y, width, height)
        except openslide.OpenSlideError as error:
            x_l0, y_l0 = round(x * level.downsample_x), round(y * level.downsample_y)
            raise SclcError(
                f"{self.path}: the region at x {x_l0}, y {y_l0} (level {level.index}, "
                f"{width} x {height} pixels) cannot be decoded ({error}); the file is damaged, "
                "copy or scan it again"
            ) from error
        finally:
            alone.close()

    def _read_what_can_be(
        self, level: Level, x: int, y: int, width: int, height: int
    ) -> np.ndarray:
        """As `_read_stored`, but damaged parts, down to about a tile, are white."""
        try:
            return self._read_stored(level, x, y, width, height)
        except SclcError:
            pixels = np.full((height, width, 3), 255, np.uint8)
            if max(width, height) <= _DAMAGED_SIDE:
                return pixels
            half_x, half_y = math.ceil(width / 2), math.ceil(height / 2)
            for top in range(0, height, half_y):
                for left in range(0, width, half_x):
                    size = min(half_x, width - left), min(half_y, height - top)
                    part = self._read_what_can_be(level, x + left, y + top, *size)
                    pixels[top : top + size[1], left : left + size[0]] = part
            return pixels

    def _whole_level(self, level: Level) -> np.ndarray:
        """A level that is decoded as one piece: decoded once, then kept. (H, W, 3) uint8."""
        self._open_here()
        with self._lock:
            if level.index not in self._whole_levels:
                self._whole_levels[level.index] = self._decode_whole(level)
            return self._whole_levels[level.index]

    def _decode_whole(self, level: Level) -> np.ndarray:
        pixels = np.empty((level.height, level.width, 3), np.uint8)
        handle = _open_handle(self.path, 4 * level.width * level.height + _CACHE_BYTES)
        rows = max(1, _BLOCK_PIXELS // level.width)
        try:
            for y in range(0, level.height, rows):
                height = min(rows, level.height - y)
                pixels[y : y + height] = _read_rgb(handle, level, 0, y, level.width, height)
        except openslide.OpenSlideError as error:
            raise SclcError(
                f"{self.path}: level {level.index} ({level.width} x {level.height}) cannot be "
                f"decoded ({error}); the file is damaged, copy or scan it again"
            ) from error
        finally:
            handle.close()
        pixels.flags.writeable = False
        return pixels


def open_slide(
    path: str | os.PathLike[str], mpp: float | tuple[float, float] | None = None
) -> Slide:
    """Open a slide; see `Slide`. Use it in a `with` block."""
    return Slide(path, mpp)


def _open_handle(path: Path, cache_bytes: int | None = None) -> Any:
    if not path.is_file():
        raise SclcError(f"{path}: no such slide file")
    try:
        handle = openslide.OpenSlide(path)
    except openslide.OpenSlideUnsupportedFormatError as error:
        raise SclcError(
            f"{path}: must be a slide that OpenSlide reads (NDPI, SVS, MRXS, tiled TIFF, ...), "
            "got another kind of file or a truncated one"
        ) from error
    except (openslide.OpenSlideError, OSError) as error:
        raise SclcError(
            f"{path}: the slide cannot be opened ({error}); the file is damaged or truncated, "
            "copy or scan it again"
        ) from error
    handle.set_cache(openslide.OpenSlideCache(cache_bytes or _cache_bytes(handle)))
    return handle


def _cache_bytes(handle: Any) -> int:
    """Room for a few of the largest tiles, within reason."""
    largest = max(
        (math.prod(_tile_size(handle, index)) for index in range(handle.level_count)), default=0
    )
    return max(_CACHE_BYTES, min(4 * 4 * largest, 8 * _CACHE_BYTES))


def _tile_size(handle: Any, index: int) -> tuple[int, int]:
    """(width, height) of what OpenSlide decodes at once at this level; (0, 0) if it says not."""
    width = handle.properties.get(f"openslide.level[{index}].tile-width", "0")
    height = handle.properties.get(f"openslide.level[{index}].tile-height", "0")
    return int(width), int(height)


def _describe_level(handle: Any, index: int) -> Level:
    (width_l0, height_l0), (width, height) = handle.dimensions, handle.level_dimensions[index]
    tile_width, tile_height = _tile_size(handle, index)
    return Level(
        index=index,
        width=width,
        height=height,
        downsample_x=true_downsample(width_l0, width),
        downsample_y=true_downsample(height_l0, height),
        openslide_downsample=handle.level_downsamples[index],
        piece_pixels=tile_width * tile_height,
        whole=tile_width >= width and tile_height >= height,
    )


def _read_rgb(handle: Any, level: Level, x: int, y: int, width: int, height: int) -> np.ndarray:
    """Pixels of a level on white, (height, width, 3) uint8. OpenSlide wants level-0 corners."""
    corner = round(x * level.openslide_downsample), round(y * level.openslide_downsample)
    rgba = np.asarray(handle.read_region(corner, level.index, (width, height)))
    alpha = rgba[..., 3:]
    if alpha.min() == 255:
        return np.ascontiguousarray(rgba[..., :3])
    blended = rgba[..., :3].astype(np.uint32) * alpha + 255 * (255 - alpha.astype(np.uint32))
    return ((blended + 127) // 255).astype(np.uint8)
