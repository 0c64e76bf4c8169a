import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.slides import reader
from paddleseg_sclc.slides.levels import Level, choose_level, true_downsample
from paddleseg_sclc.slides.reader import Slide, open_slide


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.astype(int) - b.astype(int))


def test_level_0_is_read_as_stored(tiff, tissue_image):
    with open_slide(tiff) as slide:
        assert slide.dimensions == (900, 700)
        np.testing.assert_array_equal(
            slide.read_region(37, 91, 300, 200), tissue_image[91:291, 37:337]
        )


def test_what_overhangs_the_border_is_white(tiff, tissue_image):
    expected = np.full((760, 1000, 3), 255, np.uint8)
    expected[20:720, 50:950] = tissue_image
    with open_slide(tiff) as slide:
        np.testing.assert_array_equal(slide.read_region(-50, -20, 1000, 760), expected)
        assert (slide.read_region(5000, 5000, 30, 20) == 255).all()
        assert (slide.read_region(-1e6, 0, 30, 20, downsample=7.3) == 255).all()


def test_missing_tiles_are_transparent_and_so_white(tmp_path):
    # An OpenSlide that finds no bytes for a tile makes it transparent.
    tile = np.full((128, 128, 3), 90, np.uint8)
    path = tmp_path / "sparse.tif"
    tifffile.imwrite(
        path,
        iter([tile, None, None, tile]),
        shape=(256, 256, 3),
        dtype=np.uint8,
        tile=(128, 128),
        photometric="rgb",
        metadata=None,
    )
    with open_slide(path) as slide:
        pixels = slide.read_region(0, 0, 256, 256)
    assert (pixels[:128, :128] == 90).all()
    assert (pixels[:128, 128:] == 255).all()


def test_half_transparent_pixels_are_laid_on_white(monkeypatch):
    class Handle:
        def read_region(self, corner, level, size):
            return Image.new("RGBA", size, (100, 0, 255, 51))

    level = Level(0, 4, 4, 1.0, 1.0, 1.0, 16, True)
    pixels = reader._read_rgb(Handle(), level, 0, 0, 4, 4)
    # 51 / 255 is a fifth: 100 / 5 + 255 * 4 / 5 = 224
    assert (pixels == [224, 204, 255]).all()


@pytest.mark.parametrize("downsample", [0.5, 1.7, 2.0, 3.3, 8.0])
def test_any_scale_is_level_0_resampled(tiff, tissue_image, downsample):
    width, height = int(600 / downsample), int(500 / downsample)
    box = (100, 60, 100 + width * downsample, 60 + height * downsample)
    kernel = Image.Resampling.HAMMING if downsample > 1.2 else Image.Resampling.BILINEAR
    expected = Image.fromarray(tissue_image).resize((width, height), kernel, box=box)
    with open_slide(tiff) as slide:
        by_downsample = slide.read_region(100, 60, width, height, downsample=downsample)
        by_mpp = slide.read_region(100, 60, width, height, mpp=downsample * 0.5)
    assert difference(by_downsample, np.array(expected)).max() <= 1
    np.testing.assert_array_equal(by_downsample, by_mpp)


def test_neighbouring_regions_fit_without_a_seam(tiff, monkeypatch):
    with open_slide(tiff) as slide:
        whole = slide.read_region(-13, 7, 300, 240, downsample=2.9)
        monkeypatch.setattr(reader, "_BLOCK_PIXELS", 10_000)
        in_blocks = slide.read_region(-13, 7, 300, 240, downsample=2.9)
        parts = [
            slide.read_region(-13 + 2.9 * x, 7 + 2.9 * y, 100, 80, downsample=2.9)
            for y in (0, 80, 160)
            for x in (0, 100, 200)
        ]
    stitched = np.vstack([np.hstack(parts[i : i + 3]) for i in (0, 3, 6)])
    assert difference(whole, in_blocks).max() <= 1
    assert difference(whole, stitched).max() <= 1


def test_a_box_need_not_keep_its_aspect(tiff, tissue_image):
    with open_slide(tiff) as slide:
        pixels = slide.read_box(100, 100, 400, 200, (100, 100))
    expected = cv2.resize(tissue_image[100:300, 100:500], (100, 100), interpolation=cv2.INTER_AREA)
    assert difference(pixels, expected).mean() < 2
    assert pixels.shape == (100, 100, 3)


def test_real_svs_at_any_mpp_is_level_0_resampled(shared_slides):
    with open_slide(shared_slides / "CMU-1-Small-Region.svs") as slide:
        assert slide.mpp == (0.499, 0.499)
        assert slide.vendor == "aperio"
        level_0 = slide.read_region(0, 0, *slide.dimensions)
        for mpp in (0.25, 0.6, 1.0, 2.345):
            width, height = int(1000 * 0.499 / mpp), int(800 * 0.499 / mpp)
            end = 700 + width * mpp / 0.499, 900 + height * mpp / 0.499
            kernel = Image.Resampling.HAMMING if mpp > 0.599 else Image.Resampling.BILINEAR
            expected = Image.fromarray(level_0).resize((width, height), kernel, (700, 900, *end))
            pixels = slide.read_region(700, 900, width, height, mpp=mpp)
            assert difference(pixels, np.array(expected)).max() <= 1


def test_real_ndpi_at_any_scale_is_level_0_resampled(shared_slides):
    """The stored levels are JPEGs of their own: their noise, but no shift, may tell them apart."""
    with open_slide(shared_slides / "hamamatsu-dapi.ndpi") as slide:
        assert slide.vendor == "hamamatsu"
        assert slide.offset_from_slide_centre_nm == (12538720, -96063)
        assert slide.mpp[0] == pytest.approx(0.228175, abs=1e-6)
        level_0 = slide.read_region(0, 0, *slide.dimensions)
        image = Image.fromarray(level_0)
        for downsample in (1.5, 2.0, 3.0, 4.0, 5.5):
            width, height = int(3000 / downsample), int(2400 / downsample)
            pixels = slide.read_region(500, 1600, width, height, downsample=downsample)
            off = {}
            for shift in (-downsample / 2, 0, downsample / 2):
                left, top = 500 + shift, 1600 + shift
                box = (left, top, left + width * downsample, top + height * downsample)
                expected = image.resize((width, height), Image.Resampling.HAMMING, box)
                off[shift] = difference(pixels, np.array(expected)).mean()
            assert off[0] < 2.0
            assert min(off, key=off.__getitem__) == 0


def test_ndpi_of_single_jpegs_is_read_right_at_every_level(ndpi, tissue_image):
    with open_slide(ndpi) as slide:
        assert slide.vendor == "hamamatsu"
        assert slide.mpp == pytest.approx((0.46, 0.46), rel=1e-4)
        assert slide.offset_from_slide_centre_nm == (12_000, -3_000)
        assert all(level.whole for level in slide.levels)
        assert (
            difference(slide.read_region(10, 20, 300, 200), tissue_image[20:220, 10:310]).mean() < 2
        )
        half = slide.read_region(0, 0, 450, 350, downsample=2)
        assert difference(half, tissue_image[::2, ::2]).mean() < 2


def test_a_level_that_is_one_jpeg_is_decoded_once(ndpi, monkeypatch, tissue_image):
    monkeypatch.setattr(reader, "_SMALL_LEVEL_PIXELS", 1000)
    with open_slide(ndpi) as plain:
        expected = plain.read_region(-5, 100, 200, 200)
    calls = []
    real = reader._read_rgb
    monkeypatch.setattr(reader, "_read_rgb", lambda *a: (calls.append(a), real(*a))[1])
    with open_slide(ndpi) as slide, ThreadPoolExecutor(4) as pool:
        regions = list(pool.map(lambda _: slide.read_region(-5, 100, 200, 200), range(12)))
        slide.read_region(300, 300, 500, 500)
        assert len(calls) == 1
        assert all((region == expected).all() for region in regions)
        regions[0][:] = 0  # the caller owns what is returned
        np.testing.assert_array_equal(slide.read_region(-5, 100, 200, 200), expected)


def test_a_level_too_large_to_decode_whole_is_refused(ndpi):
    with Slide(ndpi, max_piece_pixels=200_000) as slide:
        slide.read_region(0, 0, 100, 100, downsample=2)
        with pytest.raises(
            SclcError, match=r"level 0 \(900 x 700\).*at most 200,000 pixels apart, got 630,000"
        ):
            slide.read_region(0, 0, 100, 100)


def test_a_finer_tiled_level_stands_in_for_one_that_is_too_large():
    tiled = Level(0, 4000, 4000, 1.0, 1.0, 1.0, 256 * 256, whole=False)
    whole = Level(1, 2000, 2000, 2.0, 2.0, 2.0, 2000 * 2000, whole=True)
    levels = (tiled, whole)
    assert choose_level(levels, 2.0) is whole
    assert choose_level(levels, 2.0, max_piece_pixels=10**6) is tiled
    assert choose_level(levels, 1.9) is tiled
    assert choose_level(levels, 0.3) is tiled
    assert choose_level((whole,), 2.0, max_piece_pixels=10**6) is None


def test_scale_of_a_level_whose_size_was_rounded():
    assert true_downsample(2967, 371) == 8.0
    assert true_downsample(2967, 370) == 8.0
    assert true_downsample(1000, 400) == 2.5


def test_mpp_given_asked_for_and_out_of_range(tmp_path, tissue_image):
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, tissue_image, tile=(128, 128), photometric="rgb", metadata=None)
    with open_slide(path) as slide:
        assert not slide.has_mpp
        with pytest.raises(SclcError, match=r"says no mpp.*--mpp"):
            slide.read_region(0, 0, 10, 10, mpp=1.0)
    with open_slide(path, mpp=(0.25, 0.5)) as slide:
        assert slide.has_mpp
        pixels = slide.read_region(0, 0, 200, 200, mpp=1.0)
        expected = slide.read_region(0, 0, 200, 200, downsample=(4.0, 2.0))
        np.testing.assert_array_equal(pixels, expected)
    for bad in (0.0, -1.0, float("nan"), 1e4):
        with pytest.raises(UsageError, match="mpp: must be between"):
            open_slide(path, mpp=bad)


def test_a_resolution_in_inches_is_no_mpp(tmp_path, tissue_image):
    path = tmp_path / "dpi.tif"
    tifffile.imwrite(
        path, tissue_image, tile=(128, 128), photometric="rgb", resolution=(72, 72),
        resolutionunit="INCH", metadata=None,
    )  # fmt: skip
    with open_slide(path) as slide:
        assert not slide.has_mpp


@pytest.mark.parametrize("bad", [(0, 10), (10, 0), (-3, 10)])
def test_sizes_must_be_positive(tiff, bad):
    with open_slide(tiff) as slide, pytest.raises(ValueError, match="positive size"):
        slide.read_region(0, 0, *bad)


def test_arguments_that_cannot_be(tiff):
    slide = open_slide(tiff)
    with slide:
        with pytest.raises(ValueError, match="not both"):
            slide.read_region(0, 0, 5, 5, downsample=1, mpp=1)
        with pytest.raises(ValueError, match="positive size"):
            slide.read_region(float("nan"), 0, 5, 5)
    with pytest.raises(ValueError, match="closed"):
        slide.read_region(0, 0, 5, 5)


def test_thumbnail(tiff, tissue_image):
    with open_slide(tiff) as slide:
        assert slide.read_thumbnail(300).shape == (233, 300, 3)
        np.testing.assert_array_equal(slide.read_thumbnail(5000), tissue_image)


def test_threads_share_a_slide(ndpi):
    corners = [(17 * i % 600, 29 * i % 500) for i in range(60)]
    with open_slide(ndpi) as slide:
        expected = [slide.read_region(x, y, 90, 80, downsample=1.3) for x, y in corners]
        with ThreadPoolExecutor(8) as pool:
            regions = pool.map(lambda c: slide.read_region(*c, 90, 80, downsample=1.3), corners)
            for region, wanted in zip(regions, expected, strict=True):
                np.testing.assert_array_equal(region, wanted)


_inherited: Slide | None = None


def _read_inherited(corner: tuple[int, int]) -> np.ndarray:
    assert _inherited is not None
    return _inherited.read_region(*corner, 64, 48, downsample=1.5)


def _read_passed(slide: Slide) -> np.ndarray:
    return slide.read_region(5, 6, 64, 48, mpp=1.0)


def test_forked_processes_share_a_slide(tiff):
    global _inherited
    corners = [(13 * i % 700, 31 * i % 600) for i in range(80)]
    with open_slide(tiff) as _inherited:
        expected = [_read_inherited(corner) for corner in corners]
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(3, context) as pool:
            for region, wanted in zip(pool.map(_read_inherited, corners), expected, strict=True):
                np.testing.assert_array_equal(region, wanted)
        np.testing.assert_array_equal(_read_inherited(corners[0]), expected[0])


def test_a_slide_pickles_by_its_path(tiff):
    slide = Slide(tiff, mpp=0.7, max_piece_pixels=123_456)
    with slide, pickle.loads(pickle.dumps(slide)) as copy:
        assert copy.mpp == (0.7, 0.7)
        assert copy._max_piece_pixels == 123_456
        np.testing.assert_array_equal(_read_passed(copy), _read_passed(slide))


def test_what_is_no_slide(tmp_path, tissue_image):
    text = tmp_path / "notes.ndpi"
    text.write_text("no slide")
    png = tmp_path / "photo.png"
    Image.fromarray(tissue_image).save(png)
    empty = tmp_path / "empty.svs"
    empty.touch()
    for path in (text, png, empty):
        with pytest.raises(SclcError, match=f"{path.name}: must be a slide that OpenSlide reads"):
            open_slide(path)
    for path in (tmp_path / "gone.ndpi", tmp_path):
        with pytest.raises(SclcError, match="no such slide file"):
            open_slide(path)


def test_a_truncated_ndpi_is_one_clear_line(ndpi, tmp_path):
    data = ndpi.read_bytes()
    for keep in (0.02, 0.3, 0.9):
        path = tmp_path / f"cut {keep}.ndpi"
        path.write_bytes(data[: int(len(data) * keep)])
        with pytest.raises(SclcError) as info, open_slide(path) as slide:
            slide.read_region(0, 0, 900, 700)
        assert str(path) in str(info.value)
        assert "\n" not in str(info.value)


def test_after_a_corrupt_tile_the_rest_is_still_read(tmp_path, tissue_image):
    """OpenSlide refuses every read after its first error; the reader must not."""
    path = tmp_path / "corrupt.tif"
    tifffile.imwrite(
        path, tissue_image, tile=(128, 128), photometric="rgb", compression="zlib", metadata=None
    )
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        offset, count = page.dataoffsets[18], page.databytecounts[18]  # row 2, column 2
    data = bytearray(path.read_bytes())
    data[offset : offset + count] = b"\xff" * count
    path.write_bytes(data)
    with open_slide(path) as slide:

        def read(corner):
            try:
                return slide.read_region(*corner, 128, 128)
            except SclcError as error:
                return str(error)

        corners = [(128 * x, 128 * y) for y in range(5) for x in range(7)] * 3
        with ThreadPoolExecutor(6) as pool:
            for (x, y), region in zip(corners, pool.map(read, corners), strict=True):
                if (x, y) == (256, 256):
                    assert "x 256, y 256" in region
                    assert "damaged" in region
                else:
                    np.testing.assert_array_equal(region, tissue_image[y : y + 128, x : x + 128])


def test_a_lenient_read_loses_no_more_than_what_is_damaged(tmp_path, tissue_image):
    path = tmp_path / "corrupt.tif"
    tifffile.imwrite(
        path, tissue_image, tile=(128, 128), photometric="rgb", compression="zlib", metadata=None
    )
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[0].dataoffsets[18], file.pages[0].databytecounts[18]
    data = bytearray(path.read_bytes())
    data[offset : offset + count] = b"\xff" * count
    path.write_bytes(data)
    with open_slide(path) as slide:
        with pytest.raises(SclcError, match="damaged"):
            slide.read_box(0, 0, 900, 700, (900, 700))
        pixels = slide.read_box(0, 0, 900, 700, (900, 700), lenient=True)
    lost = (pixels != tissue_image).any(axis=2)
    assert lost[256:384, 256:384].mean() > 0.9
    assert (pixels[lost] == 255).all()
    rows, columns = np.nonzero(lost)
    # What was given up are parts of at most 256 pixels that the tile reaches into.
    assert rows.min() > 0 and rows.max() < 384 + 256
    assert columns.min() > 0 and columns.max() < 384 + 256
    assert lost.mean() < 0.3


def test_names_with_blanks_and_chinese_characters(tmp_path, tiff):
    path = tmp_path / "病例 七 (副本).tif"
    path.write_bytes(Path(tiff).read_bytes())
    with open_slide(path) as slide:
        assert slide.name == path.name
        assert slide.read_region(0, 0, 10, 10).shape == (10, 10, 3)
