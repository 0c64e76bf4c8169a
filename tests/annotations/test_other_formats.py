import numpy as np
import pytest

from paddleseg_sclc.annotations.formats import read_annotations, write_annotations
from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.imagescope import read_imagescope, write_imagescope
from paddleseg_sclc.annotations.model import Annotation, AnnotationGroup, AnnotationSet
from paddleseg_sclc.annotations.ndpa import SlideFrame, read_ndpa, write_ndpa
from paddleseg_sclc.annotations.rasterize import rasterize
from paddleseg_sclc.errors import SclcError, UsageError

FRAME = SlideFrame(4000, 3000, 0.5, 0.25, offset_x_nm=100_000, offset_y_nm=-50_000)


@pytest.fixture
def write(tmp_path):
    def write_text(text, name="a.xml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_text


def test_the_real_ndpa(shared):
    annotations = read_ndpa(shared / "annotations" / "mixed.ndpa", FRAME)
    assert [(a.kind, a.name, a.color) for a in annotations] == [
        ("Polygon", "Tumor", "#FF0000"),
        ("Line", "Margin", "#00FF00"),
        ("Dot", "Review here", "#0000FF"),
    ]
    assert [f.code for f in annotations.findings] == ["unknown-type"]
    # (-350000 nm - 100000 nm) / 500 nm + 2000 px; (-500000 nm + 50000 nm) / 250 nm + 1500 px.
    assert annotations.annotations[0].points[0].tolist() == [1100, -300]
    assert annotations.annotations[2].points.tolist() == [[1900, -700]]


def test_a_frame_goes_there_and_back():
    points = np.random.default_rng(0).uniform(-100, 5000, (50, 2))
    np.testing.assert_allclose(FRAME.to_pixels(FRAME.to_nanometres(points)), points, atol=1e-9)
    assert FRAME.to_nanometres(np.array([[2000.0, 1500.0]])).tolist() == [[100_000, -50_000]]
    with pytest.raises(ValueError):
        SlideFrame(0, 10, 0.5, 0.5)


def test_ndpa_shapes(write):
    text = """<annotations>
      <ndpviewstate id="1"><title>round</title>
        <annotation type="circle" color="#010203"><x>0</x><y>0</y><radius>250000</radius>
        </annotation>
      </ndpviewstate>
      <ndpviewstate id="2"><title>box</title>
        <annotation type="freehand" color="#000000"><closed>1</closed>
          <specialtype>rectangle</specialtype><pointlist>
          <point><x>0</x><y>0</y></point><point><x>10</x><y>0</y></point>
          <point><x>10</x><y>10</y></point><point><x>0</x><y>10</y></point></pointlist>
        </annotation></ndpviewstate>
      <ndpviewstate id="3"><title>ruler</title>
        <annotation type="linearmeasure"><x1>0</x1><y1>0</y1><x2>5</x2><y2>5</y2></annotation>
      </ndpviewstate></annotations>"""
    frame = SlideFrame(2000, 2000, 0.5, 0.5)
    circle, box, ruler = read_ndpa(write(text), frame)
    assert circle.kind == "Polygon"
    assert circle.area == pytest.approx(np.pi * 500**2, rel=1e-3)
    assert (box.kind, ruler.kind) == ("Rectangle", "Measurement")


def shapes():
    return AnnotationSet(
        (
            Annotation("area", [(1, 2), (30.25, 2), (30, 28), (2, 30)], object_id="1"),
            Annotation("box", [(1, 2), (30, 2), (30, 28), (1, 28)], "Rectangle", object_id="2"),
            Annotation("open", [(1, 2), (30, 2), (30, 28)], "Line", object_id="3"),
            Annotation("pin", [(7, 7)], "Dot", object_id="4"),
            Annotation("ruler", [(7, 7), (9, 9)], "Measurement", object_id="5"),
        )
    )


def test_ndpa_round_trip_to_the_nanometre(tmp_path):
    path = tmp_path / "a.ndpa"
    assert write_ndpa(path, shapes(), FRAME) == ()
    again = read_ndpa(path, FRAME)
    assert again.findings == ()
    for one, two in zip(shapes(), again, strict=True):
        assert (one.name, one.kind, one.color, one.object_id) == (
            two.name, two.kind, two.color, two.object_id,
        )  # fmt: skip
        np.testing.assert_allclose(one.points, two.points, atol=0.0021)  # 0.5 nm of 250 nm
    write_ndpa(tmp_path / "b.ndpa", again, FRAME)
    assert (tmp_path / "b.ndpa").read_bytes() == path.read_bytes()


def test_ndpa_has_neither_groups_nor_holes(tmp_path):
    hole = [(10, 10), (20, 10), (20, 20)]
    annotations = AnnotationSet(
        (Annotation("a", [(0, 0), (40, 0), (40, 40), (0, 40)], holes=(hole,), group="g"),),
        (AnnotationGroup("g"),),
    )
    frame = SlideFrame(1000, 1000, 1, 1)
    lost = write_ndpa(tmp_path / "a.ndpa", annotations, frame)
    assert [f.code for f in lost] == ["group"]
    again = read_ndpa(tmp_path / "a.ndpa", frame)
    np.testing.assert_array_equal(
        rasterize(again, Grid(50, 50), rule="centre"),
        rasterize(annotations, Grid(50, 50), rule="centre"),
    )


def test_malformed_ndpa(write):
    text = (
        "<annotations><ndpviewstate id='1'><title>t</title><annotation type='pin'>"
        "<x>1</x><y>{}</y></annotation></ndpviewstate></annotations>"
    )
    assert len(read_ndpa(write(text.format(5)), FRAME)) == 1
    for bad in ("", "x", "1e30"):
        with pytest.raises(SclcError, match='view 0 "t": y must'):
            read_ndpa(write(text.format(bad)), FRAME)
        assert len(read_ndpa(write(text.format(bad)), FRAME, lenient=True)) == 0
    with pytest.raises(SclcError, match="must be annotations"):
        read_ndpa(write("<ASAP_Annotations/>"), FRAME)


IMAGESCOPE = """<Annotations MicronsPerPixel="0.499">
  <Annotation Id="1" Name="Tumor" LineColor="65280"><Attributes>
      <Attribute Name="Description" Id="0" Value="by hand"/></Attributes>
    <Regions><RegionAttributeHeaders/>
      <Region Id="1" Type="0" Text="main" NegativeROA="0"><Vertices>
        <Vertex X="0" Y="0" Z="0"/><Vertex X="40" Y="0"/><Vertex X="40" Y="40"/>
        <Vertex X="0" Y="40,5"/></Vertices></Region>
      <Region Id="2" Type="0" NegativeROA="1"><Vertices>
        <Vertex X="10" Y="10"/><Vertex X="20" Y="10"/><Vertex X="20" Y="20"/></Vertices></Region>
      <Region Id="3" Type="2" Text=""><Vertices>
        <Vertex X="50" Y="50"/><Vertex X="90" Y="70"/></Vertices></Region>
      <Region Id="4" Type="3"><Vertices><Vertex X="1" Y="1"/></Vertices></Region>
      <Region Id="5" Type="0" NegativeROA="1"><Vertices>
        <Vertex X="900" Y="900"/><Vertex X="910" Y="900"/><Vertex X="910" Y="910"/>
        </Vertices></Region>
    </Regions></Annotation>
  <Annotation Id="2" Name="" LineColor="255"><Regions>
      <Region Id="1" Type="1"><Vertices><Vertex X="5" Y="9"/><Vertex X="1" Y="2"/>
        </Vertices></Region>
    </Regions></Annotation>
</Annotations>"""


def test_imagescope(write):
    annotations = read_imagescope(write(IMAGESCOPE))
    assert annotations.groups == (
        AnnotationGroup("Tumor", color="#00FF00", attributes={"Description": "by hand"}),
        AnnotationGroup("Layer 2", color="#FF0000"),
    )
    main, ellipse, box = annotations
    assert (main.name, main.group, len(main.holes)) == ("main", "Tumor", 1)
    assert main.points[3].tolist() == [0, 40.5]
    assert ellipse.area == pytest.approx(np.pi * 20 * 10, rel=1e-3)
    assert box.points.tolist() == [[1, 2], [5, 2], [5, 9], [1, 9]]
    assert [f.code for f in annotations.findings] == ["unknown-type", "hole"]


def test_imagescope_round_trip(write, tmp_path):
    annotations = read_imagescope(write(IMAGESCOPE))
    assert write_imagescope(tmp_path / "b.xml", annotations, mpp=0.499) == ()
    again = read_imagescope(tmp_path / "b.xml")
    assert again.groups == annotations.groups
    for one, two in zip(annotations, again, strict=True):
        assert (one.name, one.kind, one.group) == (two.name, two.kind, two.group)
        np.testing.assert_array_equal(one.points, two.points)
        assert len(one.holes) == len(two.holes)
    lost = write_imagescope(tmp_path / "c.xml", shapes())
    assert [f.where for f in lost] == ['annotation 3 "pin"']


def test_the_content_says_which_format_it_is(write, tmp_path):
    path = write(IMAGESCOPE, "no_suffix_at_all")
    assert len(read_annotations(path)) == 3
    with pytest.raises(SclcError, match="must be ASAP_Annotations"):
        read_annotations(write("<svg/>"))
    with pytest.raises(UsageError, match="pass --slide"):
        read_annotations(write("<annotations/>"))


def test_the_suffix_says_what_is_written(tmp_path):
    for name, start in [
        ("a.xml", b"<?xml"), ("a.geojson", b"{"), ("a.JSON", b"{"), ("a.ndpa", b"<?xml"),
    ]:  # fmt: skip
        write_annotations(tmp_path / name, shapes(), frame=FRAME)
        assert (tmp_path / name).read_bytes().startswith(start)
        assert len(read_annotations(tmp_path / name, FRAME)) >= 4
    with pytest.raises(UsageError, match=r"must end in .xml"):
        write_annotations(tmp_path / "a.txt", shapes())
    with pytest.raises(UsageError, match="pass --slide"):
        write_annotations(tmp_path / "b.ndpa", shapes())
    assert not (tmp_path / "b.ndpa").exists()
