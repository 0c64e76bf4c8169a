import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddleseg_sclc.demo.layout import KINDS, Shape, furnish, random_layout, random_shape


def rng(*seed):
    return np.random.Generator(np.random.PCG64(list(seed)))


def test_a_circle():
    circle = Shape("tumour", 10.0, 20.0, 5.0)
    depth = circle.depth(np.array([10.0, 15.0, 10.0, 18.0]), np.array([20.0, 20.0, 27.0, 20.0]))
    np.testing.assert_allclose(depth, [5, 0, -2, -3], atol=1e-6)
    assert circle.reach == 5


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.floats(10, 900), st.floats(0.0, 0.25))
def test_outline_has_depth_zero_and_lies_within_reach(seed, radius, rough):
    shape = random_shape(rng(seed), "tumour", 100.0, -50.0, radius, rough)
    points = shape.outline(97)
    np.testing.assert_allclose(shape.depth(points[:, 0], points[:, 1]), 0, atol=1e-6 * radius)
    assert np.hypot(*(points - [100, -50]).T).max() <= shape.reach + 1e-6
    assert shape.depth(np.array([100.0]), np.array([-50.0])) > 0


def test_a_seed_gives_one_layout():
    assert random_layout(rng(4), 1000, 800) == random_layout(rng(4), 1000, 800)
    assert random_layout(rng(4), 1000, 800) != random_layout(rng(5), 1000, 800)


def test_layouts_hold_tumour_and_what_is_as_dark():
    layouts = [random_layout(rng(seed), 1000, 1000) for seed in range(40)]
    kinds = [shape.kind for layout in layouts for shape in layout.shapes]
    assert set(kinds) <= set(KINDS)
    assert all(layout.of("tumour") for layout in layouts)
    for kind in ("lymphoid", "cartilage", "gland", "bronchus", "vessel", "lung", "glass"):
        assert kinds.count(kind) >= 5


def test_a_larger_box_has_more_but_not_in_proportion():
    small = np.mean([len(furnish(rng(seed), 1000, 1000)) for seed in range(40)])
    large = np.mean([len(furnish(rng(seed), 4000, 4000)) for seed in range(40)])
    assert small == pytest.approx(7.2, abs=1.5)
    assert 5 * small < large < 12 * small
