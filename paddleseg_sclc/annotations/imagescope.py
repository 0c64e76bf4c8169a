"""ImageScope XML: what Aperio's viewer keeps beside an SVS.

`Annotations > Annotation` is a layer, which becomes a group; `Regions > Region > Vertices > Vertex`
are positions in level-0 pixels. A region with `NegativeROA="1"` is cut out of the regions of its
layer that it lies in. Colours are 0xBBGGRR as a decimal number.
"""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from lxml import etree
from numpy.typing import NDArray

from paddleseg_sclc.annotations.imagescope_writer import ROOT, write_imagescope
from paddleseg_sclc.annotations.model import (
    DEFAULT_COLOR,
    Annotation,
    AnnotationGroup,
    AnnotationSet,
    Kind,
)
from paddleseg_sclc.annotations.parsing import (
    clean_text,
    parse_number,
    read_bytes,
    root_tag,
    shown,
    xml_elements,
)
from paddleseg_sclc.annotations.problems import Problems
from paddleseg_sclc.errors import SclcError

__all__ = ["parse_imagescope", "read_imagescope", "write_imagescope"]

ELLIPSE_POINTS = 120
# Region@Type: 0 freehand or polygon, 1 rectangle, 2 ellipse, 3 arrow, 4 ruler.
_KINDS: dict[str, Kind] = {
    "0": "Polygon",
    "1": "Rectangle",
    "2": "Polygon",
    "4": "Measurement",
}


def read_imagescope(path: str | os.PathLike[str], *, lenient: bool = False) -> AnnotationSet:
    """Read an ImageScope XML file. Ellipses become polygons.

    Args:
        path: the file.
        lenient: leave out what cannot be understood, with a finding, instead of raising.

    Raises:
        SclcError: not an ImageScope file, damaged, hostile, or (unless lenient) malformed.
    """
    path = Path(path)
    return parse_imagescope(read_bytes(path), path, lenient=lenient)


def parse_imagescope(data: bytes, path: Path, *, lenient: bool = False) -> AnnotationSet:
    """Read an ImageScope document; `path` is for messages. See `read_imagescope`."""
    root = root_tag(data, path)
    if root != ROOT:
        raise SclcError(f"{path}: the root of ImageScope XML must be {ROOT}, got {shown(root)}")
    problems = Problems(path, lenient)
    groups: list[AnnotationGroup] = []
    annotations: list[Annotation] = []
    for layer in xml_elements(data, ("Annotation",), path):
        group = _parse_layer(layer, {g.name for g in groups})
        groups.append(group)
        annotations += _parse_regions(layer, group, problems)
    return AnnotationSet(tuple(annotations), tuple(groups), path, problems.findings)


def _parse_layer(layer: etree._Element, taken: set[str]) -> AnnotationGroup:
    identity = clean_text(layer.get("Id", ""))
    name = clean_text(layer.get("Name", "")) or f"Layer {identity}".strip()
    unique, number = name, 2
    while unique in taken:
        unique, number = f"{name} ({number})", number + 1
    attributes = {
        clean_text(a.get("Name", "")): clean_text(a.get("Value", ""))
        for a in layer.iterfind("Attributes/Attribute")
    }
    return AnnotationGroup(unique, color=_color(layer.get("LineColor")), attributes=attributes)


def _parse_regions(
    layer: etree._Element, group: AnnotationGroup, problems: Problems
) -> list[Annotation]:
    regions: list[Annotation] = []
    cuts: list[tuple[str, NDArray[np.float64]]] = []
    for region in layer.iterfind("Regions/Region"):
        identity = clean_text(region.get("Id", ""))
        where = f'layer "{group.name}" region {identity}'
        kind = _KINDS.get(region.get("Type", "0"))
        if kind is None:
            got = shown(region.get("Type"))
            problems.note("warning", "unknown-type", where, f"left out: not an outline, type {got}")
            continue
        try:
            points = _vertices(region)
        except ValueError as error:
            problems.fatal("coordinate", where, str(error))
            continue
        if region.get("NegativeROA") == "1":
            cuts.append((where, points))
            continue
        name = clean_text(region.get("Text", "")) or f"Region {identity}".strip()
        regions.append(
            Annotation(name, points, kind, group=group.name, color=group.color, object_id=identity)
        )
    return _with_holes(regions, cuts, problems)


def _vertices(region: etree._Element) -> NDArray[np.float64]:
    points = np.array(
        [
            (parse_number(vertex.get("X")), parse_number(vertex.get("Y")))
            for vertex in region.iterfind("Vertices/Vertex")
        ],
        dtype=np.float64,
    ).reshape(-1, 2)
    kind = region.get("Type", "0")
    if not len(points) or kind not in ("1", "2") or (kind == "1" and len(points) > 2):
        return points
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    if kind == "1":  # two opposite corners
        return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    angle = 2 * np.pi * np.arange(ELLIPSE_POINTS) / ELLIPSE_POINTS
    half = np.array([x1 - x0, y1 - y0]) / 2
    return np.array([x0 + x1, y0 + y1]) / 2 + half * np.stack([np.cos(angle), np.sin(angle)], 1)


def _with_holes(
    regions: list[Annotation], cuts: list[tuple[str, NDArray[np.float64]]], problems: Problems
) -> list[Annotation]:
    for where, cut in cuts:
        around = [
            i for i, r in enumerate(regions) if len(cut) and r.has_area and _holds(r.points, cut[0])
        ]
        for index in around:
            regions[index] = replace(regions[index], holes=(*regions[index].holes, cut))
        if not around:
            problems.note(
                "warning", "hole", where, "left out: a negative region must lie in a region"
            )
    return regions


def _holds(outline: NDArray[np.float64], point: NDArray[np.float64]) -> bool:
    """Whether a point lies within an outline, by even-odd."""
    (ax, ay), (bx, by) = outline.T, np.roll(outline, -1, axis=0).T
    crossed = (ay <= point[1]) != (by <= point[1])
    ax, ay, bx, by = ax[crossed], ay[crossed], bx[crossed], by[crossed]
    left = ax + (point[1] - ay) * (bx - ax) / (by - ay) <= point[0]
    return bool(np.count_nonzero(left) % 2)


def _color(text: str | None) -> str:
    """Decimal 0xBBGGRR as #RRGGBB."""
    if not (text or "").strip().isdecimal():
        return DEFAULT_COLOR
    value = int((text or "").strip()[:10])
    return f"#{value & 255:02X}{value >> 8 & 255:02X}{value >> 16 & 255:02X}"
