"""NDPA: what NDP.view, Hamamatsu's viewer, keeps beside a slide as SLIDE.ndpi.ndpa.

Positions are nanometres from the centre of the glass; the slide says where the scan's own centre
lies on it. Known: freehand outlines (closed or open), rectangles, circles, pins, linear measures.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lxml import etree
from numpy.typing import NDArray

from paddleseg_sclc.annotations.keyhole import join_holes
from paddleseg_sclc.annotations.model import (
    AREA_KINDS,
    DEFAULT_COLOR,
    Annotation,
    AnnotationSet,
    Finding,
    Kind,
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
from paddleseg_sclc.files import atomic_path

ROOT = "annotations"
# A glass is 76 mm long; nothing lies a metre away.
MAX_NANOMETRES = 1e9
CIRCLE_POINTS = 120


@dataclass(frozen=True)
class SlideFrame:
    """Where a scan lies on its glass.

    Attributes:
        width: of level 0 in pixels.
        height: of level 0 in pixels.
        mpp_x: micrometres a level-0 pixel.
        mpp_y: the same, down.
        offset_x_nm: of the scan's centre from the glass's, in nanometres
            (`hamamatsu.XOffsetFromSlideCentre`).
        offset_y_nm: the same, down (`hamamatsu.YOffsetFromSlideCentre`).
    """

    width: int
    height: int
    mpp_x: float
    mpp_y: float
    offset_x_nm: float = 0.0
    offset_y_nm: float = 0.0

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1 or not (self.mpp_x > 0 and self.mpp_y > 0):
            raise ValueError(f"SlideFrame: sizes and mpp must be > 0, got {self}")

    def to_pixels(self, nanometres: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) nanometres from the centre of the glass as level-0 pixels."""
        return (nanometres - self._offset) / self._scale + self._centre

    def to_nanometres(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) level-0 pixels as nanometres from the centre of the glass."""
        return (points - self._centre) * self._scale + self._offset

    @property
    def _offset(self) -> NDArray[np.float64]:
        return np.array([self.offset_x_nm, self.offset_y_nm])

    @property
    def _scale(self) -> NDArray[np.float64]:
        return np.array([self.mpp_x, self.mpp_y]) * 1000.0

    @property
    def _centre(self) -> NDArray[np.float64]:
        return np.array([self.width, self.height]) / 2


def read_ndpa(
    path: str | os.PathLike[str], frame: SlideFrame, *, lenient: bool = False
) -> AnnotationSet:
    """Read an NDPA file.

    A view's title becomes the name; there are no groups. Circles become polygons.

    Args:
        path: the file.
        frame: of the slide that it belongs to.
        lenient: leave out what cannot be understood, with a finding, instead of raising.

    Raises:
        SclcError: not an NDPA file, damaged, hostile, or (unless lenient) malformed.
    """
    path = Path(path)
    return parse_ndpa(read_bytes(path), path, frame, lenient=lenient)


def parse_ndpa(
    data: bytes, path: Path, frame: SlideFrame, *, lenient: bool = False
) -> AnnotationSet:
    """Read an NDPA document; `path` is for messages. See `read_ndpa`."""
    root = root_tag(data, path)
    if root != ROOT:
        raise SclcError(f"{path}: the root element of NDPA must be {ROOT}, got {shown(root)}")
    problems = Problems(path, lenient)
    annotations = []
    for index, view in enumerate(xml_elements(data, ("ndpviewstate",), path)):
        where = f'view {index} "{_text(view, "title")}"'
        for element in view.iterfind("annotation"):
            try:
                shape = _shape(element)
                points = None if shape is None else frame.to_pixels(shape[1])
                if shape is None or points is None:
                    got = shown(element.get("type", ""))
                    problems.note(
                        "warning", "unknown-type", where, f"left out: not a known type, got {got}"
                    )
                    continue
                annotations.append(_annotation(view, element, shape[0], points))
            except ValueError as error:
                problems.fatal("coordinate", where, str(error))
    return AnnotationSet(tuple(annotations), source=path, findings=problems.findings)


def write_ndpa(
    path: str | os.PathLike[str], annotations: AnnotationSet, frame: SlideFrame
) -> tuple[Finding, ...]:
    """Write an NDPA file. Positions are rounded to nanometres, holes joined to their outlines.

    Returns:
        What NDPA cannot say, and was left out or written otherwise.

    Raises:
        SclcError: the file cannot be written.
    """
    lost = [
        Finding("warning", "group", f'group "{group.name}"', "left out: NDPA has no groups")
        for group in annotations.groups
    ]
    root = etree.Element(ROOT)
    for number, annotation in enumerate(annotations, start=1):
        _append_view(root, number, annotation, frame)
    etree.indent(root)
    with atomic_path(path) as temporary:
        temporary.write_bytes(
            etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True) + b"\n"
        )
    return tuple(lost)


def _shape(element: etree._Element) -> tuple[Kind, NDArray[np.float64]] | None:
    """Kind and nanometres of an annotation; None for a type that is not known."""
    kind = element.get("type", "")
    if kind == "freehand":
        points = [
            (_nanometres(point, "x"), _nanometres(point, "y"))
            for point in element.iterfind("pointlist/point")
        ]
        array = np.array(points, dtype=np.float64).reshape(-1, 2)
        if (_text(element, "closed") or "1") == "0":
            return "Line", array
        rectangle = _text(element, "specialtype") == "rectangle" and len(array) == 4
        return "Rectangle" if rectangle else "Polygon", array
    if kind == "pin":
        return "Dot", np.array([[_nanometres(element, "x"), _nanometres(element, "y")]])
    if kind == "linearmeasure":
        ends = [[_nanometres(element, f"x{i}"), _nanometres(element, f"y{i}")] for i in (1, 2)]
        return "Measurement", np.array(ends)
    if kind == "circle":
        centre = np.array([_nanometres(element, "x"), _nanometres(element, "y")])
        radius, turn = _nanometres(element, "radius"), 2 * np.pi * np.arange(CIRCLE_POINTS)
        angle = turn / CIRCLE_POINTS
        return "Polygon", centre + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return None


def _annotation(
    view: etree._Element, element: etree._Element, kind: Kind, points: NDArray[np.float64]
) -> Annotation:
    extra = {"details": _text(view, "details"), "displayname": element.get("displayname", "")}
    return Annotation(
        name=clean_text(_text(view, "title")),
        points=points,
        kind=kind,
        color=parse_color(element.get("color")) or DEFAULT_COLOR,
        object_id=clean_text(view.get("id", "")),
        properties={key: clean_text(value) for key, value in extra.items() if value},
    )


def _append_view(
    root: etree._Element, number: int, annotation: Annotation, frame: SlideFrame
) -> None:
    points = annotation.points
    if annotation.holes:
        points = join_holes(points, annotation.holes)
    nanometres = np.rint(frame.to_nanometres(points)).astype(np.int64).tolist()
    view = etree.SubElement(root, "ndpviewstate", id=annotation.object_id or str(number))
    details = str(annotation.properties.get("details") or annotation.group or "")
    centre = nanometres[0] if nanometres else (0, 0)
    _append_texts(view, title=annotation.name, details=details, coordformat="nanometers", lens="1")
    _append_texts(view, x=centre[0], y=centre[1], z=0, showtitle=0, showhistogram=0)
    color = "#" + annotation.color[-6:].lower()
    if annotation.kind == "Dot" and len(nanometres) == 1:
        pin = etree.SubElement(view, "annotation", type="pin", displayname="Pin", color=color)
        _append_texts(pin, x=centre[0], y=centre[1])
        return
    if annotation.kind == "Measurement" and len(nanometres) == 2:
        ruler = etree.SubElement(
            view, "annotation", type="linearmeasure", displayname="AnnotateRuler", color=color
        )
        (x1, y1), (x2, y2) = nanometres
        _append_texts(ruler, x1=x1, y1=y1, x2=x2, y2=y2)
        return
    closed = annotation.kind in AREA_KINDS
    name = "AnnotateFreehand" if closed else "AnnotateFreehandLine"
    shape = etree.SubElement(view, "annotation", type="freehand", displayname=name, color=color)
    _append_texts(shape, measuretype=0 if closed else 1, closed=int(closed))
    listed = etree.SubElement(shape, "pointlist")
    for x, y in nanometres:
        _append_texts(etree.SubElement(listed, "point"), x=x, y=y)
    if annotation.kind == "Rectangle" and len(nanometres) == 4:
        _append_texts(shape, specialtype="rectangle")


def _append_texts(parent: etree._Element, **texts: object) -> None:
    for tag, value in texts.items():
        etree.SubElement(parent, tag).text = clean_text(value)


def _text(element: etree._Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _nanometres(element: etree._Element, tag: str) -> float:
    try:
        return parse_number(element.findtext(tag), MAX_NANOMETRES)
    except ValueError as error:
        raise ValueError(f"{re.sub('[0-9]', '', tag)} {error}") from error
