import numpy as np
import pytest

from paddleseg_sclc.slides.reader import open_slide
from paddleseg_sclc.slides.tissue import TissueMap, detect_tissue, find_tissue

MPP = 8.0


def glass(height=300, width=400, seed=0):
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(238, 2, (height, width, 3)), 0, 255)


def paint(image, box, colour, noise=6, seed=1):
    top, left, bottom, right = box
    rng = np.random.default_rng(seed)
    shape = (bottom - top, right - left, 3)
    image[top:bottom, left:right] = np.clip(rng.normal(colour, noise, shape), 0, 255)


EOSIN, HEMATOXYLIN, PALE = (225, 150, 190), (110, 80, 150), (232, 215, 228)


@pytest.mark.parametrize("colour", [EOSIN, HEMATOXYLIN, PALE])
def test_stained_tissue_is_found(colour):
    image = glass()
    paint(image, (60, 80, 220, 300), colour)
    expected = np.zeros(image.shape[:2], bool)
    expected[60:220, 80:300] = True
    found = detect_tissue(image.astype(np.uint8), MPP)
    assert (found != expected).mean() < 0.02


def test_clean_glass_has_none_and_a_full_field_is_all_tissue():
    assert not detect_tissue(glass().astype(np.uint8), MPP).any()
    full = glass()
    paint(full, (0, 0, 300, 400), EOSIN, noise=12)
    assert detect_tissue(full.astype(np.uint8), MPP).mean() > 0.99


@pytest.mark.parametrize(
    "ink",
    [(30, 60, 170), (20, 120, 60), (25, 25, 28), (200, 30, 40)],
    ids=["blue", "green", "black", "red"],
)
def test_pen_marks_are_left_out_with_a_margin(ink):
    image = glass()
    paint(image, (60, 40, 220, 180), HEMATOXYLIN)
    paint(image, (40, 260, 260, 300), ink)
    found = detect_tissue(image.astype(np.uint8), MPP)
    assert found[70:210, 50:170].all()
    assert not found[:, 245:315].any()


def test_ink_on_tissue_is_cut_out_of_it():
    image = glass()
    paint(image, (40, 40, 260, 360), EOSIN)
    paint(image, (100, 100, 180, 200), (30, 60, 170))
    found = detect_tissue(image.astype(np.uint8), MPP)
    assert not found[95:185, 95:205].any()
    assert found[50:80, 50:350].all()


def test_small_holes_are_filled_and_large_ones_are_not():
    image = glass()
    paint(image, (20, 20, 280, 380), EOSIN)
    paint(image, (60, 60, 70, 70), (240, 240, 240), noise=1)  # 80 x 80 micrometres
    paint(image, (120, 150, 220, 280), (240, 240, 240), noise=1)  # a lumen
    found = detect_tissue(image.astype(np.uint8), MPP)
    assert found[55:75, 55:75].all()
    assert not found[130:210, 160:270].any()


def test_specks_are_dropped():
    image = glass()
    paint(image, (100, 100, 108, 110), HEMATOXYLIN)
    assert not detect_tissue(image.astype(np.uint8), MPP).any()


def test_fraction_of_a_rectangle():
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:5] = True
    tissue = TissueMap(mask, 10.0, 10.0)
    assert tissue.fraction(0, 0, 60, 40) == pytest.approx(6 / 24)
    assert tissue.fraction(20, 10, 30, 20) == 1.0
    assert tissue.fraction(15, 10, 10, 10) == pytest.approx(0.5)
    assert tissue.fraction(-60, 0, 120, 40) == pytest.approx(6 / 48)
    assert tissue.fraction(200, 200, 10, 10) == 0.0


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="must be"):
        detect_tissue(np.zeros((5, 5), np.uint8), MPP)


def test_real_slide(shared_slides):
    with open_slide(shared_slides / "CMU-1-Small-Region.svs") as slide:
        tissue = find_tissue(slide, 4.0)
        assert 0.3 < tissue.fraction(0, 0, *slide.dimensions) < 0.5
        assert tissue.fraction(900, 1300, 200, 200) > 0.95  # epithelium
        assert tissue.fraction(0, 0, 500, 500) == 0.0  # glass, and a speck of dirt
        assert tissue.fraction(1700, 1500, 500, 300) < 0.2
