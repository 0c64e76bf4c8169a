"""GeoJSON as QuPath writes it: polygons with holes, multipolygons, lines, points, classes.

A feature's `classification` is the group, its `name` the name. What GeoJSON has no word for (ASAP's
splines, rectangles and measurements; groups in groups) goes into members of our own that QuPath
passes over: `asap_type` in a feature's properties and `groups` beside the features.
Format: RFC 7946 with pixels in place of degrees, and https://qupath.readthedocs.io.
"""

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.annotations.geojson_writer import (
    ASAP_TYPE,
    MEMBERS,
    class_name,
    write_geojson,
)
from paddleseg_sclc.annotations.model import (
    DEFAULT_COLOR,
    KINDS,
    Annotation,
    AnnotationGroup,
    AnnotationSet,
    Kind,
    as_points,
)
from paddleseg_sclc.annotations.parsing import (
    check_elements,
    clean_text,
    parse_color,
    read_bytes,
    shown,
)
from paddleseg_sclc.annotations.problems import Problems
from paddleseg_sclc.errors import SclcError

__all__ = ["parse_geojson", "read_geojson", "write_geojson"]

# What reading a feature of any other form may raise.
_MALFORMED = (ValueError, TypeError, KeyError, AttributeError, OverflowError)
_NUMBERS = (int, float)
_STANDARD_MEMBERS = {"type", "id", "geometry", "properties"}
_KIND_OF_GEOMETRY: dict[str, Kind] = {
    "Polygon": "Polygon",
    "MultiPolygon": "Polygon",
    "LineString": "Line",
    "MultiLineString": "Line",
    "Point": "Dot",
    "MultiPoint": "PointSet",
}


def read_geojson(path: str | os.PathLike[str], *, lenient: bool = False) -> AnnotationSet:
    """Read a GeoJSON file: a collection, a feature, a list of features or a bare geometry.

    Each part of a multipolygon becomes an annotation; the parts share `object_id`.

    Args:
        path: the file.
        lenient: leave out features that cannot be understood, with a finding, instead of raising.

    Raises:
        SclcError: not GeoJSON, damaged, too large, or (unless lenient) a feature that is malformed.
    """
    path = Path(path)
    return parse_geojson(read_bytes(path), path, lenient=lenient)


def parse_geojson(data: bytes, path: Path, *, lenient: bool = False) -> AnnotationSet:
    """Read a GeoJSON document; `path` is for messages. See `read_geojson`."""
    problems = Problems(path, lenient)
    document = _load(data, path)
    annotations: list[Annotation] = []
    groups = {g.name: g for g in _listed_groups(document)}
    for index, feature in enumerate(_features(document, path)):
        where = f"feature {index}"
        try:
            parts, group = _parse_feature(feature, index, problems)
        except _MALFORMED as error:
            problems.fatal("feature", where, f"must be a GeoJSON feature: {_reason(error)}")
            continue
        annotations += parts
        if group is not None:
            groups.setdefault(group.name, group)
    return AnnotationSet(
        tuple(annotations), tuple(groups.values()), source=path, findings=problems.findings
    ).with_groups_defined()


def _load(data: bytes, path: Path) -> Any:
    check_elements(data.count(b"[") + data.count(b"{"), path)

    def refuse(text: str) -> None:
        raise ValueError(f"a number must be finite, got {text}")

    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise SclcError(f"{path}: must be JSON, got: {_reason(error)}") from error


def _features(document: Any, path: Path) -> list[Any]:
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        if isinstance(document.get("features"), list):
            return document["features"]
        if document.get("type") == "Feature":
            return [document]
        if str(document.get("type")) in _KIND_OF_GEOMETRY:
            return [{"type": "Feature", "geometry": document}]
    raise SclcError(
        f"{path}: GeoJSON must be a FeatureCollection, a Feature or a list of features, "
        f"got {shown(document)}"
    )


def _parse_feature(
    feature: Any, index: int, problems: Problems
) -> tuple[list[Annotation], AnnotationGroup | None]:
    """The parts of a feature and the class that it belongs to."""
    if not isinstance(feature, dict):
        raise ValueError(f"got {shown(feature)}")
    properties = dict(feature.get("properties") or {})
    group = _class_of(properties)
    if properties.get("objectType") == "annotation":
        del properties["objectType"]
    geometry = feature.get("geometry") or {}
    kind = _KIND_OF_GEOMETRY.get(str(geometry.get("type")))
    if kind is None:
        message = f"left out: a geometry must be one of {', '.join(_KIND_OF_GEOMETRY)}"
        got = geometry.get("type", "none")
        problems.note("warning", "geometry", f"feature {index}", f"{message}, got {shown(got)}")
        return [], None
    rings = list(_rings(geometry))
    members = {key: value for key, value in feature.items() if key not in _STANDARD_MEMBERS}
    if members:
        properties[MEMBERS] = members
    identity = clean_text(feature.get("id", ""))
    if len(rings) > 1 and not identity:
        identity = str(uuid.uuid5(uuid.NAMESPACE_OID, f"paddleseg_sclc part {index}"))
    own_kind = properties.pop(ASAP_TYPE, kind)
    own_color = _color(properties.pop("color", None), properties.pop("colorRGB", None))
    name = clean_text(properties.pop("name", ""))
    color = own_color or (group.color if group else DEFAULT_COLOR)
    return [
        Annotation(
            name=name,
            points=outline,
            kind=own_kind if own_kind in KINDS else kind,
            holes=tuple(holes),
            group=group.name if group else None,
            color=color,
            object_id=identity,
            properties=properties,
        )
        for outline, holes in rings
    ], group


def _class_of(properties: dict[str, Any]) -> AnnotationGroup | None:
    """The class in `properties`; stays there only if it says more than a name and a colour."""
    value = properties.get("classification")
    if not isinstance(value, dict):
        return None
    name = class_name(value)
    if set(value) <= {"name", "color"}:
        del properties["classification"]
    if not name:
        return None
    color = _color(value.get("color"), value.get("colorRGB"))
    return AnnotationGroup(name, color=color or DEFAULT_COLOR)


def _color(rgb: Any, packed: Any) -> str | None:
    """`[r, g, b]`, or an integer 0xAARRGGBB as older QuPath has it, as #RRGGBB."""
    if isinstance(packed, int):
        return f"#{packed & 0xFFFFFF:06X}"
    if isinstance(rgb, list) and len(rgb) >= 3 and all(isinstance(c, int) for c in rgb[:3]):
        return "#" + "".join(f"{min(max(c, 0), 255):02X}" for c in rgb[:3])
    return parse_color(rgb) if isinstance(rgb, str) else None


def _rings(
    geometry: dict[str, Any],
) -> Iterator[tuple[NDArray[np.float64], list[NDArray[np.float64]]]]:
    """The outline and the holes of each part of a geometry."""
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind in ("Polygon", "MultiPolygon"):
        for polygon in [coordinates] if kind == "Polygon" else coordinates:
            if not polygon:
                raise ValueError("a polygon must have an outline")
            outline, *holes = [_positions(ring, closed=True) for ring in polygon]
            yield outline, holes
    elif kind == "MultiLineString":
        yield from ((_positions(line), []) for line in coordinates)
    else:
        yield _positions([coordinates] if kind == "Point" else coordinates), []


def _positions(values: Any, closed: bool = False) -> NDArray[np.float64]:
    """(n, 2) positions; a closed ring without its last one, which repeats the first."""
    pairs = [position[:2] for position in values]
    if not all(len(p) == 2 and type(p[0]) in _NUMBERS and type(p[1]) in _NUMBERS for p in pairs):
        raise ValueError("a position must be two numbers")
    points = as_points(pairs)
    return points[:-1] if closed and len(points) > 1 and (points[0] == points[-1]).all() else points


def _listed_groups(document: Any) -> Iterator[AnnotationGroup]:
    """Groups beside the features, as `write_geojson` puts them there."""
    listed = document.get("groups") if isinstance(document, dict) else None
    for group in listed if isinstance(listed, list) else []:
        if isinstance(group, dict) and isinstance(group.get("name"), str):
            parent, attributes = group.get("parent"), group.get("attributes")
            yield AnnotationGroup(
                clean_text(group["name"]),
                clean_text(parent) if parent else None,
                parse_color(str(group.get("color"))) or DEFAULT_COLOR,
                {str(k): clean_text(v) for k, v in attributes.items()}
                if isinstance(attributes, dict)
                else {},
            )


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
