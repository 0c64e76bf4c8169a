import json

import numpy as np
import pytest

from paddleseg_sclc.annotations.asap import read_asap, write_asap
from paddleseg_sclc.annotations.geojson import read_geojson, write_geojson
from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.model import KINDS, Annotation, AnnotationGroup, AnnotationSet
from paddleseg_sclc.annotations.rasterize import rasterize
from paddleseg_sclc.errors import SclcError

RING = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
HOLE = [[2, 2], [2, 4.5], [4, 4], [2, 2]]


def feature(geometry=None, **properties):
    geometry = geometry or {"type": "Polygon", "coordinates": [RING]}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


@pytest.fixture
def read(tmp_path):
    def read_value(value, **options):
        path = tmp_path / "a.geojson"
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
        return read_geojson(path, **options)

    return read_value


def collection(*features):
    return {"type": "FeatureCollection", "features": list(features)}


def qupath():
    """A file as QuPath 0.5 writes it, with all that an annotation may carry."""
    return collection(
        {
            "type": "Feature",
            "id": "6423a977-ffff-48db-affc-cd11632010f0",
            "geometry": {"type": "Polygon", "coordinates": [RING, HOLE]},
            "properties": {
                "objectType": "annotation",
                "name": "one",
                "color": [1, 2, 3],
                "classification": {"name": "Tumor", "color": [200, 0, 0]},
                "isLocked": True,
                "measurements": [{"name": "Area µm^2", "value": 12.5}],
                "metadata": {"ANNOTATION_DESCRIPTION": "第一"},
            },
        },
        {
            "type": "Feature",
            "id": "aaaaaaaa-ffff-48db-affc-cd11632010f0",
            "geometry": {
                "type": "MultiPolygon",
                "coordinates": [[RING], [[[20, 20], [30, 20], [25, 28.25], [20, 20]], HOLE]],
            },
            "properties": {
                "objectType": "detection",
                "classification": {"names": ["Tumor", "Positive"], "color": [9, 9, 9]},
            },
            "nucleusGeometry": {"type": "Polygon", "coordinates": [RING]},
        },
        feature({"type": "LineString", "coordinates": [[1, 1], [2.5, 3], [4, 4]]}, name="line"),
        feature({"type": "Point", "coordinates": [7, 8]}),
        feature({"type": "MultiPoint", "coordinates": [[7, 8], [9, 10]]}),
        feature({"type": "MultiLineString", "coordinates": [[[0, 0], [1, 1]], [[5, 5], [6, 6]]]}),
    )


def test_what_is_read_is_written_again(read, tmp_path):
    source = qupath()
    annotations = read(source)
    write_geojson(tmp_path / "b.geojson", annotations)
    written = json.loads((tmp_path / "b.geojson").read_text(encoding="utf-8"))
    for made in source["features"]:
        made["properties"].setdefault("objectType", "annotation")
    del written["features"][5]["id"]  # its parts need one, the source has none
    assert written == source
    assert read_geojson(tmp_path / "b.geojson") == annotations


def test_the_real_file_round_trips(shared, tmp_path):
    path = shared / "annotations" / "qupath05.geojson"
    annotations = read_geojson(path)
    assert [a.name for a in annotations] == ["UT", "I", "I"]
    write_geojson(tmp_path / "b.geojson", annotations)
    assert json.loads((tmp_path / "b.geojson").read_text()) == json.loads(path.read_text())


def test_classes_are_groups_and_parts_share_an_identity(read):
    annotations = read(qupath())
    assert annotations.group_names == ("Tumor", "Tumor: Positive")
    assert annotations.groups[0].color == "#C80000"
    one, left, right, *_ = annotations
    assert (one.name, one.group, one.color) == ("one", "Tumor", "#010203")
    assert len(one.holes) == 1 and len(one.points) == 4 and len(one.holes[0]) == 3
    assert left.object_id == right.object_id and len(right.holes) == 1
    assert left.color == "#090909"  # the class's, for want of its own
    assert [a.kind for a in annotations][3:] == ["Line", "Dot", "PointSet", "Line", "Line"]


def test_holes_and_parts_are_drawn(read):
    annotations = read(qupath())
    mask = rasterize(annotations, Grid(40, 40), rule="centre")
    assert mask[1, 1] == 255 and mask[24, 25] == 255 and mask[15, 15] == 0
    assert mask[3, 2] == 255  # the multipolygon's first part fills the hole of the first annotation
    (single,) = read(collection(qupath()["features"][0]))
    only = rasterize(AnnotationSet((single,)), Grid(40, 40), rule="centre")
    assert only[3, 2] == 0 and only[1, 1] == 255


def test_other_shapes_of_document(read):
    for value in (
        feature(),
        [feature()],
        {"type": "Polygon", "coordinates": [RING]},
        {"features": [feature()]},
    ):
        (annotation,) = read(value)
        assert annotation.points.tolist() == [[0, 0], [10, 0], [10, 10], [0, 10]]
    assert len(read(collection())) == 0
    (annotation,) = read("\ufeff" + json.dumps(feature()))
    (three_d,) = read(feature({"type": "Polygon", "coordinates": [[[*p, 5] for p in RING]]}))
    assert three_d == annotation


def test_older_qupath_packs_colours(read):
    (annotation,) = read(
        feature(classification={"name": "Stroma", "colorRGB": -6895466}, colorRGB=-65536)
    )
    assert (annotation.group, annotation.color) == ("Stroma", "#FF0000")


def test_all_that_asap_says_comes_back_from_geojson(tmp_path):
    points = [(1.5, 2.25), (7, 3), (8.125, 9), (2, 8)]
    annotations = AnnotationSet(
        tuple(
            Annotation(f"{kind} {n}", points[:n], kind, group="inner" if n % 2 else None)
            for kind in KINDS
            for n in range(5)
        ),
        (
            AnnotationGroup("inner", "outer", "#00FF00", {"grade": "3"}),
            AnnotationGroup("outer"),
            AnnotationGroup("unused", color="#123456"),
        ),
    )
    write_geojson(tmp_path / "a.geojson", annotations)
    assert read_geojson(tmp_path / "a.geojson") == annotations
    asap = AnnotationSet(tuple(a for a in annotations if a.kind != "Line"), annotations.groups)
    write_asap(tmp_path / "a.xml", asap)
    once = read_asap(tmp_path / "a.xml")
    write_geojson(tmp_path / "b.geojson", once)
    assert read_geojson(tmp_path / "b.geojson") == once


BAD = [
    (feature({"type": "Polygon", "coordinates": [[["1", 2], [3, 4]]]}), "two numbers"),
    (feature({"type": "Polygon", "coordinates": [[[1], [3, 4]]]}), "two numbers"),
    (feature({"type": "Polygon", "coordinates": [[[True, 2], [3, 4]]]}), "two numbers"),
    (feature({"type": "Polygon", "coordinates": []}), "must have an outline"),
    (feature({"type": "Polygon", "coordinates": 5}), "feature 0"),
    (feature({"type": "Polygon"}), "coordinates"),
    (feature({"type": "Polygon", "coordinates": [[[1e300, 2], [3, 4]]]}), "within"),
    (feature({"type": "Polygon", "coordinates": [[[10**400, 2], [3, 4]]]}), "feature 0"),
    ({"type": "Feature", "geometry": [1], "properties": {}}, "feature 0"),
    ({"type": "Feature", "geometry": {}, "properties": "x"}, "feature 0"),
    ("nonsense", "feature 0"),
]


@pytest.mark.parametrize(("bad", "message"), BAD)
def test_malformed_features_stop_or_are_noted(read, bad, message):
    with pytest.raises(SclcError, match=message) as caught:
        read(collection(bad, feature()))
    assert "\n" not in str(caught.value)
    annotations = read(collection(bad, feature()), lenient=True)
    assert len(annotations) == 1
    assert [f.severity for f in annotations.findings] == ["error"]


def test_geometries_without_outline_are_noted(read):
    annotations = read(
        collection(
            {"type": "Feature", "geometry": None, "properties": None},
            feature({"type": "GeometryCollection", "geometries": []}),
            feature({"type": ["odd"]}),
        )
    )
    assert len(annotations) == 0
    assert [f.code for f in annotations.findings] == ["geometry"] * 3


@pytest.mark.parametrize(
    "text",
    ["{", "[1, NaN]", '{"type": "FeatureCollection"}', "{}", '{"features": 3}', "[Infinity]"],
)
def test_other_json_is_refused(read, text):
    with pytest.raises(SclcError) as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_properties_do_not_share_memory_with_the_mask():
    """Positions cannot be changed by accident."""
    annotation = Annotation("a", [(0, 0), (1, 1), (2, 0)])
    with pytest.raises(ValueError):
        annotation.points[0] = 5
    assert np.isfinite(annotation.points).all()
