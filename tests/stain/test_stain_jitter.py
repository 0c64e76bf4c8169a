import numpy as np
import pytest

from paddleseg_sclc.stain import jitter_stains
from paddleseg_sclc.stain.jitter import _turn


def rng(seed=0):
    return np.random.default_rng(seed)


def test_the_same_state_gives_the_same_image(he_image):
    first, second = (jitter_stains(he_image, rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (jitter_stains(he_image, rng(4)) != first).any()
    assert first.dtype == np.uint8
    assert first.shape == he_image.shape


def test_the_image_is_not_changed(he_image):
    before = he_image.copy()
    jitter_stains(he_image, rng())
    np.testing.assert_array_equal(he_image, before)


def test_no_strength_changes_nothing():
    image = rng().integers(0, 256, (40, 50, 3), np.uint8)
    np.testing.assert_array_equal(
        jitter_stains(image, rng(), background=240, scale=0, shift=0, turn=0), image
    )


def test_concentrations_are_multiplied(stains):
    matrix = stains["small cell"]
    amounts = np.array([[1.0, 0], [0, 1.0], [0.5, 0.5], [0, 0]])
    image = np.rint(255 * np.exp(-amounts @ matrix)).astype(np.uint8)
    factors = np.exp(rng(5).uniform(-0.4, 0.4, 2))
    expected = 255 * np.exp(-(amounts * factors) @ matrix)
    result = jitter_stains(image, rng(5), matrix, scale=0.4, turn=0)
    np.testing.assert_allclose(result, expected, atol=2)


def test_glass_stays_unless_shifted():
    glass = np.full((4, 4, 3), 250, np.uint8)
    strong = {"background": 250, "scale": 0.5, "turn": 10}
    np.testing.assert_array_equal(jitter_stains(glass, rng(), **strong), glass)
    assert (jitter_stains(glass, rng(), **strong, shift=0.2) != glass).all()


def test_vectors_turn_by_no_more_than_asked(stains):
    vector = stains["macenko"][0]
    generator = rng()
    angles = [
        np.degrees(np.arccos(np.clip(_turn(vector, 5.0, generator) @ vector, -1, 1)))
        for _ in range(2000)
    ]
    assert max(angles) <= 5 + 1e-6
    assert max(angles) > 4.9
    assert np.mean(angles) == pytest.approx(5 * 2 / 3, abs=0.1)  # uniform over the cone


@pytest.mark.parametrize("strength", [{"scale": -1}, {"turn": 91}, {"shift": float("nan")}])
def test_wrong_strengths_are_refused(strength, he_image):
    with pytest.raises(ValueError, match="scale, shift, turn"):
        jitter_stains(he_image, rng(), **strength)
