"""Which images show the same piece of tissue, though files, sizes, orientations and cut differ.

Two perceptual hashes. One of the whole image: 64 bits of the signs of its lowest cosine
frequencies, taken of the image in its eight orientations, finds what was saved again, resized,
mirrored or turned by right angles. Where a copy was shifted or turned by any angle, the whole image
is another; then local hashes help: ORB's 256 bits of the surroundings of corners (Rublee et al.,
ICCV 2011), of the image and its mirror image, of which many must agree and lie as one shift,
rotation and scale would put them. This finds patches that overlap on the slide, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from paddleseg_sclc.dataset.paddleseg_format import read_image

# Of 64 bits; unrelated images differ in about 32.
SAME_HASH_BITS = 6
# Of 256 bits; hashes of unrelated corners differ in about 128, few in less than 60.
SAME_CORNER_BITS = 48
# Corners that must lie as one shift, rotation and scale says. Copies of the demo patches have 59
# or more of 500, unrelated ones none.
LEAST_CORNERS = 15
_SIDE = 512
_CORNERS = 500
_NEAREST = 6
# Every third corner votes for candidates; those with a few votes are then compared in full.
_VOTERS = 3
_LEAST_VOTES = 4


@dataclass(frozen=True)
class Look:
    """What is remembered of an image.

    Attributes:
        hashes: (8, 64) bool, of its eight orientations; the first is its own.
        places: (n, 2) float32, corners of the image.
        corners: (n, 32) uint8, their hashes.
        mirrored_places: as `places`, of the mirror image.
        mirrored_corners: as `corners`, of the mirror image.
    """

    hashes: NDArray[np.bool_]
    places: NDArray[np.float32]
    corners: NDArray[np.uint8]
    mirrored_places: NDArray[np.float32]
    mirrored_corners: NDArray[np.uint8]


@dataclass(frozen=True)
class Match:
    """Two images that show the same.

    Attributes:
        first: index among the first images.
        second: index among the second ones.
        kind: `same` (but for size, compression, mirroring, right angles) or `overlapping`.
    """

    first: int
    second: int
    kind: str


def look_at(path: Path) -> Look:
    """Read an image and remember what it looks like.

    Raises:
        SclcError: it cannot be read.
    """
    grey = cv2.cvtColor(read_image(path), cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    orb = cv2.ORB_create(nfeatures=_CORNERS, fastThreshold=8)
    return Look(
        _whole_hashes(grey),
        *_corners(orb, grey),
        *_corners(orb, np.ascontiguousarray(grey[:, ::-1])),
    )


def _whole_hashes(grey: NDArray[np.uint8]) -> NDArray[np.bool_]:
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float64)
    turned = [np.rot90(image, turns) for image in (small, small[:, ::-1]) for turns in range(4)]
    hashes = []
    for image in turned:
        # Without the lowest row and column, which say how bright a side is: lighting, not tissue.
        low = dctn(image, norm="ortho")[1:9, 1:9].ravel()
        hashes.append(low > np.median(low))
    return np.array(hashes)


def _corners(orb: cv2.ORB, grey: NDArray[np.uint8]) -> tuple[NDArray, NDArray]:
    points, hashes = orb.detectAndCompute(grey, None)
    places = np.array([point.pt for point in points], np.float32).reshape(-1, 2)
    return places, np.empty((0, 32), np.uint8) if hashes is None else hashes


def find_matches(first: Sequence[Look], second: Sequence[Look]) -> list[Match]:
    """All pairs, one of each sequence, that show the same tissue, in order."""
    if not first or not second:
        return []
    # (second, 64); differing bits by matrix product, an image's eight orientations at a time.
    theirs = np.stack([look.hashes[0] for look in second]).astype(np.float32)
    owner = np.repeat(np.arange(len(second)), [len(look.corners) for look in second])
    corners = np.concatenate([look.corners for look in second])
    matches = []
    for i, look in enumerate(first):
        ours = look.hashes.astype(np.float32)
        differing = ours @ (1 - theirs.T) + (1 - ours) @ theirs.T
        same = set(np.flatnonzero(differing.min(axis=0) <= SAME_HASH_BITS).tolist())
        matches += [Match(i, j, "same") for j in sorted(same)]
        candidates = _voted(look, corners, owner) - same
        matches += [
            Match(i, j, "overlapping") for j in sorted(candidates) if _one_motion(look, second[j])
        ]
    return matches


def _voted(look: Look, corners: NDArray[np.uint8], owner: NDArray[np.int64]) -> set[int]:
    """The second images that enough of the image's corners look like corners of."""
    matcher = cv2.BFMatcher(cv2.NORM_HAMMING)
    found: set[int] = set()
    for hashes in (look.corners[::_VOTERS], look.mirrored_corners[::_VOTERS]):
        if not len(hashes) or not len(corners):
            continue
        near = matcher.knnMatch(hashes, corners, k=min(_NEAREST, len(corners)))
        votes = [m.trainIdx for row in near for m in row if m.distance < SAME_CORNER_BITS]
        counts = np.bincount(owner[votes]) if votes else np.zeros(0)
        found |= set(np.flatnonzero(counts >= _LEAST_VOTES).tolist())
    return found


def _one_motion(look: Look, other: Look) -> bool:
    """Whether corners agree by one shift, rotation and scale, the image mirrored or not."""
    matcher = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True)
    for places, hashes in (
        (look.places, look.corners),
        (look.mirrored_places, look.mirrored_corners),
    ):
        if len(hashes) < LEAST_CORNERS or len(other.corners) < LEAST_CORNERS:
            continue
        near = [m for m in matcher.match(hashes, other.corners) if m.distance < SAME_CORNER_BITS]
        if len(near) < LEAST_CORNERS:
            continue
        here = places[[m.queryIdx for m in near]]
        there = other.places[[m.trainIdx for m in near]]
        motion, fits = cv2.estimateAffinePartial2D(here, there, ransacReprojThreshold=4)
        if motion is None or int(fits.sum()) < LEAST_CORNERS:
            continue
        if 0.4 < float(np.hypot(motion[0, 0], motion[1, 0])) < 2.5:
            return True
    return False
