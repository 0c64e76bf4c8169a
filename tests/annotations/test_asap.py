import numpy as np
import pytest
from scipy import ndimage

from paddleseg_sclc.annotations.asap import read_asap, write_asap
from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.labels import LabelMap
from paddleseg_sclc.annotations.model import (
    ASAP_KINDS,
    DEFAULT_COLOR,
    Annotation,
    AnnotationGroup,
    AnnotationSet,
)
from paddleseg_sclc.annotations.rasterize import rasterize
from paddleseg_sclc.errors import SclcError

TRIANGLE = '<Coordinate Order="0" X="1" Y="2"/><Coordinate Order="1" X="9.5" Y="2"/>' \
    '<Coordinate Order="2" X="4" Y="8"/>'  # fmt: skip


def document(coordinates=TRIANGLE, attributes='PartOfGroup="None"', groups=""):
    return (
        '<?xml version="1.0"?>\n<ASAP_Annotations><Annotations>'
        f'<Annotation Name="A" Type="Polygon" {attributes}><Coordinates>{coordinates}'
        "</Coordinates></Annotation></Annotations>"
        f"<AnnotationGroups>{groups}</AnnotationGroups></ASAP_Annotations>"
    )


@pytest.fixture
def read(tmp_path):
    def read_text(text, **options):
        path = tmp_path / "a b 病理.xml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_asap(path, **options)

    return read_text


def everything():
    """Every type, nested groups with attributes, names with all that XML must escape."""
    points = [(1.5, 2.25), (1e-7, 33333.123456789), (120000, -5), (0.1, 0.2)]
    annotations = tuple(
        Annotation(f"{kind} <&\"'> ümläut 病理", points[: 1 + i % 4], kind, group=group)
        for i, (kind, group) in enumerate(
            zip(ASAP_KINDS, [None, "inner", "outer"] * 3, strict=False)
        )
    )
    groups = (
        AnnotationGroup("inner", "outer", "#00FF00", {"grade": "3", "by": "N. N."}),
        AnnotationGroup("outer"),
        AnnotationGroup("nobody's"),
    )
    return AnnotationSet(annotations, groups)


def test_what_is_written_reads_the_same(tmp_path):
    path = tmp_path / "a.xml"
    assert write_asap(path, everything()) == ()
    again = read_asap(path)
    assert again.annotations == everything().annotations
    assert {g.name for g in again.groups} == {"inner", "outer", "nobody's"}
    assert next(g for g in again.groups if g.name == "inner") == everything().groups[0]
    first = path.read_bytes()
    write_asap(path, again)
    assert path.read_bytes() == first


def test_asaps_reader_finds_what_it_needs(tmp_path):
    """Groups used are defined, parents stand first, Order counts from 0, colours are #RRGGBB."""
    from lxml import etree

    used = AnnotationSet(
        (Annotation("a", [(0, 0), (5, 0), (5, 5)], group="used"),),
        (AnnotationGroup("child", parent="parent"),),
    )
    path = tmp_path / "a.xml"
    write_asap(path, used)
    root = etree.parse(str(path)).getroot()
    assert [e.tag for e in root] == ["Annotations", "AnnotationGroups"]
    names = [g.get("Name") for g in root.iter("Group")]
    assert set(names) == {"used", "child", "parent"}
    assert names.index("parent") < names.index("child")
    assert [c.get("Order") for c in root.iter("Coordinate")] == ["0", "1", "2"]
    assert all(g.get("PartOfGroup") in ("None", *names) for g in root.iter("Group", "Annotation"))
    assert all(len(g.get("Color")) == 7 for g in root.iter("Group", "Annotation"))
    assert all(g.find("Attributes") is not None for g in root.iter("Group"))


@pytest.mark.parametrize("name", ["camelyon17_patient_004_node_4.xml", "decimal_comma.xml"])
def test_real_files_round_trip(shared, tmp_path, name):
    annotations = read_asap(shared / "annotations" / name)
    write_asap(tmp_path / "a.xml", annotations)
    assert read_asap(tmp_path / "a.xml") == annotations


def test_decimal_commas_are_read_and_noted(shared):
    annotations = read_asap(shared / "annotations" / "decimal_comma.xml")
    assert annotations.annotations[0].points[0].tolist() == [543.020264, 335.044464]
    assert [f.code for f in annotations.findings] == ["decimal-comma"]


def test_points_stand_by_order(read):
    shuffled = (
        '<Coordinate Order="2" X="3" Y="3"/><Coordinate Order="0" X="1" Y="1"/>'
        '<Coordinate Order="1" X="2" Y="2"/>'
    )
    annotations = read(document(shuffled))
    assert annotations.annotations[0].points[:, 0].tolist() == [1, 2, 3]
    assert annotations.findings == ()
    gaps = shuffled.replace('"2" X', '"9" X').replace('"0" X', '"3" X').replace('"1" X', '"5" X')
    annotations = read(document(gaps))
    assert annotations.annotations[0].points[:, 0].tolist() == [1, 2, 3]
    assert [f.code for f in annotations.findings] == ["order"]


def test_defaults(read):
    (annotation,) = read(document(attributes='PartOfGroup="None"'))
    assert (annotation.color, annotation.group) == (DEFAULT_COLOR, None)
    annotations = read(document(attributes='PartOfGroup="None" Color="red"'))
    assert [f.code for f in annotations.findings] == ["color"]
    assert len(read("<ASAP_Annotations/>")) == 0
    assert len(read("<ASAP_Annotations><Annotations/><AnnotationGroups /></ASAP_Annotations>")) == 0


def test_an_unknown_group_is_defined_and_noted(read):
    annotations = read(document(attributes='PartOfGroup="Tumor"'))
    assert annotations.group_names == ("Tumor",)
    assert [f.code for f in annotations.findings] == ["unknown-group"]


AMBIGUOUS = [
    (document(TRIANGLE.replace('Order="1"', 'Order="0"')), "Order must be a different integer"),
    (document(TRIANGLE.replace('Order="1" ', "")), "a point without one"),
    (document(TRIANGLE.replace("9.5", "nine")), "point 1: X and Y must be a number, got 'nine'"),
    (document(TRIANGLE.replace("9.5", "nan")), "must be a number"),
    (document(TRIANGLE.replace("9.5", "1e300")), "must lie within"),
    (document(TRIANGLE.replace("9.5", "1,234.5")), "must be a number"),
    (document(TRIANGLE.replace(' X="9.5"', "")), "must be a number, got ''"),
    (
        document(groups='<Group Name="a" PartOfGroup="b"/><Group Name="b" PartOfGroup="a"/>'),
        "must not lie in itself",
    ),
]


@pytest.mark.parametrize(("text", "message"), AMBIGUOUS)
def test_what_cannot_be_understood_stops_or_is_noted(read, text, message):
    with pytest.raises(SclcError, match=message) as caught:
        read(text)
    assert "\n" not in str(caught.value)
    annotations = read(text, lenient=True)
    assert any(f.severity == "error" and message in f.message for f in annotations.findings)
    assert len(annotations) == 1


def test_other_documents_are_refused(read):
    for text, message in [
        ("<html></html>", "must be ASAP_Annotations, got 'html'"),
        ("not xml", "must be XML"),
        ("", "empty file"),
        ("<ASAP_Annotations>", "well-formed"),
        ("<ASAP_Annotations><Annotations><Annotation></ASAP_Annotations>", "well-formed"),
    ]:
        with pytest.raises(SclcError, match=message):
            read(text)


def holed():
    outline = [(2, 2), (40, 2), (40, 38), (2, 38)]
    holes = ([(8, 8), (18, 8), (18, 20), (8, 20)], [(22.5, 9), (30, 15), (24, 28)])
    island = [(10, 10), (15, 10), (15, 15)]
    return AnnotationSet(
        (
            Annotation("big", outline, holes=holes, group="Tumor"),
            Annotation("island", island, group="Tumor"),
        ),
        (AnnotationGroup("Tumor"),),
    )


@pytest.mark.parametrize("rule", ["asap", "centre"])
def test_holes_survive_as_cuts_in_any_mask(tmp_path, rule):
    path = tmp_path / "a.xml"
    assert write_asap(path, holed()) == ()
    again = read_asap(path)
    assert not any(a.holes for a in again)
    grid = Grid(44, 44)
    differs = rasterize(again, grid, rule=rule) != rasterize(holed(), grid, rule=rule)
    if rule == "centre":
        assert not differs.any()
    # For asap a hole of its own is strictly inside its own box; a cut is not.
    holes = [Annotation("hole", hole) for hole in holed().annotations[0].holes]
    inside = rasterize(AnnotationSet(tuple(holes)), grid, rule="centre") > 0
    rim = ndimage.binary_dilation(inside, np.ones((3, 3))) & ~ndimage.binary_erosion(inside)
    assert not (differs & ~rim).any()


def test_holes_as_a_group_need_labels(tmp_path):
    path = tmp_path / "a.xml"
    write_asap(path, holed(), holes="group")
    again = read_asap(path)
    assert again.group_names == ("Tumor", "Tumor holes")
    labels = LabelMap({"Tumor": 255, "Tumor holes": 0}, ("Tumor", "Tumor holes"))
    outer = AnnotationSet(holed().annotations[:1], holed().groups)
    np.testing.assert_array_equal(
        rasterize(again, Grid(44, 44), labels), rasterize(outer, Grid(44, 44))
    )


def test_lines_are_left_out_and_said(tmp_path):
    lines = AnnotationSet(
        (Annotation("two", [(0, 0), (5, 5)], "Line"), Annotation("three", [(0, 0)] * 3, "Line"))
    )
    lost = write_asap(tmp_path / "a.xml", lines)
    assert [f.where for f in lost] == ['annotation 1 "three"']
    assert [a.kind for a in read_asap(tmp_path / "a.xml")] == ["Measurement"]


def test_names_that_xml_cannot_hold_are_cleaned(tmp_path):
    odd = AnnotationSet(
        (Annotation("a\0b\x1bc\ud800", [(0, 0)], "Dot", group="g\x02"),),
        (AnnotationGroup("g\x02", attributes={"two words": "x\0", "1": "y"}),),
    )
    write_asap(tmp_path / "a.xml", odd)
    again = read_asap(tmp_path / "a.xml")
    assert again.annotations[0].name == "abc"
    assert again.groups[0].attributes == {"two_words": "x", "_": "y"}


def test_a_failed_write_leaves_nothing(tmp_path):
    (tmp_path / "folder.xml").mkdir()
    with pytest.raises(SclcError, match="cannot be written"):
        write_asap(tmp_path / "folder.xml", everything())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.xml"]
