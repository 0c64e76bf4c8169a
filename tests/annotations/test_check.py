import numpy as np
import pytest

from paddleseg_sclc.annotations.asap import parse_asap, write_asap
from paddleseg_sclc.annotations.check import check_annotations
from paddleseg_sclc.annotations.crossings import crossings
from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.model import Annotation, AnnotationGroup, AnnotationSet
from paddleseg_sclc.annotations.rasterize import rasterize
from paddleseg_sclc.annotations.repair import repair_annotations

SIZE = (100, 80)
BOX = [(10, 10), (40, 10), (40, 40), (10, 40)]


def codes(*annotations, groups=(), size=SIZE):
    return [f.code for f in check_annotations(AnnotationSet(annotations, groups), size)]


def test_good_annotations_have_no_findings():
    assert codes(Annotation("a", BOX, group="g"), groups=(AnnotationGroup("g"),)) == []
    assert codes(Annotation("dot", [(5, 5)], "Dot"), Annotation("r", BOX, "Rectangle")) == []


@pytest.mark.parametrize(
    ("annotation", "code"),
    [
        (Annotation("two", BOX[:2]), "few-points"),
        (Annotation("none", np.empty((0, 2)), "Dot"), "points"),
        (Annotation("dots", BOX, "Dot"), "points"),
        (Annotation("five", [*BOX, (9, 9)], "Rectangle"), "points"),
        (Annotation("flat", [(1, 1), (5, 5), (9, 9)]), "no-area"),
        (Annotation("closed", [*BOX, BOX[0]]), "repeated-points"),
        (Annotation("bow", [(0, 0), (20, 20), (20, 0), (0, 30)]), "self-intersection"),
        (Annotation("far", np.array(BOX) + 200), "outside"),
        (Annotation("edge", np.array(BOX) - 20), "over-edge"),
        (Annotation("dot", [(-5, 5)], "Dot"), "outside"),
    ],
)
def test_each_fault_is_found(annotation, code):
    assert codes(annotation) == [code]


def test_copies_and_unused_groups_and_empty_files():
    assert codes(Annotation("a", BOX), Annotation("b", BOX)) == ["duplicate"]
    nested = (AnnotationGroup("unused"), AnnotationGroup("outer"), AnnotationGroup("g", "outer"))
    assert codes(Annotation("a", BOX, group="g"), groups=nested) == ["unused-group"]
    assert codes() == ["empty"]


def test_without_a_size_edges_are_left_out():
    assert codes(Annotation("far", np.array(BOX) + 200), size=None) == []


def brute_crossings(points):
    """All pairs of edges, by signs in exact integers."""
    n = len(points)
    p = [tuple(int(v) for v in point) for point in points]

    def side(a, b, c):
        return np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))

    found = []
    for i in range(n):
        for j in range(i + 1, n):
            a, b, c, d = p[i], p[(i + 1) % n], p[j], p[(j + 1) % n]
            if side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0:
                found.append((i, j))
    return found


def test_crossings_equal_all_pairs():
    rng = np.random.default_rng(0)
    for _ in range(200):
        points = rng.integers(0, 30, (int(rng.integers(3, 25)), 2)).astype(float)
        assert [(c.first, c.second) for c in crossings(points)] == brute_crossings(points)


def test_where_an_outline_crosses_itself():
    (crossing,) = crossings(np.array([(0, 0), (10, 10), (10, 0), (0, 10)], float))
    assert (crossing.first, crossing.second, crossing.x, crossing.y) == (0, 2, 5, 5)


def test_a_long_outline_is_checked_in_time():
    turn = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    radius = 20_000 + 3000 * np.sin(9 * turn) + np.random.default_rng(1).normal(0, 0.1, len(turn))
    points = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)
    assert crossings(points) == []


def xml(text):
    return parse_asap(text.encode(), "a.xml", lenient=True)


FAULTY = """<ASAP_Annotations><Annotations>
 <Annotation Name="comma" Type="Polygon" PartOfGroup="Lost" Color="#F4FA58"><Coordinates>
  <Coordinate Order="3" X="10,5" Y="10"/><Coordinate Order="5" X="40" Y="10"/>
  <Coordinate Order="9" X="40" Y="40"/><Coordinate Order="12" X="40" Y="40"/>
  </Coordinates></Annotation>
 <Annotation Name="edge" Type="Polygon" PartOfGroup="None" Color="#F4FA58"><Coordinates>
  <Coordinate Order="0" X="-20" Y="20"/><Coordinate Order="1" X="30" Y="-15"/>
  <Coordinate Order="2" X="120" Y="50"/><Coordinate Order="3" X="30" Y="95"/>
  </Coordinates></Annotation>
 <Annotation Name="two" Type="Polygon" PartOfGroup="None" Color="#F4FA58"><Coordinates>
  <Coordinate Order="0" X="1" Y="2"/><Coordinate Order="1" X="3" Y="4"/></Coordinates></Annotation>
 <Annotation Name="broken" Type="Polygon" PartOfGroup="None" Color="#F4FA58"><Coordinates>
  <Coordinate Order="0" X="60" Y="60"/><Coordinate Order="1" X="x" Y="4"/>
  <Coordinate Order="2" X="70" Y="60"/><Coordinate Order="3" X="65" Y="70"/>
  </Coordinates></Annotation>
</Annotations><AnnotationGroups/></ASAP_Annotations>"""


def test_a_repair_says_what_it_did_and_leaves_nothing_to_find(tmp_path):
    annotations = xml(FAULTY)
    found = {f.code for f in check_annotations(annotations, SIZE)}
    assert found >= {"decimal-comma", "order", "unknown-group", "repeated-points", "over-edge",
                     "few-points", "coordinate"}  # fmt: skip
    mended, changes = repair_annotations(annotations, SIZE)
    assert [a.name for a in mended] == ["comma", "edge", "broken"]
    for name in ("comma", "edge", "two", "broken"):
        assert any(f'"{name}"' in change for change in changes)
    write_asap(tmp_path / "b.xml", mended)
    again = parse_asap((tmp_path / "b.xml").read_bytes(), "b.xml")
    assert check_annotations(again, SIZE) == []
    # What is on the slide is drawn as before.
    before, after = (rasterize(a, Grid(*SIZE), rule="centre") for a in (annotations, again))
    np.testing.assert_array_equal(before, after)


def test_repairing_what_is_whole_changes_nothing():
    whole = AnnotationSet((Annotation("a", BOX, group="g"),), (AnnotationGroup("g"),))
    assert repair_annotations(whole, SIZE) == (whole, [])


def test_slips_of_the_hand_are_cut_off_and_large_loops_stay():
    turn = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    circle = 40 + 30 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    slip = np.insert(circle, [61] * 3, circle[60] + [(2, 2), (0, 2), (2, 0)], axis=0)
    slipped = AnnotationSet((Annotation("a", slip),))
    assert crossings(slip)
    mended, changes = repair_annotations(slipped, SIZE)
    assert crossings(mended.annotations[0].points) == [] and len(changes) == 1
    assert mended.annotations[0].area == pytest.approx(np.pi * 900, rel=2e-3)

    eight = AnnotationSet((Annotation("8", [(0, 0), (40, 40), (40, 0), (0, 40)]),))
    assert repair_annotations(eight, SIZE) == (eight, [])


def test_copies_go_and_dots_outside_too():
    annotations = AnnotationSet(
        (
            Annotation("a", BOX),
            Annotation("b", BOX),
            Annotation("out", [(-9, 0)], "Dot"),
            Annotation("some", [(5, 5), (500, 5)], "PointSet"),
        )
    )
    mended, changes = repair_annotations(annotations, SIZE)
    assert [a.name for a in mended] == ["a", "some"] and len(changes) == 3
    assert mended.annotations[1].points.tolist() == [[5, 5]]


def test_cutting_off_at_the_edges_keeps_what_is_on_the_slide():
    rng = np.random.default_rng(2)
    for _ in range(100):
        points = rng.uniform(-60, 160, (int(rng.integers(3, 12)), 2))
        annotations = AnnotationSet((Annotation("a", points),))
        mended, _ = repair_annotations(annotations, SIZE)
        for annotation in mended:
            assert (annotation.points >= 0).all() and (annotation.points <= SIZE).all()
        before = rasterize(annotations, Grid(*SIZE), rule="centre")
        after = rasterize(mended, Grid(*SIZE), rule="centre")
        # Slips are cut off too: at most one part in a hundred of the outline's area a slip.
        assert (before != after).sum() <= 0.05 * max(annotations.annotations[0].area, 400)
