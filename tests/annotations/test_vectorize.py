from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from paddleseg_sclc.annotations.asap import read_asap, write_asap
from paddleseg_sclc.annotations.crossings import crossings
from paddleseg_sclc.annotations.geojson import read_geojson, write_geojson
from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.keyhole import join_holes
from paddleseg_sclc.annotations.model import AnnotationSet, signed_area
from paddleseg_sclc.annotations.rasterize import rasterize
from paddleseg_sclc.annotations.trace import trace
from paddleseg_sclc.annotations.vectorize import vectorize

GROUPS = {255: "Tumour"}


def mask_of(text):
    rows = [line.strip() for line in text.strip().splitlines()]
    return np.array([[255 * (c == "#") for c in row] for row in rows], np.uint8)


def random_masks(seed, count):
    rng = np.random.default_rng(seed)
    for index in range(count):
        height, width = rng.integers(1, 30, 2)
        if index % 3:
            mask = rng.random((height, width)) < rng.random()
        else:  # blobs with holes and islands
            mask = np.abs(ndimage.gaussian_filter(rng.normal(size=(height, width)), 1.2)) > 0.15
        yield mask.astype(np.uint8) * 255


def random_grid(rng, mask):
    d = float(rng.choice([1, 1, 2, 1.5, 3.3, 16]))
    return Grid(
        mask.shape[1], mask.shape[0], float(rng.integers(-50, 90_000)), rng.uniform(-50, 500),
        d, float(rng.choice([d, 1, 2.5])), anchor=float(rng.choice([0, 0.5])),
    )  # fmt: skip


@pytest.mark.parametrize("rule", ["centre", "asap"])
def test_no_pixel_is_lost(rule):
    rng = np.random.default_rng(1)
    for mask in random_masks(0, 400):
        grid = random_grid(rng, mask)
        outlines = vectorize(mask, grid, GROUPS, rule)
        np.testing.assert_array_equal(rasterize(outlines, grid, rule=rule), mask)


def test_nor_through_files(tmp_path):
    for mask in random_masks(2, 25):
        grid = Grid(mask.shape[1], mask.shape[0], 1000, 2000, 4, 4)
        write_asap(tmp_path / "a.xml", vectorize(mask, grid, GROUPS, "asap"))
        again = read_asap(tmp_path / "a.xml")
        np.testing.assert_array_equal(rasterize(again, grid, rule="asap"), mask)
        write_geojson(tmp_path / "a.geojson", vectorize(mask, grid, GROUPS))
        again = read_geojson(tmp_path / "a.geojson")
        np.testing.assert_array_equal(rasterize(again, grid, rule="centre"), mask)


def test_outlines_placed_otherwise_lose_pixels_under_asap():
    """What the placing is for: along pixels' edges or half a pixel off, the mask differs."""
    mask = next(m for m in random_masks(7, 30) if min(m.shape) > 20)
    edges = vectorize(mask, Grid(mask.shape[1], mask.shape[0]), GROUPS)
    for shift in (0.0, 0.5):
        moved = AnnotationSet(
            tuple(replace(a, points=join_holes(a.points, a.holes) - shift, holes=()) for a in edges)
        )
        drawn = rasterize(moved, Grid(mask.shape[1], mask.shape[0]))
        assert (drawn != mask).sum() > 5


def test_outlines_for_asap_draw_the_mask_enlarged_at_level_0():
    """What ASAP itself, which knows level 0 only, makes of them."""
    for mask in random_masks(3, 60):
        grid = Grid(mask.shape[1], mask.shape[0], 100, 60, 5, 5)
        outlines = vectorize(mask, grid, GROUPS, "asap")
        full = rasterize(outlines, Grid(mask.shape[1] * 5, mask.shape[0] * 5, 100, 60))
        np.testing.assert_array_equal(full, np.kron(mask, np.ones((5, 5), np.uint8)))


@pytest.mark.parametrize(
    "shape",
    ["#", "####", "#\n#\n#", "#.\n.#", ".#\n#.", "#.#\n.#.\n#.#", "###\n#.#\n###"],
)
def test_thin_shapes_survive_under_asap(shape):
    mask = np.pad(mask_of(shape), 1)
    grid = Grid(mask.shape[1], mask.shape[0])
    outlines = vectorize(mask, grid, GROUPS, "asap")
    np.testing.assert_array_equal(rasterize(outlines, grid), mask)


def test_a_square_by_hand():
    mask = mask_of("....\n.##.\n.##.\n....")
    (region,) = trace(mask > 0)
    assert region.outline.tolist() == [[1, 1], [3, 1], [3, 3], [1, 3]]
    assert region.pixels == 4 and region.holes == ()
    (centre,) = vectorize(mask, Grid(4, 4, 100, 200, 8, 8), GROUPS)
    assert centre.points.tolist() == [[108, 208], [124, 208], [124, 224], [108, 224]]
    (asap,) = vectorize(mask, Grid(4, 4), GROUPS, "asap")
    assert asap.points.tolist() == [[0.5, 0.5], [2.5, 0.5], [2.5, 2.5], [0.5, 2.5]]


def test_rings_in_rings():
    mask = mask_of(
        """
        .........
        .#######.
        .#.....#.
        .#.###.#.
        .#.#.#.#.
        .#.###.#.
        .#.....#.
        .#######.
        .........
        """
    )
    outer, inner = trace(mask > 0)
    assert (outer.pixels, inner.pixels) == (24, 8)
    assert len(outer.holes) == len(inner.holes) == 1
    for rule in ("centre", "asap"):
        outlines = vectorize(mask, Grid(9, 9), GROUPS, rule)
        assert len(outlines) == 2
        np.testing.assert_array_equal(rasterize(outlines, Grid(9, 9), rule=rule), mask)


def test_outlines_are_simple_and_their_areas_add_up():
    for mask in random_masks(4, 150):
        regions = trace(mask > 0)
        assert sum(region.pixels for region in regions) == (mask > 0).sum()
        for region in regions:
            area = signed_area(region.outline) + sum(signed_area(h) for h in region.holes)
            assert area == region.pixels
            for ring in (region.outline, *region.holes):
                assert len(np.unique(ring, axis=0)) == len(ring) and crossings(ring) == []
                steps = np.roll(ring, -1, axis=0) - ring
                assert ((steps != 0).sum(axis=1) == 1).all()  # horizontal or vertical
                turns = steps * np.roll(steps, 1, axis=0)
                assert (turns == 0).all()  # a corner at each point


def test_bands_do_not_show(monkeypatch):
    from paddleseg_sclc.annotations import trace as module

    masks = list(random_masks(5, 40))
    whole = [trace(mask > 0) for mask in masks]
    monkeypatch.setattr(module, "_BAND", 3)
    for mask, regions in zip(masks, whole, strict=True):
        for one, two in zip(trace(mask > 0), regions, strict=True):
            np.testing.assert_array_equal(one.outline, two.outline)


def test_classes_become_groups():
    mask = np.zeros((12, 12), np.uint8)
    mask[1:5, 1:5], mask[6:9, 2:11], mask[10, 10] = 1, 2, 3
    groups = {1: "Tumour", 2: "Stroma"}
    outlines = vectorize(mask, Grid(12, 12), groups)
    assert outlines.group_names == ("Tumour", "Stroma")
    assert [(a.name, a.group) for a in outlines] == [("Tumour 0", "Tumour"), ("Stroma 0", "Stroma")]
    joined = vectorize(mask, Grid(12, 12), {1: "all", 2: "all", 3: "all"})
    assert joined.group_names == ("all",) and len(joined) == 3


def test_specks_and_tolerance():
    rng = np.random.default_rng(6)
    y, x = np.mgrid[:80, :80]
    mask = ((x - 40) ** 2 + (y - 40) ** 2 < 900) ^ (rng.random((80, 80)) < 0.01)
    mask = mask.astype(np.uint8) * 255
    grid = Grid(80, 80, downsample_x=10, downsample_y=10)
    clean = vectorize(mask, grid, GROUPS, min_pixels=20)
    assert len(clean) == 1 and clean.annotations[0].holes == ()
    simple = vectorize(mask, grid, GROUPS, min_pixels=20, tolerance=12)
    assert len(simple.annotations[0].points) < 0.5 * len(clean.annotations[0].points)
    drawn = [rasterize(s, grid, rule="centre") > 0 for s in (clean, simple)]
    assert (drawn[0] != drawn[1]).mean() < 0.02


def test_nothing_and_everything():
    for rule in ("centre", "asap"):
        assert len(vectorize(np.zeros((5, 7), np.uint8), Grid(7, 5), GROUPS, rule)) == 0
        full = np.full((5, 7), 255, np.uint8)
        outlines = vectorize(full, Grid(7, 5), GROUPS, rule)
        assert len(outlines) == 1 and len(outlines.annotations[0].points) == 4
        np.testing.assert_array_equal(rasterize(outlines, Grid(7, 5), rule=rule), full)


def test_arguments_are_checked():
    mask = np.zeros((5, 7), np.uint8)
    with pytest.raises(ValueError, match="must fit"):
        vectorize(mask, Grid(5, 7), GROUPS)
    with pytest.raises(ValueError, match="1 to 255"):
        vectorize(mask, Grid(7, 5), {0: "background"})
