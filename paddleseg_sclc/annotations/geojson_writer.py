"""Write GeoJSON for QuPath; see `geojson.py` for the format."""

import json
import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.annotations.model import (
    AREA_KINDS,
    DEFAULT_COLOR,
    Annotation,
    AnnotationGroup,
    AnnotationSet,
    Finding,
    Kind,
)
from paddleseg_sclc.annotations.parsing import clean_text
from paddleseg_sclc.files import atomic_path

ASAP_TYPE = "asap_type"
# Where a feature's members other than GeoJSON's own are kept, in an annotation's properties.
MEMBERS = "feature members"


def write_geojson(path: str | os.PathLike[str], annotations: AnnotationSet) -> tuple[Finding, ...]:
    """Write a GeoJSON feature collection for QuPath.

    Annotations that stand together and share `object_id` become one multipolygon.

    Returns:
        Nothing: the format holds all that annotations say.

    Raises:
        SclcError: the file cannot be written.
    """
    colors = {group.name: group.color for group in annotations.groups}
    features = [_feature(parts, colors) for parts in _objects(annotations)]
    known = list(_plain_groups(annotations))
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(b'{"type":"FeatureCollection",')
        if known != list(annotations.groups):
            file.write(b'"groups":' + _dump([_group(group) for group in annotations.groups]) + b",")
        file.write(b'"features":[\n')
        file.write(b",\n".join(map(_dump, features)))
        file.write(b"\n]}\n")
    return ()


def class_name(classification: Any) -> str:
    """The name of a QuPath class, its parts joined by `: `; empty if there is none."""
    if not isinstance(classification, dict):
        return ""
    names = classification.get("names")
    name = ": ".join(map(str, names)) if isinstance(names, list) else classification.get("name")
    return clean_text(name)


def _plain_groups(annotations: AnnotationSet) -> Iterator[AnnotationGroup]:
    """The groups that a reader makes from the features' classes alone."""
    colors = {group.name: group.color for group in annotations.groups}
    for name in dict.fromkeys(a.group for a in annotations if a.group is not None):
        yield AnnotationGroup(name, color=colors.get(name, DEFAULT_COLOR))


def _objects(annotations: Iterable[Annotation]) -> Iterator[list[Annotation]]:
    """Annotations, those together that are the parts of one object."""
    for key, parts in groupby(annotations, key=lambda a: (a.object_id, a.kind, a.name, a.group)):
        if key[0]:
            yield list(parts)
        else:
            yield from ([part] for part in parts)


def _feature(parts: list[Annotation], colors: dict[str, str]) -> dict[str, Any]:
    first = parts[0]
    geometry, kind = _geometry(parts)
    properties = dict(first.properties)
    members = properties.pop(MEMBERS, {})
    properties.setdefault("objectType", "annotation")
    if first.name:
        properties["name"] = first.name
    group_color = DEFAULT_COLOR
    if first.group is not None:
        group_color = colors.get(first.group, DEFAULT_COLOR)
        if class_name(properties.get("classification")) != first.group:
            properties["classification"] = {"name": first.group, "color": _rgb(group_color)}
    if first.color != group_color:
        properties["color"] = _rgb(first.color)
    if first.kind != kind:
        properties[ASAP_TYPE] = first.kind
    identity = {"id": first.object_id} if first.object_id else {}
    return {
        "type": "Feature",
        **identity,
        "geometry": geometry,
        "properties": properties,
        **members,
    }


def _geometry(parts: list[Annotation]) -> tuple[dict[str, Any], Kind]:
    """A geometry of GeoJSON, and the kind that a reader takes it for."""
    kind, several = parts[0].kind, len(parts) > 1
    if kind in AREA_KINDS and all(len(part.points) >= 3 for part in parts):
        polygons = [[_closed(ring) for ring in (p.points, *p.holes) if len(ring)] for p in parts]
        if several:
            return {"type": "MultiPolygon", "coordinates": polygons}, "Polygon"
        return {"type": "Polygon", "coordinates": polygons[0]}, "Polygon"
    lines = [_listed(part.points) for part in parts]
    if kind in ("Line", "Measurement") and all(len(line) >= 2 for line in lines):
        if several:
            return {"type": "MultiLineString", "coordinates": lines}, "Line"
        return {"type": "LineString", "coordinates": lines[0]}, "Line"
    if kind == "Dot" and len(lines[0]) == 1 and not several:
        return {"type": "Point", "coordinates": lines[0][0]}, "Dot"
    # What is no valid ring or line stays visible as points.
    return {"type": "MultiPoint", "coordinates": [p for line in lines for p in line]}, "PointSet"


def _closed(ring: NDArray[np.float64]) -> list[list[float]]:
    listed = _listed(ring)
    return [*listed, listed[0]]


def _listed(points: NDArray[np.float64]) -> list[list[float]]:
    return [[int(v) if v == int(v) else v for v in point] for point in points.tolist()]


def _rgb(color: str) -> list[int]:
    """#RRGGBB, or #AARRGGBB, as [r, g, b]."""
    return list(bytes.fromhex(color.lstrip("#"))[-3:])


def _group(group: AnnotationGroup) -> dict[str, Any]:
    return {
        "name": group.name,
        "parent": group.parent,
        "color": group.color,
        "attributes": dict(group.attributes),
    }


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
