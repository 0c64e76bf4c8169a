"""Write ImageScope XML; see `imagescope.py` for the format."""

import os
from collections.abc import Iterator

import numpy as np
from lxml import etree
from numpy.typing import NDArray

from paddleseg_sclc.annotations.asap_writer import format_number
from paddleseg_sclc.annotations.model import (
    AREA_KINDS,
    DEFAULT_COLOR,
    Annotation,
    AnnotationGroup,
    AnnotationSet,
    Finding,
)
from paddleseg_sclc.annotations.parsing import clean_text
from paddleseg_sclc.files import atomic_path

ROOT = "Annotations"
NO_GROUP_LAYER = "Annotations"


def write_imagescope(
    path: str | os.PathLike[str], annotations: AnnotationSet, mpp: float | None = None
) -> tuple[Finding, ...]:
    """Write an ImageScope XML file: a layer a group, holes as negative regions.

    Args:
        path: the file to write.
        annotations: what to write.
        mpp: micrometres a level-0 pixel, for the file's MicronsPerPixel.

    Returns:
        What the format cannot say, and was left out.

    Raises:
        SclcError: the file cannot be written.
    """
    lost: list[Finding] = []
    root = etree.Element(ROOT)
    if mpp is not None:
        root.set("MicronsPerPixel", format_number(mpp))
    number = 0
    for identity, (group, members) in enumerate(_layers(annotations), start=1):
        regions = _append_layer(root, identity, group)
        for index in members:
            annotation = annotations.annotations[index]
            if annotation.kind not in (*AREA_KINDS, "Measurement", "Line"):
                message = "left out: ImageScope regions are outlines and lines"
                lost.append(Finding("warning", "kind", annotations.where(index), message))
                continue
            for hole, ring in enumerate((annotation.points, *annotation.holes)):
                number += 1
                _append_region(regions, number, annotation, ring, negative=hole > 0)
    etree.indent(root)
    with atomic_path(path) as temporary:
        temporary.write_bytes(etree.tostring(root, encoding="UTF-8") + b"\n")
    return tuple(lost)


def _layers(annotations: AnnotationSet) -> Iterator[tuple[AnnotationGroup, list[int]]]:
    """Each group with the indices of its annotations; last, those without one."""
    groups = annotations.with_groups_defined().groups
    members: dict[str | None, list[int]] = {group.name: [] for group in groups}
    for index, annotation in enumerate(annotations):
        members.setdefault(annotation.group, []).append(index)
    for group in groups:
        yield group, members[group.name]
    if None in members:
        color = annotations.annotations[members[None][0]].color
        yield AnnotationGroup(NO_GROUP_LAYER, color=color), members[None]


def _append_layer(root: etree._Element, identity: int, group: AnnotationGroup) -> etree._Element:
    color = bytes.fromhex((group.color or DEFAULT_COLOR)[-6:])
    layer = etree.SubElement(
        root,
        "Annotation",
        Id=str(identity),
        Name=clean_text(group.name),
        ReadOnly="0",
        Type="4",
        LineColor=str(int.from_bytes(color, "little")),
        Visible="1",
        Selected="0",
    )
    attributes = etree.SubElement(layer, "Attributes")
    for name, value in group.attributes.items():
        etree.SubElement(
            attributes, "Attribute", Name=clean_text(name), Id="0", Value=clean_text(value)
        )
    return etree.SubElement(layer, "Regions")


def _append_region(
    regions: etree._Element,
    number: int,
    annotation: Annotation,
    ring: NDArray[np.float64],
    negative: bool,
) -> None:
    kind = "4" if annotation.kind in ("Measurement", "Line") else "0"
    if annotation.kind == "Rectangle" and len(ring) == 4 and not negative:
        kind = "1"
    region = etree.SubElement(
        regions,
        "Region",
        Id=str(number),
        Type=kind,
        Zoom="1",
        Selected="0",
        Text=clean_text(annotation.name),
        NegativeROA=str(int(negative)),
        InputRegionId="0",
        Analyze="1",
        DisplayId=str(number),
    )
    etree.SubElement(region, "Attributes")
    vertices = etree.SubElement(region, "Vertices")
    for x, y in ring.tolist():
        etree.SubElement(vertices, "Vertex", X=format_number(x), Y=format_number(y), Z="0")
