"""Write ASAP's XML; see `asap.py` for the format."""

import os
import re
from dataclasses import replace
from typing import Literal

import numpy as np
from lxml import etree

from paddleseg_sclc.annotations.keyhole import join_holes
from paddleseg_sclc.annotations.model import (
    Annotation,
    AnnotationGroup,
    AnnotationSet,
    Finding,
)
from paddleseg_sclc.annotations.parsing import clean_text
from paddleseg_sclc.files import atomic_path

ROOT = "ASAP_Annotations"
NO_GROUP = "None"
# What the holes' own group is called after the group they are cut out of.
HOLE_GROUP_SUFFIX = " holes"

_XML_NAME = re.compile(r"[^\w.-]|^[^A-Za-z_]", re.ASCII)


def write_asap(
    path: str | os.PathLike[str],
    annotations: AnnotationSet,
    *,
    holes: Literal["keyhole", "group"] = "keyhole",
) -> tuple[Finding, ...]:
    """Write an ASAP XML file, as ASAP's own reader accepts it.

    Groups that are used get defined, parents before their children; `Order` counts from 0.

    Args:
        path: the file to write.
        annotations: what to write. ASAP knows neither holes nor open lines.
        holes: `keyhole` joins each hole to its outline by a cut of no width, so that every mask
            made from the file has the hole; `group` writes holes as annotations of a group of
            their own, `<group> holes`, which a mask needs label 0 for, drawn last.

    Returns:
        What ASAP XML cannot say, and was left out or written otherwise.

    Raises:
        SclcError: the file cannot be written.
    """
    lost: list[Finding] = []
    written = _without_holes(_drawable(annotations, lost), holes).with_groups_defined()
    root = etree.Element(ROOT)
    parent = etree.SubElement(root, "Annotations")
    for annotation in written:
        _append_annotation(parent, annotation)
    parent = etree.SubElement(root, "AnnotationGroups")
    for group in _parents_first(written.groups):
        _append_group(parent, group)
    etree.indent(root, space="\t")
    with atomic_path(path) as temporary:
        temporary.write_bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8") + b"\n")
    return tuple(lost)


def _drawable(annotations: AnnotationSet, lost: list[Finding]) -> AnnotationSet:
    """What ASAP has a type for; a line of two points becomes a measurement."""
    kept = []
    for index, annotation in enumerate(annotations):
        if annotation.kind == "Line" and len(annotation.points) != 2:
            lost.append(
                Finding(
                    "warning",
                    "line",
                    annotations.where(index),
                    "left out: ASAP XML has no open lines",
                )
            )
            continue
        kept.append(
            replace(annotation, kind="Measurement") if annotation.kind == "Line" else annotation
        )
    return replace(annotations, annotations=tuple(kept))


def _without_holes(annotations: AnnotationSet, how: str) -> AnnotationSet:
    written: list[Annotation] = []
    cut: list[Annotation] = []
    for annotation in annotations:
        if annotation.holes and how == "keyhole":
            points = join_holes(annotation.points, annotation.holes)
            annotation = replace(annotation, points=points, kind="Polygon", holes=())
        for number, hole in enumerate(annotation.holes):
            group = (annotation.group or annotation.name or "Annotation") + HOLE_GROUP_SUFFIX
            name = f"{annotation.name} hole {number}"
            cut.append(Annotation(name, hole, group=group, color=annotation.color))
        written.append(replace(annotation, holes=()))
    return replace(annotations, annotations=(*written, *cut))


def _parents_first(groups: tuple[AnnotationGroup, ...]) -> list[AnnotationGroup]:
    waiting, placed = list(groups), list[AnnotationGroup]()
    while waiting:
        names = {group.name for group in waiting}
        ready = [group for group in waiting if group.parent not in names]
        if not ready:  # they lie in one another: ASAP would never stop asking for the outermost
            ready = [replace(group, parent=None) for group in waiting]
        placed += ready
        taken = {group.name for group in ready}
        waiting = [group for group in waiting if group.name not in taken]
    return placed


def _append_annotation(parent: etree._Element, annotation: Annotation) -> None:
    element = etree.SubElement(
        parent,
        "Annotation",
        Name=clean_text(annotation.name),
        Type=annotation.kind,
        PartOfGroup=_group_name(annotation.group),
        Color=annotation.color,
    )
    coordinates = etree.SubElement(element, "Coordinates")
    for order, (x, y) in enumerate(annotation.points.tolist()):
        etree.SubElement(
            coordinates, "Coordinate", Order=str(order), X=format_number(x), Y=format_number(y)
        )


def _append_group(parent: etree._Element, group: AnnotationGroup) -> None:
    element = etree.SubElement(
        parent,
        "Group",
        Name=clean_text(group.name),
        PartOfGroup=_group_name(group.parent),
        Color=group.color,
    )
    attributes = etree.SubElement(element, "Attributes")
    for name, value in group.attributes.items():
        attribute = etree.SubElement(attributes, "Attribute")
        attribute.set(_XML_NAME.sub("_", name) or "_", clean_text(value))


def _group_name(name: str | None) -> str:
    return NO_GROUP if name is None else clean_text(name)


def format_number(value: float) -> str:
    """The shortest decimal that reads back as the same float64, without exponent."""
    if value == int(value):
        return str(int(value))
    return np.format_float_positional(value, trim="-")
