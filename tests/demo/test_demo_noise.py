import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddleseg_sclc.demo.noise import (
    hash_unit,
    interpolate,
    lookup,
    smooth_noise,
    voronoi_walls,
)


def test_hash_is_uniform_and_channels_and_seeds_are_independent():
    ix, iy = np.arange(-150, 150)[None, :], np.arange(-150, 150)[:, None]
    one = hash_unit(1, ix, iy, 0)
    assert one.dtype == np.float32
    assert one.min() >= 0
    assert one.max() < 1
    assert one.mean() == pytest.approx(0.5, abs=0.005)
    assert one.std() == pytest.approx(np.sqrt(1 / 12), abs=0.005)
    for other in (hash_unit(1, ix, iy, 1), hash_unit(2, ix, iy, 0), np.roll(one, 1, 0), one.T):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.02


def test_hash_depends_on_the_position_alone():
    ix, iy = np.arange(10)[None, :], np.arange(8)[:, None]
    assert np.array_equal(hash_unit(3, ix, iy, 2)[3:, 4:], hash_unit(3, ix[:, 4:], iy[3:], 2))


@given(
    st.floats(-5, 5),
    st.floats(-5, 5),
    st.floats(-3, 3),
    st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
)
def test_interpolation_reproduces_planes(a, b, c, origin):
    columns, rows = np.arange(12) + origin[0], np.arange(10) + origin[1]
    lattice = (a * columns[None, :] + b * rows[:, None] + c).astype(np.float32)
    x, y = np.linspace(1, 8.99, 23) + origin[0], np.linspace(1, 6.99, 17) + origin[1]
    got = interpolate(lattice, origin, x, y)
    assert got.shape == (17, 23)
    np.testing.assert_allclose(got, a * x[None, :] + b * y[:, None] + c, atol=2e-4)


def test_smooth_noise_has_unit_deviation_and_joins():
    x, y = np.arange(600) * 1.0, np.arange(500) * 1.0
    whole = smooth_noise(5, 3, 7.3, x, y)
    assert abs(whole.mean()) < 0.1
    assert whole.std() == pytest.approx(1, abs=0.1)
    part = smooth_noise(5, 3, 7.3, x[111:222], y[33:77])
    assert np.array_equal(part, whole[33:77, 111:222])


def test_lookup_repeats_after_512_and_is_interpolated():
    u, v = np.meshgrid(np.arange(20, dtype=np.float32), np.arange(10, dtype=np.float32))
    at_nodes = lookup(0, 0, u, v)
    assert np.array_equal(at_nodes, lookup(0, 0, u + 512, v - 1024))
    between = lookup(0, 0, u[:, :-1] + np.float32(0.5), v[:, :-1])
    # Half a grey level of rounding, in units of the deviation.
    np.testing.assert_allclose(between, (at_nodes[:, :-1] + at_nodes[:, 1:]) / 2, atol=0.6 / 33)


def test_voronoi_walls_against_every_point():
    x, y = np.meshgrid(np.arange(0, 60, 1.5, dtype=np.float32), np.arange(0, 40, 1.5))
    y = y.astype(np.float32)
    walls, value = voronoi_walls(9, 40, 10.0, x, y)
    columns, rows = np.arange(-3, 10)[None, :], np.arange(-3, 8)[:, None]
    px = (hash_unit(9, columns, rows, 40) * 0.84 + 0.08 + columns) * 10
    py = (hash_unit(9, columns, rows, 41) * 0.84 + 0.08 + rows) * 10
    distance = np.hypot(x[..., None] - px.ravel(), y[..., None] - py.ravel())
    nearest = np.sort(distance, axis=-1)
    assert (walls >= 0).all()
    # The 3 x 3 search misses the second nearest point now and then; never the nearest.
    expected = (nearest[..., 1] - nearest[..., 0]) / 2
    assert np.mean(np.abs(walls - expected) < 1e-3) > 0.97
    owner = hash_unit(9, columns, rows, 42).ravel()[distance.argmin(axis=-1)]
    assert np.mean(owner == value) > 0.99


def test_gaps_take_walls_away():
    x, y = (g.astype(np.float32) for g in np.meshgrid(np.arange(200.0), np.arange(200.0)))
    closed, _ = voronoi_walls(9, 40, 30.0, x, y)
    some, _ = voronoi_walls(9, 40, 30.0, x, y, gaps=0.6)
    assert (some >= closed).all()
    assert 0.1 < np.mean(some[closed < 3] > 3) < 0.6
