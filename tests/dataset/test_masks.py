import cv2
import numpy as np
import pytest
import tifffile

from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.labels import LabelMap
from paddleseg_sclc.annotations.model import Annotation, AnnotationGroup, AnnotationSet
from paddleseg_sclc.annotations.rasterize import rasterize
from paddleseg_sclc.dataset import masks
from paddleseg_sclc.dataset.canvas import Canvas
from paddleseg_sclc.dataset.masks import outline_mask, write_mask
from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.slides.reader import Slide


def star(x, y, radius, points=11):
    turn = np.linspace(0, 4 * np.pi, points, endpoint=False)
    reach = radius * (0.4 + 0.6 * np.cos(7 * turn) ** 2)
    return np.stack([x + reach * np.cos(turn), y + reach * np.sin(turn)], axis=1)


@pytest.fixture
def annotations():
    return AnnotationSet(
        (
            Annotation("a", star(700, 600, 650), group="tumour"),
            Annotation("b", star(1500, 900, 500), group="tumour"),
            Annotation("c", star(800, 700, 200), group="necrosis"),
        ),
        (AnnotationGroup("tumour"), AnnotationGroup("necrosis")),
    )


LABELS = LabelMap({"tumour": 1, "necrosis": 2}, ("tumour", "necrosis"))


@pytest.mark.parametrize("downsample", [1.0, 2.7])
def test_the_file_holds_the_mask_at_every_level(tmp_path, annotations, downsample):
    grid = Grid.of_slide(2000, 1500, downsample)
    seen = []
    made = write_mask(
        tmp_path / "m.tif", annotations, grid, LABELS, mpp=(0.25, 0.5),
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    expected = rasterize(annotations, grid, LABELS)
    assert made.pixels == {v: int((expected == v).sum()) for v in (1, 2)}
    assert seen[-1] == (grid.height, grid.height)
    with tifffile.TiffFile(tmp_path / "m.tif") as file:
        for index, page in enumerate(file.pages):
            step = 2**index
            np.testing.assert_array_equal(page.asarray(), expected[::step, ::step])
            assert page.is_tiled and page.compression.name == "LZW" and page.dtype == np.uint8
    with Slide(tmp_path / "m.tif") as slide:  # OpenSlide opens it
        assert slide.dimensions == (grid.width, grid.height)
        assert slide.mpp == pytest.approx((0.25 * downsample, 0.5 * downsample), rel=1e-4)
        level = slide.read_level(0, 0, 0, grid.width, grid.height)
        np.testing.assert_array_equal(level[:, :, 0], expected)


def test_the_same_annotations_give_the_same_bytes(tmp_path, annotations):
    for name in ("one.tif", "two.tif"):
        write_mask(tmp_path / name, annotations, Grid.of_slide(900, 1300))
    assert (tmp_path / "one.tif").read_bytes() == (tmp_path / "two.tif").read_bytes()


def test_a_full_disk_leaves_no_file(tmp_path, annotations):
    (tmp_path / "file").write_text("")
    with pytest.raises(SclcError, match="cannot be written"):
        write_mask(tmp_path / "file" / "m.tif", annotations, Grid(50, 50))


@pytest.mark.parametrize("rule", ["asap", "centre"])
def test_outlines_of_a_mask_file_draw_it_again(tmp_path, annotations, rule):
    canvas = Canvas(2000, 1500)
    grid = canvas.grid(4)
    write_mask(tmp_path / "m.tif", annotations, grid, LABELS, rule)
    outlines = outline_mask(tmp_path / "m.tif", canvas, labels=LABELS, rule=rule)
    assert outlines.group_names == ("tumour", "necrosis")
    np.testing.assert_array_equal(
        rasterize(outlines, grid, LABELS, rule), rasterize(annotations, grid, LABELS, rule)
    )


def test_a_coarser_level_is_outlined_where_the_finest_is_too_large(
    tmp_path, annotations, monkeypatch
):
    write_mask(tmp_path / "m.tif", annotations, Grid.of_slide(2000, 1500), LABELS)
    monkeypatch.setattr(masks, "MAX_MASK_PIXELS", 1000 * 800)
    outlines = outline_mask(tmp_path / "m.tif")
    assert outlines.group_names == ("Label 1", "Label 2")
    grid = Grid.of_slide(2000, 1500, 2)
    np.testing.assert_array_equal(
        rasterize(outlines, grid, LabelMap({"Label 1": 1, "Label 2": 2}), "centre"),
        rasterize(annotations, grid, LABELS),
    )


def test_pngs_are_masks_too(tmp_path):
    mask = np.zeros((30, 40), np.uint8)
    mask[5:10, 5:20] = 255
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    (outline,) = outline_mask(tmp_path / "m.png", downsample=8)
    assert outline.bounds == (40, 40, 160, 80) and outline.group == "Label 255"


def test_files_that_are_no_masks(tmp_path):
    cv2.imwrite(str(tmp_path / "rgb.tif"), np.zeros((20, 20, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "empty.tif"), np.zeros((20, 20), np.uint8))
    cv2.imwrite(str(tmp_path / "deep.tif"), np.ones((20, 20), np.uint16))
    (tmp_path / "text.tif").write_text("no TIFF")
    (tmp_path / "short.tif").write_bytes((tmp_path / "empty.tif").read_bytes()[:60])
    for name, message in [
        ("rgb.tif", "one channel of 8 bits"),
        ("deep.tif", "one channel of 8 bits"),
        ("empty.tif", "must have labelled pixels"),
        ("text.tif", "must be a TIFF mask"),
        ("short.tif", "must"),
        ("missing.tif", "must be a TIFF mask"),
    ]:
        with pytest.raises(SclcError, match=message) as caught:
            outline_mask(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_canvas_lays_a_grid():
    canvas = Canvas(1000, 600, mpp=(0.25, 0.5))
    assert canvas.grid() == Grid(1000, 600)
    assert canvas.grid(downsample=3) == Grid(334, 200, downsample_x=3, downsample_y=3)
    assert canvas.grid(mpp=1.0) == Grid(250, 300, downsample_x=4, downsample_y=2)
    assert canvas.frame is None and Canvas(10, 10, (1, 1), (5, 6)).frame is not None
    with pytest.raises(UsageError, match="--slide-mpp"):
        Canvas(10, 10).grid(mpp=1.0)
    with pytest.raises(UsageError, match="at most"):
        canvas.grid(downsample=0.0001)


def test_a_canvas_of_a_real_slide(shared):
    canvas = Canvas.of_slide(shared / "slides" / "hamamatsu-dapi.ndpi")
    assert canvas.mpp is not None and canvas.frame is not None
    assert Canvas.of_slide(shared / "slides" / "CMU-1-Small-Region.svs", mpp=2).mpp == (2, 2)
