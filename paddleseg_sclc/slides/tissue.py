"""Where the tissue lies on a slide: a mask made on a thumbnail.

Tissue is what absorbs as H&E does. In optical density (natural log, relative to the slide's own
white) eosin and hematoxylin both absorb green most. Pens do not: blue and green ink absorb red
more than green, red ink absorbs blue as much as green, black ink (and coverslip edges, dust,
the frame of the slide) absorbs all three alike and strongly.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from paddleseg_sclc.slides.reader import Slide

THUMBNAIL_MPP = 8.0
# Green optical density above which a pixel counts as tissue: Otsu's threshold, kept in a range
# that neither the noise of clean glass nor a thumbnail full of tissue can leave.
_LOW, _HIGH = 0.06, 0.16
# Sizes in micrometres and square micrometres, for any scale of the thumbnail.
_CLOSING_UM = 24.0
_OPENING_UM = 6.0
_PEN_MARGIN_UM = 80.0
_SMALLEST_UM2 = 25_000.0
_LARGEST_HOLE_UM2 = 10_000.0
_SMALLEST_PEN_UM2 = 60_000.0
_MAX_THUMBNAIL_PIXELS = 40_000_000


@dataclass(frozen=True)
class TissueMap:
    """Tissue on a slide.

    Attributes:
        mask: (H, W) bool, True on tissue.
        downsample_x: level-0 pixels to a pixel of the mask.
        downsample_y: the same down.
    """

    mask: np.ndarray
    downsample_x: float
    downsample_y: float

    def fraction(self, x_l0: float, y_l0: float, width_l0: float, height_l0: float) -> float:
        """Which part of a level-0 rectangle is tissue, 0 to 1; none lies beyond the slide."""
        left, right = x_l0 / self.downsample_x, (x_l0 + width_l0) / self.downsample_x
        top, bottom = y_l0 / self.downsample_y, (y_l0 + height_l0) / self.downsample_y
        corner = self._sum_until
        area = corner(right, bottom) - corner(left, bottom) - corner(right, top) + corner(left, top)
        return float(np.clip(area / ((right - left) * (bottom - top)), 0.0, 1.0))

    @cached_property
    def _integral(self) -> np.ndarray:
        return cv2.integral(self.mask.astype(np.uint8), sdepth=cv2.CV_64F)

    def _sum_until(self, x: float, y: float) -> float:
        """Tissue pixels left of x and above y, parts of pixels counted as parts."""
        height, width = self.mask.shape
        x, y = min(max(x, 0.0), width), min(max(y, 0.0), height)
        column, row = min(int(x), width - 1), min(int(y), height - 1)
        across, down = x - column, y - row
        (a, b), (c, d) = self._integral[row : row + 2, column : column + 2]
        return (a * (1 - across) + b * across) * (1 - down) + (c * (1 - across) + d * across) * down


def find_tissue(slide: Slide, mpp: float = THUMBNAIL_MPP) -> TissueMap:
    """Find the tissue of a slide on a thumbnail of about `mpp` micrometres a pixel.

    Damaged parts of the slide count as glass.

    Raises:
        SclcError: the slide says no mpp, or cannot be read.
    """
    width, height = slide.dimensions
    own_x, own_y = slide.mpp
    area = (width * own_x / mpp) * (height * own_y / mpp)
    mpp *= max(1.0, (area / _MAX_THUMBNAIL_PIXELS) ** 0.5)
    size = max(1, round(width * own_x / mpp)), max(1, round(height * own_y / mpp))
    thumbnail = slide.read_box(0, 0, width, height, size, lenient=True)
    return TissueMap(detect_tissue(thumbnail, mpp), width / size[0], height / size[1])


def detect_tissue(rgb: np.ndarray, mpp: float) -> np.ndarray:
    """Find tissue on a thumbnail.

    Pen marks and black edges are left out with a margin, gaps narrower than about 50 micrometres
    are closed, small holes (vessels, tears, fat cells) belong to the tissue, larger lumens do
    not, and specks are dropped.

    Args:
        rgb: (H, W, 3) uint8. Not changed.
        mpp: micrometres a pixel, about 2 to 32.

    Returns:
        (H, W) bool.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"detect_tissue: must be (H, W, 3) uint8, got {rgb.dtype} {rgb.shape}")
    od = _optical_density(rgb)
    ink = _find_ink(od, mpp)
    green = od[..., 1]
    stained = (green > _threshold(green[~ink])) & ~ink
    closed = _morphology(cv2.MORPH_CLOSE, stained, _CLOSING_UM / mpp) & ~ink
    opened = _morphology(cv2.MORPH_OPEN, closed, _OPENING_UM / mpp)
    filled = ~_drop_small(~opened, _LARGEST_HOLE_UM2 / mpp**2) & ~ink
    return _drop_small(filled, _SMALLEST_UM2 / mpp**2)


def _optical_density(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32, natural log, relative to the glass; slightly smoothed."""
    smooth = cv2.GaussianBlur(rgb, (3, 3), 0)
    white = np.percentile(smooth.reshape(-1, 3)[:: max(1, rgb.size // 3_000_000)], 98, axis=0)
    table = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)
    return np.maximum(table[smooth] - table[np.clip(white, 220, 255).astype(int)], 0)


def _find_ink(od: np.ndarray, mpp: float) -> np.ndarray:
    """Pen marks and black things, with a margin around the large ones. (H, W) bool."""
    red, green, blue = od[..., 0], od[..., 1], od[..., 2]
    dark = od.max(axis=2)
    coloured = dark > 0.25
    blue_or_green_pen = coloured & (red > 1.35 * green)
    red_pen = (dark > 0.5) & (blue > 0.85 * green) & (red < 0.5 * green)
    black = (od.min(axis=2) > 0.9) & (od.min(axis=2) > 0.8 * dark)
    ink = _drop_small(blue_or_green_pen | red_pen | black, _SMALLEST_PEN_UM2 / mpp**2)
    return _morphology(cv2.MORPH_DILATE, ink, _PEN_MARGIN_UM / mpp)


def _threshold(values: np.ndarray) -> float:
    """Otsu's threshold of optical densities, within the bounds."""
    if not values.size:
        return _HIGH
    scaled = np.clip(values * 255, 0, 255).astype(np.uint8)
    otsu, _ = cv2.threshold(scaled.reshape(-1, 1), 0, 255, cv2.THRESH_OTSU)
    return float(np.clip(otsu / 255, _LOW, _HIGH))


def _morphology(operation: int, mask: np.ndarray, radius: float) -> np.ndarray:
    side = 2 * max(1, round(radius)) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.morphologyEx(mask.astype(np.uint8), operation, disk).astype(bool)


def _drop_small(mask: np.ndarray, least: float) -> np.ndarray:
    """Without the connected parts that have fewer than `least` pixels."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    keep = statistics[:, cv2.CC_STAT_AREA] >= least
    keep[0] = False
    return keep[labels]
