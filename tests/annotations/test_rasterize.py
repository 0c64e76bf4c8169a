import itertools

import numpy as np
import plain_raster as plain
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddleseg_sclc.annotations import rasterize as module
from paddleseg_sclc.annotations.asap import read_asap
from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.labels import LabelMap
from paddleseg_sclc.annotations.model import Annotation, AnnotationGroup, AnnotationSet
from paddleseg_sclc.annotations.rasterize import MaskRaster, rasterize

SIDE = 40
SQUARE = [(2.0, 3.0), (6.0, 3.0), (6.0, 8.0), (2.0, 8.0)]


def one(points, **fields):
    return AnnotationSet((Annotation("a", np.asarray(points, float), **fields),))


def grids(rng):
    """Grids of every kind over a field of SIDE pixels."""
    yield Grid(SIDE, SIDE)
    d = float(rng.choice([2, 3, 1.7, 4.3]))
    yield Grid.of_slide(SIDE, SIDE, d)
    x, y = rng.uniform(-9, 9, 2)
    yield Grid(17, 23, x, y, *rng.uniform(0.4, 3, 2), anchor=float(rng.choice([0, 0.5])))


def assert_exact(points, grid):
    annotations = one(points)
    xs, ys = grid.x_corners(), grid.y_corners()
    got = rasterize(annotations, grid, rule="asap") == 255
    np.testing.assert_array_equal(got, plain.asap_mask(points, xs, ys))
    if len(points) < 3:
        return
    xs, ys = grid.x_centres(), grid.y_centres()
    for winding in ("nonzero", "evenodd"):
        got = rasterize(annotations, grid, rule="centre", winding=winding) == 255
        np.testing.assert_array_equal(got, plain.centre_mask(points, xs, ys, winding))


def random_polygons_are_exact(seed, count):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        points = plain.random_polygon(rng, SIDE)
        for grid in grids(rng):
            assert_exact(points, grid)


def test_equals_the_plain_rules_on_random_polygons():
    random_polygons_are_exact(seed=1, count=700)


@pytest.mark.slow
def test_equals_the_plain_rules_on_10000_random_polygons():
    random_polygons_are_exact(seed=2, count=10_000)


def test_the_plain_masks_equal_the_plain_pixels():
    rng = np.random.default_rng(3)
    for _ in range(25):
        points = plain.random_polygon(rng, 12)
        if len(points) < 3:
            continue
        corners, centres = np.arange(12.0), np.arange(12) + 0.5
        for y, x in itertools.product(range(12), range(12)):
            assert plain.asap_mask(points, corners, corners)[y, x] == plain.asap_pixel(points, x, y)
            for winding in ("nonzero", "evenodd"):
                expected = plain.centre_pixel(points.tolist(), x + 0.5, y + 0.5, winding)
                assert plain.centre_mask(points, centres, centres, winding)[y, x] == expected


@pytest.mark.parametrize("name", ["camelyon17_patient_004_node_4.xml", "decimal_comma.xml"])
@pytest.mark.parametrize("downsample", [1, 4, 3.7])
def test_equals_the_plain_rules_on_real_files(shared, name, downsample):
    annotations = read_asap(shared / "annotations" / name)
    for annotation in annotations:
        x0, y0, x1, y1 = annotation.bounds
        part = AnnotationSet((annotation,))
        grid = Grid.of_region(
            x0 // 1 - 5,
            y0 // 1 - 5,
            (x1 - x0) // 1 + 11,
            (y1 - y0) // 1 + 11,
            (int((x1 - x0 + 11) / downsample), int((y1 - y0 + 11) / downsample)),
        )
        expected = plain.asap_mask(annotation.points, grid.x_corners(), grid.y_corners())
        assert expected.any()
        np.testing.assert_array_equal(rasterize(part, grid) == 255, expected)
        expected = plain.centre_mask(annotation.points, grid.x_centres(), grid.y_centres())
        np.testing.assert_array_equal(rasterize(part, grid, rule="centre") == 255, expected)


def test_a_square_by_hand():
    grid = Grid(10, 10)
    # asap: corners strictly inside the box: x 3..5, y 4..7.
    expected = np.zeros((10, 10), np.uint8)
    expected[4:8, 3:6] = 255
    np.testing.assert_array_equal(rasterize(one(SQUARE), grid), expected)
    # centre: the pixels it covers.
    expected = np.zeros((10, 10), np.uint8)
    expected[3:8, 2:6] = 255
    np.testing.assert_array_equal(rasterize(one(SQUARE), grid, rule="centre"), expected)


def test_asap_does_not_count_an_edge_within_a_cross_product_of_one():
    # The left edge is 0.5 high: a corner 1.9 to its right has cross product 0.95, at 2 it has 1.
    points = [(0.1, 0.75), (9.5, 0.75), (9.5, 1.25), (0.1, 1.25)]
    row = rasterize(one(points), Grid(12, 3))[1]
    assert np.flatnonzero(row).tolist() == [3, 4, 5, 6, 7, 8, 9]


def test_even_odd_leaves_the_middle_of_a_pentagram_empty():
    angle = np.arange(5) * 4 * np.pi / 5
    star = 50 + 40 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    grid = Grid(100, 100)
    full = rasterize(one(star), grid, rule="centre")
    odd = rasterize(one(star), grid, rule="centre", winding="evenodd")
    assert full[50, 50] == 255 and odd[50, 50] == 0
    assert (odd <= full).all() and 0 < odd.sum() < full.sum()


def test_outlines_with_a_common_edge_share_no_pixel_and_leave_none_out():
    rng = np.random.default_rng(4)
    for _ in range(50):
        chain = np.sort(rng.uniform(0, SIDE, 8))
        cut = np.stack([rng.uniform(5, SIDE - 5, 8), chain], axis=1)
        cut[0, 1], cut[-1, 1] = 0, SIDE
        left = np.concatenate([cut, [(0, SIDE), (0, 0)]])
        right = np.concatenate([cut[::-1], [(SIDE, 0), (SIDE, SIDE)]])
        grid = Grid.of_slide(SIDE, SIDE, float(rng.choice([1, 0.5, 1.3])))
        grid = Grid(
            int(SIDE / grid.downsample_x),
            int(SIDE / grid.downsample_x),
            0,
            0,
            grid.downsample_x,
            grid.downsample_y,
        )
        both = [rasterize(one(p), grid, rule="centre") // 255 for p in (left, right)]
        assert (both[0] + both[1] == 1).all()


def test_a_lower_level_is_the_full_mask_subsampled_for_asap():
    points = np.random.default_rng(5).uniform(-10, 220, (30, 2))
    full = rasterize(one(points), Grid.of_slide(203, 207))
    for d in (2, 4, 7):
        np.testing.assert_array_equal(
            rasterize(one(points), Grid.of_slide(203, 207, d)), full[::d, ::d]
        )
    d = 2.6
    index = np.floor(np.arange(int(np.ceil(203 / d))) * d).astype(int)
    rows = np.floor(np.arange(int(np.ceil(207 / d))) * d).astype(int)
    np.testing.assert_array_equal(
        rasterize(one(points), Grid.of_slide(203, 207, d)), full[np.ix_(rows, index)]
    )
    assert full.any() and not full.all()


@pytest.mark.parametrize("rule", ["asap", "centre"])
def test_windows_and_bands_are_parts_of_the_whole(rule, monkeypatch):
    monkeypatch.setattr(module, "BAND", 7)
    monkeypatch.setattr(module, "MAX_CROSSINGS", 30)
    rng = np.random.default_rng(6)
    annotations = AnnotationSet(
        tuple(
            Annotation(str(i), plain.random_polygon(rng, 90), group="ab"[i % 2]) for i in range(12)
        ),
        (AnnotationGroup("a"), AnnotationGroup("b")),
    )
    labels = LabelMap({"a": 3, "b": 5}, ("b", "a"))
    grid = Grid.of_slide(101, 97, 1.1)
    raster = MaskRaster(annotations, grid, labels, rule)
    whole = rasterize(annotations, grid, labels, rule)
    assert set(np.unique(whole)) == {0, 3, 5}
    for _ in range(20):
        x0, x1 = np.sort(rng.choice(grid.width + 1, 2, replace=False))
        y0, y1 = np.sort(rng.choice(grid.height + 1, 2, replace=False))
        window = raster.window(int(x0), int(y0), int(x1 - x0), int(y1 - y0))
        np.testing.assert_array_equal(window, whole[y0:y1, x0:x1])
    np.testing.assert_array_equal(np.concatenate([b for _, b in raster.bands(16)]), whole)


def painted(annotations, order, grid, rule):
    """Draw one annotation at a time by the plain rules; `order` is (index, value) pairs."""
    xs, ys = (
        (grid.x_corners(), grid.y_corners())
        if rule == "asap"
        else (grid.x_centres(), grid.y_centres())
    )
    mask = np.zeros((grid.height, grid.width), np.uint8)
    draw = plain.asap_mask if rule == "asap" else plain.centre_mask
    for index, value in order:
        annotation = annotations.annotations[index]
        inside = draw(annotation.points, xs, ys)
        for hole in annotation.holes:
            inside &= ~draw(hole, xs, ys)
        mask[inside] = value
    return mask


@pytest.mark.parametrize("rule", ["asap", "centre"])
def test_many_annotations_with_holes_and_orders(rule):
    rng = np.random.default_rng(7)
    grid = Grid(SIDE, SIDE)
    for _ in range(60):
        polygons = [
            Annotation(
                "abc"[int(rng.integers(3))],
                np.concatenate([plain.random_polygon(rng, SIDE), rng.uniform(0, SIDE, (3, 2))]),
                holes=tuple(
                    np.concatenate([plain.random_polygon(rng, SIDE), rng.uniform(0, SIDE, (3, 2))])
                    for _ in range(int(rng.integers(3)))
                ),
            )
            for _ in range(int(rng.integers(1, 7)))
        ]
        annotations = AnnotationSet(tuple(polygons))
        everything = [(i, 255) for i in range(len(polygons))]
        np.testing.assert_array_equal(
            rasterize(annotations, grid, rule=rule), painted(annotations, everything, grid, rule)
        )
        labels = LabelMap({"a": 7, "b": 0, "c": 9}, ("c", "b", "a"))
        order = [
            (i, labels.values[name])
            for name in labels.order
            for i, p in enumerate(polygons)
            if p.name == name
        ]
        np.testing.assert_array_equal(
            rasterize(annotations, grid, labels, rule), painted(annotations, order, grid, rule)
        )
        greatest = LabelMap({"a": 7, "c": 9})
        order = sorted(
            ((i, {"a": 7, "c": 9}.get(p.name, 0)) for i, p in enumerate(polygons)),
            key=lambda pair: pair[1],
        )
        expected = painted(annotations, [p for p in order if p[1]], grid, rule)
        np.testing.assert_array_equal(rasterize(annotations, grid, greatest, rule), expected)


def test_kinds_that_are_filled():
    for kind in ("Polygon", "Rectangle", "Spline", "None"):
        for rule in ("asap", "centre"):
            assert rasterize(one(SQUARE, kind=kind), Grid(9, 9), rule=rule).any()
    for kind in ("PointSet", "Measurement"):
        assert rasterize(one(SQUARE, kind=kind), Grid(9, 9)).any()
        assert not rasterize(one(SQUARE, kind=kind), Grid(9, 9), rule="centre").any()
    for kind in ("Dot", "Line"):
        for rule in ("asap", "centre"):
            assert not rasterize(one(SQUARE, kind=kind), Grid(9, 9), rule=rule).any()


def test_nothing_to_draw():
    for rule in ("asap", "centre"):
        assert not rasterize(AnnotationSet(), Grid(5, 4), rule=rule).any()
        assert not rasterize(one([(100.0, 100.0)] * 3), Grid(5, 4), rule=rule).any()
        assert not rasterize(one(np.empty((0, 2))), Grid(5, 4), rule=rule).any()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(-(2.0**24), 2.0**24, width=32), st.floats(-(2.0**24), 2.0**24, width=32)
        ),
        min_size=3,
        max_size=8,
    )
)
def test_extreme_coordinates(points):
    assert_exact(np.array(points), Grid(13, 11, -3.0, 5.0))


def test_arguments_are_checked():
    grid = Grid(4, 4)
    with pytest.raises(ValueError, match="winding number"):
        rasterize(one(SQUARE), grid, winding="evenodd")
    with pytest.raises(ValueError, match="unknown"):
        rasterize(one(SQUARE), grid, rule="opencv")
    with pytest.raises(ValueError, match="within the mask"):
        MaskRaster(one(SQUARE), grid).window(2, 0, 3, 1)
    with pytest.raises(ValueError, match="downsample"):
        Grid(4, 4, downsample_x=0)
