"""What is wrong with annotations that programs take without a word."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.annotations.crossings import crossings
from paddleseg_sclc.annotations.model import AREA_KINDS, Annotation, AnnotationSet, Finding

_POINTS_OF = {"Dot": 1, "Measurement": 2, "Rectangle": 4}


def check_annotations(
    annotations: AnnotationSet, size: tuple[int, int] | None = None
) -> list[Finding]:
    """Check annotations, read leniently or not.

    Args:
        annotations: with the findings of the reader, which are repeated here.
        size: (width, height) of the slide in level-0 pixels; None to leave its edges out.

    Returns:
        Findings in the order of the file: the reader's, then those of annotations and groups.
    """
    findings = list(annotations.findings)
    if not len(annotations):
        findings.append(
            Finding("error", "empty", "file", "an annotation file must hold annotations, got none")
        )
    first_with: dict[bytes, int] = {}
    for index, annotation in enumerate(annotations):
        where = annotations.where(index)
        found = [*_check_points(annotation), *_check_place(annotation, size)]
        twin = first_with.setdefault(shape_key(annotation), index)
        if twin != index:
            found.append(("warning", "duplicate", f"has the same points as annotation {twin}"))
        findings += [Finding(severity, code, where, text) for severity, code, text in found]
    return findings + list(_check_groups(annotations))


def _check_points(annotation: Annotation) -> Iterator[tuple]:
    count = len(annotation.points)
    if annotation.kind in AREA_KINDS and count < 3:
        yield "error", "few-points", f"a {_noun(annotation)} needs at least 3 points, got {count}"
        return
    expected = _POINTS_OF.get(annotation.kind, count)
    if count != expected or not count:
        text = f"a {_noun(annotation)} must have {expected or 'some'} points, got {count}"
        yield "warning" if count else "error", "points", text
    if annotation.kind not in AREA_KINDS:
        return
    repeated = int(repeated_points(annotation).sum())
    if repeated:
        yield "warning", "repeated-points", f"repeats {repeated} points that it has just been at"
    if is_flat(annotation.points):
        yield "error", "no-area", "an outline must have an area, but its points lie on a line"
        return
    for ring in (annotation.points, *annotation.holes):
        met = crossings(ring)
        if met:
            text = (
                f"crosses itself {len(met)} times, first at ({met[0].x:.0f}, {met[0].y:.0f}); "
                "masks fill what it winds around"
            )
            yield "warning", "self-intersection", text


def _check_place(annotation: Annotation, size: tuple[int, int] | None) -> Iterator[tuple]:
    if size is None or not len(annotation.points):
        return
    x0, y0, x1, y1 = annotation.bounds
    outside = ((annotation.points < 0) | (annotation.points > size)).any(axis=1)
    extent = f"its points lie in x {x0:.0f} to {x1:.0f}, y {y0:.0f} to {y1:.0f}"
    if lies_outside(annotation, size):
        text = f"must lie on the slide of {size[0]} x {size[1]}, but lies wholly outside: {extent}"
        yield "error", "outside", text
    elif outside.any():
        text = f"{outside.sum()} of {len(outside)} points lie outside the slide: {extent}"
        yield "warning", "over-edge", text


def _check_groups(annotations: AnnotationSet) -> Iterator[Finding]:
    used = {a.group for a in annotations} | {g.parent for g in annotations.groups}
    for group in annotations.groups:
        if group.name not in used:
            yield Finding(
                "warning", "unused-group", f'group "{group.name}"', "has no annotation in it"
            )


def is_flat(points: NDArray[np.float64]) -> bool:
    """Whether points (n, 2) lie on one line, so that they outline nothing."""
    away = points - points[0]
    x, y = away[np.abs(away).sum(axis=1).argmax()]
    return not (away[:, 0] * y - away[:, 1] * x).any()


def lies_outside(annotation: Annotation, size: tuple[int, int]) -> bool:
    """Whether no pixel of a slide of `size` (width, height) can lie within its bounds."""
    if not len(annotation.points):
        return False
    x0, y0, x1, y1 = annotation.bounds
    return x1 < 0 or y1 < 0 or x0 > size[0] or y0 > size[1]


def repeated_points(annotation: Annotation) -> np.ndarray:
    """(n,) bool: which points lie where the one before them lies; the last is before the first."""
    points = annotation.points
    return (points == np.roll(points, 1, axis=0)).all(axis=1)


def shape_key(annotation: Annotation) -> bytes:
    """Alike for annotations of one kind with the same points and holes."""
    return annotation.kind.encode() + b"".join(
        ring.tobytes() + b"|" for ring in (annotation.points, *annotation.holes)
    )


def _noun(annotation: Annotation) -> str:
    return {"None": "shape", "PointSet": "point set"}.get(annotation.kind, annotation.kind.lower())
