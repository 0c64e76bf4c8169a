import numpy as np
import pytest

from paddleseg_sclc.stain import ColorHistogram
from paddleseg_sclc.stain.background import (
    estimate_background,
    find_background,
    glass_background,
    white_background,
)
from paddleseg_sclc.stain.histogram import histogram_of, weighted_percentile


def same(first: ColorHistogram, second: ColorHistogram) -> bool:
    return first.pixels == second.pixels and all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("counts", "light_counts", "white_counts")
    )


def test_colours_are_counted_once_each():
    image = np.zeros((2, 3, 3), np.uint8)
    image[0] = (255, 100, 7)
    colors = histogram_of([image]).colors()
    assert colors.weights.tolist() == [3, 3]
    np.testing.assert_allclose(colors.rgb[:, 0], 0)
    np.testing.assert_allclose(colors.rgb[:, 1], [252.5, 100, 7], atol=3)
    assert colors.dark.tolist() == [True, False]
    assert colors.stained.tolist() == [True, True]


@pytest.mark.parametrize("value", [219, 220, 221])
def test_220_is_the_first_intensity_that_is_not_tissue(value):
    image = np.full((1, 1, 3), 200, np.uint8)
    image[..., 0] = value
    assert histogram_of([image]).colors().dark.all() == (value < 220)


def test_white_starts_above_220():
    image = np.array([[[220, 255, 255]], [[221, 230, 255]]], np.uint8)
    histogram = histogram_of([image])
    assert histogram.white_counts.sum() == 3
    assert histogram.white_counts[0, 221] == histogram.white_counts[1, 230] == 1


def test_order_and_cut_of_the_blocks_do_not_matter(he_image):
    whole = histogram_of([he_image], None)
    blocks = [he_image[:100], he_image[100:, :300], he_image[100:, 300:].reshape(-1, 3)]
    assert same(whole, histogram_of(blocks, None))
    assert same(whole, histogram_of(blocks[::-1], None))
    merged = histogram_of(blocks[:1], None)
    merged.merge(histogram_of(blocks[1:], None))
    assert same(whole, merged)


@pytest.mark.parametrize("shape", [(1, 5000, 3), (5000, 1, 3), (5000, 3), (50, 100, 3)])
def test_a_large_block_is_sampled_evenly(shape):
    histogram = ColorHistogram()
    histogram.add(np.zeros(shape, np.uint8), max_pixels=1000)
    assert histogram.pixels == 5000
    rows = shape[0]
    expected = 5000 if rows == 1 else 1000
    assert histogram.counts.sum() == expected


def test_wide_images_are_counted_whole_without_a_limit():
    wide = np.zeros((1, 2_100_000, 3), np.uint8)
    wide[0, -1] = 255
    assert sorted(histogram_of([wide], None).colors().weights) == [1, 2_099_999]


def test_inputs_may_be_views_and_are_not_changed(he_image):
    before = he_image.copy()
    view = he_image[::2, ::-2]
    assert same(histogram_of([view], None), histogram_of([view.copy()], None))
    np.testing.assert_array_equal(he_image, before)


def test_weighted_percentile_is_that_of_the_repeated_values():
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=400), rng.integers(1, 50, 400).astype(float)
    repeated = np.repeat(values, weights.astype(int))
    for percentile in (1, 50, 80, 99):
        assert weighted_percentile(values, weights, percentile) == pytest.approx(
            np.percentile(repeated, percentile), abs=0.06
        )


def test_released_background_is_the_80th_percentile_of_the_white_pixels():
    rng = np.random.default_rng(0)
    white = rng.integers(221, 256, (101, 100, 3), np.uint8)
    tissue = np.full((300, 100, 3), 90, np.uint8)
    found = white_background(histogram_of([white, tissue], None))
    np.testing.assert_array_equal(
        found, np.percentile(white, 80, axis=(0, 1), method="inverted_cdf")
    )
    too_few = histogram_of([white[:99], tissue], None)
    assert white_background(too_few) is None
    np.testing.assert_array_equal(find_background("released", too_few), 255)


@pytest.mark.parametrize(
    "tint", [(1, 1, 1), (0.93, 0.97, 0.9), (1, 0.95, 0.85), (0.85, 0.85, 0.85), (0.8, 0.9, 0.95)]
)
@pytest.mark.parametrize("damage", [{}, {"noise": 4}, {"quality": 60}])
def test_glass_is_found_in_any_light(make_tissue, stains, tint, damage):
    image = make_tissue(stains["macenko"], glass=0.06, tint=tint, **damage)
    found = estimate_background(histogram_of([image]))
    np.testing.assert_allclose(found, 255 * np.array(tint), atol=2)


@pytest.mark.parametrize("name", ["ruifrok", "macenko", "small cell"])
@pytest.mark.parametrize("ratio", [0.25, 4])
def test_pale_tissue_is_not_taken_for_glass(make_tissue, stains, name, ratio):
    image = make_tissue(stains[name], ratio, glass=0, strength=(0.8, 0.4), noise=2)
    assert glass_background(histogram_of([image])) is None


def test_other_backgrounds_are_refused():
    with pytest.raises(ValueError, match='background: must be "estimate", "released"'):
        find_background("guess", histogram_of([np.zeros((2, 2, 3), np.uint8)]))
