"""The directories of a tiled pyramidal TIFF, written behind its tiles.

TIFF 6.0 (classic, 32-bit offsets) where the file stays below 4 GB, else BigTIFF.
"""

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import numpy as np

from paddleseg_sclc import __version__

# Room for either header; which one it is, is known only at the end.
HEADER_SIZE = 16

_SHORT, _LONG, _RATIONAL, _ASCII, _LONG8 = 3, 4, 5, 2, 16
_COMPRESSIONS = {"lzw": 5, "jpeg": 7, "deflate": 32946}
_GREY, _RGB, _YCBCR = 1, 2, 6
_CENTIMETRE = 3


@dataclass(frozen=True)
class TiffLevel:
    """A level's size in pixels and where its tiles lie, in row order, uint64."""

    width: int
    height: int
    offsets: np.ndarray
    byte_counts: np.ndarray


@dataclass(frozen=True)
class _Entry:
    tag: int
    kind: int
    count: int
    data: bytes


def write_directories(
    file: BinaryIO,
    levels: list[TiffLevel],
    *,
    tile: int,
    channels: int,
    compression: str,
    mpp: tuple[float, float] | None,
    description: str,
) -> None:
    """Append one directory a level at the end of `file`, then write its header.

    Args:
        file: open for writing, its position at the end of the tiles, which begin at HEADER_SIZE.
        levels: finest first.
        tile: side of the tiles in pixels.
        channels: 1 or 3.
        compression: `lzw`, `deflate` or `jpeg`.
        mpp: micrometres a pixel of level 0, (x, y), or None. Each level is half the one before.
        description: text of the first directory; empty for none.
    """
    end = file.tell()
    tables = sum(16 * len(level.offsets) + 1024 for level in levels) + len(description) * 4
    big = end + tables >= 2**32 - 2**16
    shared = _shared_entries(tile, channels, compression)
    directories = []
    for index, level in enumerate(levels):
        entries = [*shared, *_level_entries(level, index > 0, big)]
        if mpp is not None:
            entries += _resolution_entries(mpp[0] * 2**index, mpp[1] * 2**index)
        if description and index == 0:
            entries.append(_text(270, description))
        directories.append(sorted(entries, key=lambda entry: entry.tag))

    start = _aligned(file)
    header = struct.pack("<2sHHHQ", b"II", 43, 8, 0, start)
    for index, entries in enumerate(directories):
        start = _write_directory(file, start, entries, big, last=index + 1 == len(directories))
    if not big:
        first = struct.unpack("<Q", header[8:])[0]
        header = struct.pack("<2sHI", b"II", 42, first)
    file.seek(0)
    file.write(header)


def _shared_entries(tile: int, channels: int, compression: str) -> list[_Entry]:
    photometric = _GREY if channels == 1 else _YCBCR if compression == "jpeg" else _RGB
    entries = [
        _numbers(258, _SHORT, [8] * channels),  # BitsPerSample
        _numbers(259, _SHORT, [_COMPRESSIONS[compression]]),
        _numbers(262, _SHORT, [photometric]),
        _numbers(277, _SHORT, [channels]),  # SamplesPerPixel
        _numbers(284, _SHORT, [1]),  # PlanarConfiguration: contiguous
        _text(305, f"paddleseg_sclc {__version__}"),
        _numbers(322, _LONG, [tile]),
        _numbers(323, _LONG, [tile]),
        _numbers(339, _SHORT, [1] * channels),  # SampleFormat: unsigned
    ]
    if photometric == _YCBCR:
        entries.append(_numbers(530, _SHORT, [2, 2]))  # YCbCrSubSampling
    return entries


def _level_entries(level: TiffLevel, reduced: bool, big: bool) -> list[_Entry]:
    return [
        _numbers(254, _LONG, [int(reduced)]),  # NewSubfileType: 1 is a reduced image
        _numbers(256, _LONG, [level.width]),
        _numbers(257, _LONG, [level.height]),
        _numbers(324, _LONG8 if big else _LONG, level.offsets.tolist()),
        _numbers(325, _LONG, level.byte_counts.tolist()),
    ]


def _resolution_entries(mpp_x: float, mpp_y: float) -> list[_Entry]:
    return [
        _rational(282, 1e4 / mpp_x),
        _rational(283, 1e4 / mpp_y),
        _numbers(296, _SHORT, [_CENTIMETRE]),
    ]


def _numbers(tag: int, kind: int, values: list[int]) -> _Entry:
    letter = {_SHORT: "H", _LONG: "I", _LONG8: "Q"}[kind]
    return _Entry(tag, kind, len(values), struct.pack(f"<{len(values)}{letter}", *values))


def _rational(tag: int, value: float) -> _Entry:
    # Both parts must fit in 32 bits; a denominator of 10,000 is exact to eight digits.
    ratio = Fraction(value).limit_denominator(min(10_000, int((2**32 - 1) / (value + 1))))
    return _Entry(tag, _RATIONAL, 1, struct.pack("<II", ratio.numerator, ratio.denominator))


def _text(tag: int, text: str) -> _Entry:
    data = text.encode("utf-8") + b"\0"
    return _Entry(tag, _ASCII, len(data), data)


def _aligned(file: BinaryIO) -> int:
    position = file.seek(0, 2)
    file.write(b"\0" * (-position % 8))
    return file.tell()


def _write_directory(
    file: BinaryIO, start: int, entries: list[_Entry], big: bool, last: bool
) -> int:
    """Write a directory at `start`, the end of the file; returns where the next one goes."""
    inline = 8 if big else 4
    count_format, entry_format, next_format = ("<Q", "<HHQ", "<Q") if big else ("<H", "<HHI", "<I")
    entry_size = struct.calcsize(entry_format) + inline
    size = struct.calcsize(count_format) + len(entries) * entry_size + struct.calcsize(next_format)
    table, position = b"", start + size + (-(start + size) % 8)
    values = b"\0" * (position - start - size)
    for entry in entries:
        head = struct.pack(entry_format, entry.tag, entry.kind, entry.count)
        if len(entry.data) <= inline:
            table += head + entry.data.ljust(inline, b"\0")
            continue
        table += head + struct.pack(next_format, position)
        padded = entry.data + b"\0" * (-len(entry.data) % 8)
        values += padded
        position += len(padded)
    end = 0 if last else position
    file.write(struct.pack(count_format, len(entries)) + table + struct.pack(next_format, end))
    file.write(values)
    return position
