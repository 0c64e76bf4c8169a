import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddleseg_sclc.slides.tiling import Edge, grid_tiles, tile_starts


@pytest.mark.parametrize(
    ("edge", "expected"),
    [(Edge.OVERHANG, [0, 4, 8]), (Edge.SHIFT, [0, 4, 6]), (Edge.DROP, [0, 4])],
)
def test_the_three_edges_by_hand(edge, expected):
    assert tile_starts(10, 4, edge=edge) == expected
    assert tile_starts(8, 4, edge=edge) == [0, 4]


@pytest.mark.parametrize(
    ("edge", "expected"), [(Edge.OVERHANG, [0]), (Edge.SHIFT, [0]), (Edge.DROP, [])]
)
def test_an_axis_shorter_than_a_tile(edge, expected):
    assert tile_starts(3, 4, edge=edge) == expected


def test_overlapping_tiles_stop_once_the_axis_is_covered():
    assert tile_starts(10, 4, 3) == [0, 3, 6]
    assert tile_starts(11, 4, 3) == [0, 3, 6, 9]
    assert tile_starts(11, 4, 3, Edge.SHIFT) == [0, 3, 6, 7]


@given(
    length=st.integers(1, 300),
    tile=st.integers(1, 60),
    step=st.integers(1, 60),
    edge=st.sampled_from([Edge.OVERHANG, Edge.SHIFT]),
)
def test_every_pixel_is_covered_and_none_twice_without_overlap(length, tile, step, edge):
    step = min(step, tile)
    starts = tile_starts(length, tile, step, edge)
    count = np.zeros(max(length, starts[-1] + tile), int)
    for start in starts:
        count[start : start + tile] += 1
    assert (count[:length] >= 1).all()
    assert starts == sorted(set(starts))
    assert starts[-1] < length
    if edge is Edge.SHIFT:
        assert starts[-1] + tile <= max(length, tile)
    elif step == tile:
        assert count.max() == 1
    # Without the last tile the axis would not be covered.
    assert len(starts) == 1 or starts[-2] + tile < length


def test_grid_goes_row_by_row():
    tiles = [(t.row, t.column, t.x, t.y) for t in grid_tiles(5, 4, 3)]
    assert tiles == [(0, 0, 0, 0), (0, 1, 3, 0), (1, 0, 0, 3), (1, 1, 3, 3)]


@pytest.mark.parametrize("bad", [(0, 4, 4), (4, 0, 4), (4, 4, 0)])
def test_lengths_must_be_positive(bad):
    with pytest.raises(ValueError, match="at least 1"):
        tile_starts(*bad)
