"""Write Hamamatsu NDPI files (below 4 GB) that OpenSlide and tifffile read as such.

NDPI is a TIFF with 64-bit directory offsets (and the high words of the values after each
directory), tags of its own from 65420 on, and one JPEG a level. Restart markers cut that JPEG
into tiles: OpenSlide decodes the intervals that a region touches, found by their offsets in tag
65426, and derives levels between from the JPEG's scaled decoding. Known from reading real files;
see also https://openslide.org/formats/hamamatsu/.
"""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paddleseg_sclc.files import atomic_path

Rgb = NDArray[np.uint8]
# Code, type, values.
Tag = tuple[int, int, list | str]
# JPEG without chroma subsampling codes blocks of 8 x 8 pixels.
MCU = 8
TILE_WIDTH = 512
MACRO_LENS = -1.0
_SHORT, _LONG, _RATIONAL, _SLONG, _FLOAT, _ASCII = 3, 4, 5, 9, 11, 2
_STRUCT = {_SHORT: "H", _LONG: "I", _RATIONAL: "I", _SLONG: "i", _FLOAT: "f"}
JPEG_QUALITY = 80


@dataclass(frozen=True)
class ScanInfo:
    """What the scanner says of a slide.

    Attributes:
        mpp: micrometres a pixel at level 0.
        lens: magnification of level 0 as the file states it.
        scanned: date and time, `YYYY:MM:DD HH:MM:SS`.
        reference: identifies the slide.
    """

    mpp: float
    lens: float
    scanned: str = "2024:01:01 12:00:00"
    reference: str = "demo"


def write_ndpi(
    path: Path,
    image: Rgb,
    macro: Rgb,
    macro_mpp: float,
    scan: ScanInfo,
    restart_markers: bool = True,
) -> None:
    """Write an image as NDPI, each level half the last down to 1024 pixels, and a macro image.

    Args:
        path: of the file, replaced if there.
        image: (H, W, 3) uint8 RGB level 0; sides must be multiples of 64.
        macro: (h, w, 3) uint8 RGB photograph of the glass; sides must be multiples of 8.
        macro_mpp: its micrometres a pixel.
        scan: goes into the tags.
        restart_markers: False makes levels that OpenSlide decodes whole at every read, as some
            scanners do.

    Raises:
        ValueError: a side is no such multiple.
        SclcError: the file cannot be written.
    """
    if any(side % 64 for side in image.shape[:2]) or any(side % MCU for side in macro.shape[:2]):
        raise ValueError(
            f"write_ndpi: sides must be multiples of 64 (image) and {MCU} (macro), "
            f"got {image.shape} and {macro.shape}"
        )
    directories = []
    downsample = 1
    while True:
        directories.append((image, scan.lens / downsample, scan.mpp * downsample))
        if max(image.shape[:2]) <= 1024 or any(side % (2 * MCU) for side in image.shape[:2]):
            break
        image, downsample = _halve(image), downsample * 2
    directories.append((macro, MACRO_LENS, macro_mpp))
    with atomic_path(path) as part, part.open("wb") as file:
        file.write(struct.pack("<2sHQ", b"II", 42, 0))
        pointer = 4
        for pixels, lens, mpp in directories:
            interval = _restart_interval(pixels.shape[1]) if restart_markers else 0
            jpeg, starts = encode_jpeg(pixels, interval)
            strip = file.tell()
            file.write(jpeg)
            tags = _tags(pixels.shape, strip, len(jpeg), lens, mpp, scan)
            if interval and lens != MACRO_LENS:
                tags.append((65426, _LONG, starts))
            pointer = _write_directory(file, pointer, sorted(tags))


def _halve(image: Rgb) -> Rgb:
    blocks = image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2, 3)
    return ((blocks.sum(axis=(1, 3), dtype=np.uint16) + 2) // 4).astype(np.uint8)


def _restart_interval(width: int) -> int:
    """Blocks between restart markers: the largest divisor of a row that is no wider than a tile."""
    row = width // MCU
    return max(n for n in range(1, TILE_WIDTH // MCU + 1) if row % n == 0)


def encode_jpeg(image: Rgb, interval: int, quality: int = JPEG_QUALITY) -> tuple[bytes, list[int]]:
    """Encode, with restart markers if asked.

    Args:
        image: (H, W, 3) uint8 RGB, sides multiples of 8.
        interval: blocks of 8 x 8 pixels between restart markers, 0 for none.
        quality: of the JPEG.

    Returns:
        The JPEG and, for each restart interval, where its coded data start.
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(
        buffer, "JPEG", quality=quality, subsampling=0, restart_marker_blocks=interval
    )
    data = buffer.getvalue()
    scan = data.index(b"\xff\xda")
    start = scan + 2 + struct.unpack(">H", data[scan + 2 : scan + 4])[0]
    codes = np.frombuffer(data, np.uint8)[start:]
    # In coded data 0xFF is followed by 0x00 unless it begins a marker: D0 to D7 restart.
    marks = np.flatnonzero((codes[:-1] == 0xFF) & (codes[1:] >= 0xD0) & (codes[1:] <= 0xD7))
    return data, [start, *(int(mark) + start + 2 for mark in marks)]


def _write_directory(file: io.BufferedWriter, pointer: int, tags: list[Tag]) -> int:
    """Append a directory and make `pointer` point to it.

    Returns:
        Where the pointer to the next directory stands.
    """
    entries = []
    for code, kind, values in tags:
        if isinstance(values, str):
            count, packed = len(values) + 1, values.encode("ascii") + b"\0"
        else:
            count = len(values) // 2 if kind == _RATIONAL else len(values)
            packed = struct.pack(f"<{len(values)}{_STRUCT[kind]}", *values)
        if len(packed) > 4:
            offset = _align(file)
            file.write(packed)
            packed = struct.pack("<I", offset)
        entries.append(struct.pack("<HHI4s", code, kind, count, packed))
    directory = _align(file)
    file.write(struct.pack("<H", len(entries)) + b"".join(entries))
    next_pointer = file.tell()
    # After the 64-bit pointer come the high words of the entries' values, 0 below 4 GB.
    file.write(struct.pack("<Q", 0) + bytes(4 * len(entries)))
    file.seek(pointer)
    file.write(struct.pack("<Q", directory))
    file.seek(0, io.SEEK_END)
    return next_pointer


def _align(file: io.BufferedWriter) -> int:
    """Pad to an even offset, as TIFF wants, and return it."""
    file.write(bytes(file.tell() % 2))
    return file.tell()


def _tags(
    shape: Sequence[int], strip: int, size: int, lens: float, mpp: float, scan: ScanInfo
) -> list[Tag]:
    """The tags of a directory."""
    per_cm = [round(1e4 / mpp * 1000), 1000]
    return [
        (256, _LONG, [shape[1]]),
        (257, _LONG, [shape[0]]),
        (258, _SHORT, [8, 8, 8]),
        (259, _SHORT, [7]),
        (262, _SHORT, [6]),
        (271, _ASCII, "Hamamatsu"),
        (272, _ASCII, "synthetic"),
        (273, _LONG, [strip]),
        (277, _SHORT, [3]),
        (278, _LONG, [shape[0]]),
        (279, _LONG, [size]),
        (282, _RATIONAL, per_cm),
        (283, _RATIONAL, per_cm),
        (296, _SHORT, [3]),
        (305, _ASCII, "paddleseg_sclc demo"),
        (306, _ASCII, scan.scanned),
        (530, _SHORT, [1, 1]),
        (65420, _SHORT, [1]),
        (65421, _FLOAT, [lens]),
        (65422, _SLONG, [0]),
        (65423, _SLONG, [0]),
        (65424, _SLONG, [0]),
        (65427, _ASCII, scan.reference),
    ]
