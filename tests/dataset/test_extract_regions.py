import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddleseg_sclc.dataset.regions import TileLattice, box_region


def test_the_papers_box_by_hand():
    region = box_region(7, (1000.4, 2000.0, 1500.2, 2300.9), (9000, 9000), 100, 1024)
    assert region.bounds == (900, 1900, 1601, 2401)
    assert region.inner == (0, 0, 1024, 1024)
    assert region.downsample == (701 / 1024, 501 / 1024)
    assert region.name("case") == "case_a0007_x000900_y001900"


def test_the_box_ends_where_the_slide_does():
    region = box_region(0, (-50.0, 30.0, 40.0, 990.0), (500, 1000), 100, 64)
    assert region.bounds == (0, 0, 140, 1000)


def test_keeping_the_aspect_pads_on_both_sides():
    wide = box_region(0, (100, 100, 500, 300), (9000, 9000), 0, 1000, aspect=1.0)
    assert wide.inner == (0, 250, 1000, 500)
    assert wide.downsample == (0.4, 0.4)
    # Level-0 pixels twice as wide as high: the same box is four times as wide as high.
    squeezed = box_region(0, (100, 100, 500, 300), (9000, 9000), 0, 1000, aspect=2.0)
    assert squeezed.inner == (0, 375, 1000, 250)


@pytest.mark.parametrize("aspect", [None, 1.0])
def test_an_annotation_without_extent_still_has_a_box(aspect):
    region = box_region(0, (100.0, 100.0, 100.0, 140.0), (500, 500), 0, 64, aspect)
    assert (region.width_l0, region.height_l0) == (1, 40)
    assert min(region.inner[2:]) >= 1


@given(
    st.tuples(st.floats(-900, 900), st.floats(-900, 900), st.floats(0, 3000), st.floats(0, 3000)),
    st.integers(0, 300),
    st.booleans(),
)
def test_boxes_lie_on_the_slide_and_hold_their_annotation(box, border, keep):
    x0, y0, width, height = box
    bounds = (x0, y0, x0 + width, y0 + height)
    if bounds[2] < 0 or bounds[3] < 0:
        return
    region = box_region(0, bounds, (1000, 1200), border, 128, 1.0 if keep else None)
    left, upper, right, lower = region.bounds
    assert 0 <= left < right <= 1000
    assert 0 <= upper < lower <= 1200
    assert left <= max(0, x0) and right >= min(1000, bounds[2])
    assert upper <= max(0, y0) and lower >= min(1200, bounds[3])
    assert region.inner[0] + region.inner[2] <= 128
    if keep and min(region.inner[2:]) > 3:
        # A pixel is as wide as high, to the rounding of the inner part.
        assert region.downsample[0] / region.downsample[1] == pytest.approx(
            1, abs=0.6 / min(region.inner[2:])
        )


def test_a_lattice_covers_the_slide_once():
    lattice = TileLattice((1000, 700), 64, (2.5, 2.5))
    assert (lattice.columns, lattice.rows) == (7, 5)
    regions = [lattice.region(r, c, "tile") for r in range(5) for c in range(7)]
    assert regions[8].bounds == (160, 160, 320, 320)
    assert regions[-1].bounds[2:] == (1120, 800)


@given(
    st.floats(0.3, 7),
    st.lists(st.tuples(st.floats(-50, 999), st.floats(-50, 699), st.floats(0, 400)), max_size=4),
)
def test_touching_finds_every_tile_that_a_box_reaches(downsample, boxes):
    lattice = TileLattice((1000, 700), 64, (downsample, downsample))
    bounds = [(x, y, x + side, y + side) for x, y, side in boxes]
    found = lattice.touching(bounds)
    assert found == sorted(set(found))
    for row in range(lattice.rows):
        for column in range(lattice.columns):
            x0, y0, x1, y1 = lattice.region(row, column, "tile").bounds
            reached = any(a < x1 and c > x0 and b < y1 and d > y0 for a, b, c, d in bounds)
            assert not reached or (row, column) in found
