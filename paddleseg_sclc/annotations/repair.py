"""Mend what `check.py` finds, where there is no doubt about what was meant."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.annotations.check import is_flat, lies_outside, repeated_points, shape_key
from paddleseg_sclc.annotations.crossings import crossings
from paddleseg_sclc.annotations.model import (
    AREA_KINDS,
    Annotation,
    AnnotationSet,
    signed_area,
)

# A loop of an outline that holds less than this part of its area is a slip of the hand.
SLIP = 0.01

# What a reader has already put right in what it returns, and writing sets down.
_READ_RIGHT = {
    "decimal-comma": "decimals are written with points",
    "order": "points are numbered from 0 in their order",
    "unknown-group": "the group is defined",
    "duplicate-group": "the group is defined once",
    "group-cycle": "the group lies in no other",
    "unknown-type": "the type is written as None",
    "color": "the colour is ASAP's default",
    "coordinate": "points that cannot be read are left out",
}


def repair_annotations(
    annotations: AnnotationSet, size: tuple[int, int] | None = None
) -> tuple[AnnotationSet, list[str]]:
    """Mend annotations that were read leniently.

    Repeated points, exact copies and small loops go; outlines are cut off at the slide's edges;
    what has no area or lies outside is dropped. Large loops and unused groups stay.

    Args:
        annotations: read with `lenient=True`; not changed.
        size: (width, height) of the slide in level-0 pixels; None to leave its edges out.

    Returns:
        The mended annotations, and a line for each change.
    """
    changes = [
        f"{finding.where}: {_READ_RIGHT[finding.code]}"
        for finding in annotations.findings
        if finding.code in _READ_RIGHT
    ]
    kept: list[Annotation] = []
    seen: set[tuple[bytes, str | None]] = set()
    for index, annotation in enumerate(annotations):
        where = annotations.where(index)
        mended, done = _mended(annotation, size)
        key = shape_key(annotation), annotation.group
        if mended is not None and key in seen:
            mended, done = None, ["dropped: a copy of another one"]
        seen.add(key)
        changes += [f"{where}: {text}" for text in done]
        if mended is not None:
            kept.append(mended)
    return replace(annotations, annotations=tuple(kept), findings=()), changes


def _mended(
    annotation: Annotation, size: tuple[int, int] | None
) -> tuple[Annotation | None, list[str]]:
    if size is not None and lies_outside(annotation, size):
        return None, ["dropped: it lies wholly outside the slide"]
    if annotation.kind not in AREA_KINDS:
        return _mended_points(annotation, size)
    done = []
    repeated = repeated_points(annotation)
    if repeated.any() and len(annotation.points) > 1:
        annotation = replace(annotation, points=annotation.points[~repeated])
        done.append(f"{repeated.sum()} repeated points are left out")
    points, slips = _without_slips(annotation.points)
    if slips:
        annotation = replace(annotation, points=points)
        done.append(f"{slips} small loops are cut off where the outline crosses itself")
    if size is not None:
        clipped = _clipped(annotation.points, size)
        if not np.array_equal(clipped, annotation.points):
            holes = tuple(h for h in (_clipped(h, size) for h in annotation.holes) if len(h))
            kind = "Polygon" if annotation.kind == "Rectangle" else annotation.kind
            annotation = replace(annotation, points=clipped, holes=holes, kind=kind)
            done.append("cut off at the edges of the slide")
    if len(annotation.points) < 3:
        return None, [*done, "dropped: fewer than 3 points are left"]
    if is_flat(annotation.points):
        return None, [*done, "dropped: it has no area"]
    return annotation, done


def _mended_points(
    annotation: Annotation, size: tuple[int, int] | None
) -> tuple[Annotation | None, list[str]]:
    points = annotation.points
    if not len(points):
        return None, ["dropped: it has no points"]
    if size is None or annotation.kind not in ("Dot", "PointSet"):
        return annotation, []
    inside = ((points >= 0) & (points <= size)).all(axis=1)
    if inside.all():
        return annotation, []
    left_out = f"{(~inside).sum()} points outside the slide are left out"
    return replace(annotation, points=points[inside]), [left_out]


def _without_slips(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Cut off small loops, the smaller side of each crossing first, and count them."""
    count = 0
    while True:
        area = abs(signed_area(points))
        for crossing in crossings(points, limit=100):
            at = np.array([[crossing.x, crossing.y]])
            loop = points[crossing.first + 1 : crossing.second + 1]
            rest = [points[: crossing.first + 1], at, points[crossing.second + 1 :]]
            others = np.concatenate(rest)
            small, large = sorted(
                (np.concatenate([at, loop]), others), key=lambda ring: abs(signed_area(ring))
            )
            if abs(signed_area(small)) <= SLIP * max(area, abs(signed_area(large))):
                points, count = large, count + 1
                break
        else:
            return points, count


def _clipped(points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Cut an outline off at the slide's edges (Sutherland and Hodgman)."""
    for axis, limit, sign in ((0, 0, 1), (1, 0, 1), (0, size[0], -1), (1, size[1], -1)):
        depth = sign * (points[:, axis] - limit)
        if (depth >= 0).all():
            continue
        points = _cut(points, depth, axis, limit)
        if not len(points):
            break
    return points


def _cut(
    points: NDArray[np.float64], depth: NDArray[np.float64], axis: int, limit: float
) -> NDArray[np.float64]:
    """Keep the part of an outline where `depth` >= 0; new points get `limit` on `axis`."""
    following, below = np.roll(points, -1, axis=0), np.roll(depth, -1)
    kept: list[NDArray[np.float64]] = []
    for point, after, here, there in zip(points, following, depth, below, strict=True):
        if here >= 0:
            kept.append(point)
        if (here > 0 and there < 0) or (here < 0 and there > 0):
            met = point + (after - point) * (here / (here - there))
            met[axis] = limit  # exactly
            kept.append(met)
    return np.array(kept).reshape(-1, 2)
