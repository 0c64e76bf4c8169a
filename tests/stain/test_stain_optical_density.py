import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddleseg_sclc.stain import od_to_rgb, rgb_to_od, stain_angles
from paddleseg_sclc.stain.optical_density import check_background, od_table


def test_od_is_the_natural_logarithm_of_the_background_over_the_intensity():
    od = rgb_to_od(np.array([[[255, 100, 1]]], np.uint8))
    assert od.dtype == np.float32
    np.testing.assert_allclose(od[0, 0], [0, np.log(2.55), np.log(255)], rtol=1e-6)


def test_zero_counts_as_one_and_brighter_than_the_background_as_the_background():
    od = rgb_to_od(np.array([[0, 250, 240]], np.uint8), (200, 240, 240))
    np.testing.assert_allclose(od[0], [np.log(200), 0, 0], atol=1e-7)


@given(st.integers(1, 255), st.integers(1, 255), st.integers(1, 255))
def test_every_intensity_up_to_the_background_comes_back(red, green, blue):
    background = (red, green, blue)
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    back = od_to_rgb(rgb_to_od(grey, background), background)
    np.testing.assert_array_equal(back, np.clip(grey, 1, background))


def test_the_released_logarithm_adds_one_to_both():
    table = od_table((255, 240, 240), log_offset=1)
    np.testing.assert_allclose(table[100, 0], np.log(256 / 101))
    np.testing.assert_allclose(table[0, 1], np.log(241))


def test_od_to_rgb_keeps_to_bytes():
    np.testing.assert_array_equal(od_to_rgb([[-3.0, 0.0, 100.0]]), [[255, 255, 0]])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
        [[1, 2, 3]],
    ],
)
def test_other_images_are_refused(image):
    with pytest.raises(ValueError, match="image: must"):
        rgb_to_od(image)


@pytest.mark.parametrize(
    "background", [0, 256, 240.5, (255, 255), float("nan"), "white", None, (1, 2, "x")]
)
def test_other_backgrounds_are_refused(background):
    with pytest.raises(ValueError, match="background: must"):
        check_background(background)


def test_angles_are_in_degrees_and_exact_when_small():
    turned = [[np.cos(1e-7), np.sin(1e-7), 0], [0, 0, 1]]
    np.testing.assert_allclose(
        stain_angles([[1, 0, 0], [0, 1, 0]], turned), [np.degrees(1e-7), 90], rtol=1e-6
    )
