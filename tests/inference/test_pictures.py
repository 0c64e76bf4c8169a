import numpy as np
import pytest
from PIL import Image

from paddleseg_sclc.inference.pictures import (
    NOTICE,
    overlay,
    parse_colours,
    write_palette_png,
    write_picture,
)


def test_overlay_tints_the_tumour_only_and_leaves_the_image():
    image = np.full((40, 40, 3), 200, np.uint8)
    pred = np.zeros((40, 40), np.uint8)
    pred[10:30, 10:30] = 1
    before = image.copy()
    colours = parse_colours([0, 0, 0, 255, 0, 0], 2)
    result = overlay(image, pred, colours)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(result[:9, :], 200)
    assert result[20, 20].tolist() == [219, 130, 130]  # 200 * 0.65 + (255, 0, 0) * 0.35
    assert result[10, 20].tolist() == [255, 0, 0]  # the outline


def test_overlay_says_research_use_where_it_fits():
    blank = np.full((256, 256, 3), 255, np.uint8)
    result = overlay(blank, np.zeros((256, 256), np.uint8), parse_colours(None, 2))
    assert (result[-10:] != 255).any()
    assert (result[:-20] == 255).all()


def test_files_carry_the_notice_and_the_values(tmp_path):
    pred = np.array([[0, 1], [1, 0]], np.uint8)
    write_palette_png(tmp_path / "a.png", pred, parse_colours(None, 2))
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        assert image.info["Comment"] == NOTICE
        np.testing.assert_array_equal(np.array(image), pred)
        assert image.convert("RGB").getpixel((1, 0)) == (230, 159, 0)
    levels = np.array([[0, 65535]], np.uint16)
    write_picture(tmp_path / "b.png", levels)
    with Image.open(tmp_path / "b.png") as image:
        np.testing.assert_array_equal(np.array(image), levels)


@pytest.mark.parametrize("values", [[0, 0, 0], [0, 0, 0, 1, 2, 256], [0, 0, 0, 1, 2, -1]])
def test_bad_colours_are_refused(values):
    with pytest.raises(ValueError, match="must be 6 values from 0 to 255"):
        parse_colours(values, 2)
