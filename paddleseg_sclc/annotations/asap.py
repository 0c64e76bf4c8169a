"""ASAP's XML: what pathologists draw in ASAP, and what Camelyon's annotations come in.

`ASAP_Annotations` holds `Annotations` and `AnnotationGroups`. Positions are level-0 pixels, placed
by their `Order`; `PartOfGroup="None"` means no group. See
https://github.com/computationalpathologygroup/ASAP (annotation/XmlRepository.cpp).
"""

import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from lxml import etree
from numpy.typing import NDArray

from paddleseg_sclc.annotations.asap_writer import NO_GROUP, ROOT, write_asap
from paddleseg_sclc.annotations.model import (
    ASAP_KINDS,
    DEFAULT_COLOR,
    Annotation,
    AnnotationGroup,
    AnnotationSet,
)
from paddleseg_sclc.annotations.parsing import (
    clean_text,
    parse_color,
    parse_number,
    read_bytes,
    root_tag,
    shown,
    xml_elements,
)
from paddleseg_sclc.annotations.problems import Problems
from paddleseg_sclc.errors import SclcError

__all__ = ["parse_asap", "read_asap", "write_asap"]


def read_asap(path: str | os.PathLike[str], *, lenient: bool = False) -> AnnotationSet:
    """Read an ASAP XML file.

    Args:
        path: the file.
        lenient: keep going past what cannot be understood (a coordinate that is no number, two
            points with one Order, groups that lie in one another), as a finding of severity
            `error`, instead of raising.

    Returns:
        What the file says, with `findings` about all that ASAP would read otherwise or not at all.

    Raises:
        SclcError: not an ASAP file, damaged, too large, hostile, or (unless lenient) ambiguous.
    """
    path = Path(path)
    return parse_asap(read_bytes(path), path, lenient=lenient)


def parse_asap(data: bytes, path: Path, *, lenient: bool = False) -> AnnotationSet:
    """Read an ASAP document; `path` is for messages. See `read_asap`."""
    root = root_tag(data, path)
    if root != ROOT:
        raise SclcError(
            f"{path}: the root element of ASAP XML must be {ROOT}, got {shown(root)}; "
            "convert other formats with tools/convert_annotations.py"
        )
    problems = Problems(path, lenient)
    annotations: list[Annotation] = []
    groups: list[AnnotationGroup] = []
    for element in xml_elements(data, ("Annotation", "Group"), path):
        if element.tag == "Group":
            groups.append(_parse_group(element))
        else:
            annotations.append(_parse_annotation(element, len(annotations), problems))
    groups = _checked_groups(groups, problems)
    _check_membership(annotations, groups, problems)
    return AnnotationSet(
        tuple(annotations), tuple(groups), source=path, findings=problems.findings
    ).with_groups_defined()


def _parse_annotation(element: etree._Element, index: int, problems: Problems) -> Annotation:
    name = clean_text(element.get("Name"))
    where = f'annotation {index} "{name}"'
    kind = element.get("Type", "")
    if kind not in ASAP_KINDS:
        problems.note(
            "error",
            "unknown-type",
            where,
            f"Type must be one of {', '.join(ASAP_KINDS)}, got {shown(kind)}; ASAP takes it for "
            "None",
        )
        kind = "None"
    group = element.get("PartOfGroup")
    if not group:
        problems.note(
            "error",
            "unknown-group",
            where,
            "PartOfGroup must name a group or be None, got nothing; ASAP opens no such file",
        )
    return Annotation(
        name=name,
        points=_parse_coordinates(element, where, problems),
        kind=kind,  # type: ignore[arg-type]
        group=None if group in (NO_GROUP, "", None) else clean_text(group),
        color=_color_of(element, where, problems),
    )


def _parse_coordinates(
    element: etree._Element, where: str, problems: Problems
) -> NDArray[np.float64]:
    points: list[tuple[float, float]] = []
    orders: list[int | None] = []
    commas = 0
    for position, coordinate in enumerate(element.iterfind("Coordinates/Coordinate")):
        x, y = coordinate.get("X"), coordinate.get("Y")
        try:
            point = parse_number(x), parse_number(y)
        except ValueError as error:
            problems.fatal("coordinate", where, f"point {position}: X and Y {error}")
            continue
        points.append(point)
        commas += "," in f"{x}{y}"
        order = (coordinate.get("Order") or "").strip()
        orders.append(int(order) if re.fullmatch(r"[+-]?\d{1,9}", order, re.ASCII) else None)
    if commas:
        problems.note(
            "error",
            "decimal-comma",
            where,
            f"decimals must follow a point, got commas in {commas} points; ASAP drops the "
            "decimals where its language has points",
        )
    return np.array(points, dtype=np.float64).reshape(-1, 2)[_placed(orders, where, problems)]


def _placed(orders: list[int | None], where: str, problems: Problems) -> list[int]:
    """The sequence in which points stand, by their Order."""
    positions = list(range(len(orders)))
    if orders == positions:
        return positions
    known = [order for order in orders if order is not None]
    twice = [order for order, count in Counter(known).items() if count > 1]
    if len(known) < len(orders) or twice:
        got = f"{twice[0]} twice" if twice else "a point without one"
        problems.fatal("order", where, f"Order must be a different integer a point, got {got}")
        return positions
    if sorted(known) != positions:
        problems.note(
            "error",
            "order",
            where,
            f"Order must count from 0 to {len(orders) - 1}, got {min(known)} to {max(known)}; "
            "ASAP puts missing points at (0, 0) and fails on others",
        )
    return sorted(positions, key=known.__getitem__)


def _color_of(element: etree._Element, where: str, problems: Problems) -> str:
    color = element.get("Color")
    if color and parse_color(color) is None:
        problems.note(
            "warning",
            "color",
            where,
            f"Color must be #RRGGBB, got {shown(color)}; taken as {DEFAULT_COLOR}",
        )
    return parse_color(color) or DEFAULT_COLOR


def _parse_group(element: etree._Element) -> AnnotationGroup:
    parent = element.get("PartOfGroup")
    attributes = {
        str(name): clean_text(value)
        for attribute in element.iterfind("Attributes/*")
        for name, value in attribute.items()
    }
    return AnnotationGroup(
        name=clean_text(element.get("Name")),
        parent=None if parent in (NO_GROUP, "", None) else clean_text(parent),
        color=parse_color(element.get("Color")) or DEFAULT_COLOR,
        attributes=attributes,
    )


def _checked_groups(groups: list[AnnotationGroup], problems: Problems) -> list[AnnotationGroup]:
    """Groups of different names that do not lie in themselves."""
    by_name = {group.name: group for group in groups}
    for name, count in Counter(group.name for group in groups).items():
        if count > 1:
            problems.note(
                "error",
                "duplicate-group",
                f'group "{name}"',
                f"the name of a group must be its own, got it {count} times; the last one counts",
            )
    for name in by_name:
        seen, step = {name}, by_name[name].parent
        while step in by_name and step not in seen:
            seen.add(step)
            step = by_name[step].parent
        if step == name:
            problems.fatal("group-cycle", f'group "{name}"', "a group must not lie in itself")
            by_name[name] = replace(by_name[name], parent=None)
    return list(by_name.values())


def _check_membership(
    annotations: list[Annotation], groups: list[AnnotationGroup], problems: Problems
) -> None:
    known = {group.name for group in groups}
    references = [
        *((f'annotation {i} "{a.name}"', a.group) for i, a in enumerate(annotations)),
        *((f'group "{g.name}"', g.parent) for g in groups),
    ]
    for where, name in references:
        if name is not None and name not in known:
            problems.note(
                "error",
                "unknown-group",
                where,
                f"PartOfGroup must name a group of the file, got {shown(name)}; ASAP opens no "
                "such file",
            )
