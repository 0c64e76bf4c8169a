"""What happens to the pixels of one TIFF tile: halving, padding, compression."""

from typing import Literal

import imagecodecs
import numpy as np

COMPRESSIONS = ("lzw", "deflate", "jpeg")
Compression = Literal["lzw", "deflate", "jpeg"]
Reduce = Literal["nearest", "mean"]


def encode_tile(pixels: np.ndarray, compression: Compression, quality: int) -> bytes:
    """Compress a tile, (H, W) or (H, W, 3) uint8, as TIFF stores it.

    RGB becomes a JPEG in YCbCr with halved chroma (4:2:0), a complete stream without shared tables.
    """
    if compression == "lzw":
        return bytes(imagecodecs.lzw_encode(pixels.tobytes()))
    if compression == "deflate":
        return bytes(imagecodecs.deflate_encode(pixels.tobytes(), level=6))
    if pixels.ndim == 2:
        return bytes(imagecodecs.jpeg8_encode(pixels, level=quality))
    return bytes(
        imagecodecs.jpeg8_encode(
            pixels, level=quality, colorspace="rgb", outcolorspace="ycbcr", subsampling="420"
        )
    )


def halve(pixels: np.ndarray, reduce: Reduce) -> np.ndarray:
    """Half as many pixels a side, rounded up.

    Args:
        pixels: (H, W) or (H, W, 3) uint8. Not changed.
        reduce: `nearest` takes the upper left of four pixels, `mean` their mean, rounded; at an
            odd edge the mean of those that are there.
    """
    if reduce == "nearest":
        return pixels[::2, ::2]
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        pixels = pad_to(pixels, height + height % 2, width + width % 2)
    wide = pixels.astype(np.uint16)
    rows = wide[::2] + wide[1::2]
    return ((rows[:, ::2] + rows[:, 1::2] + 2) >> 2).astype(np.uint8)


def pad_tile(pixels: np.ndarray, tile: int) -> np.ndarray:
    """A full tile, contiguous; the edge is repeated, which costs JPEG least."""
    return np.ascontiguousarray(pad_to(pixels, tile, tile))


def pad_to(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Repeat the last row and column up to a size."""
    pad = [(0, height - pixels.shape[0]), (0, width - pixels.shape[1]), (0, 0)][: pixels.ndim]
    return np.pad(pixels, pad, mode="edge") if any(map(any, pad)) else pixels
