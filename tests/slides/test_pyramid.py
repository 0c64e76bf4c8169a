import errno
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.slides.pyramid import PyramidWriter
from paddleseg_sclc.slides.reader import open_slide


def write(path, image, order=None, **options):
    channels = 1 if image.ndim == 2 else 3
    height, width = image.shape[:2]
    with PyramidWriter(path, width, height, channels, **options) as writer:
        places = [(r, c) for r in range(writer.rows) for c in range(writer.columns)]
        for row, column in places if order is None else [places[i] for i in order(len(places))]:
            x, y, w, h = writer.tile_box(row, column)
            writer.write_tile(row, column, image[y : y + h, x : x + w])


def halve_slowly(image: np.ndarray, reduce: str) -> np.ndarray:
    """What one level makes of the one before, pixel by pixel."""
    height, width = (math.ceil(n / 2) for n in image.shape[:2])
    out = np.empty((height, width, *image.shape[2:]), np.uint8)
    for y in range(height):
        for x in range(width):
            four = image[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
            if reduce == "nearest":
                out[y, x] = four[0, 0]
            else:
                mean = four.reshape(-1, *image.shape[2:]).mean(axis=0)
                out[y, x] = np.floor(mean + 0.5)
    return out


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    channels=st.sampled_from([1, 3]),
    compression=st.sampled_from(["lzw", "deflate"]),
    reduce=st.sampled_from(["nearest", "mean"]),
    flat=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_every_level_without_loss(
    tmp_path, width, height, channels, compression, reduce, flat, seed
):
    rng = np.random.default_rng(seed)
    shape = (height, width) if channels == 1 else (height, width, 3)
    image = rng.integers(0, 256, shape, dtype=np.uint8)
    if flat:  # large parts of one value, as masks have
        image[: height // 2] = 7
        image[:, width // 3 :] = 7
    path = tmp_path / "pyramid.tif"
    order = rng.permutation if seed % 2 else None
    write(path, image, order, tile=16, compression=compression, reduce=reduce)
    with tifffile.TiffFile(path) as file:
        expected = image
        for page in file.pages:
            np.testing.assert_array_equal(page.asarray(), expected)
            expected = halve_slowly(expected, reduce)
        assert max(file.pages[-1].shape[:2]) <= 16 or file.pages[-1].shape[1] == 1


def test_openslide_opens_it_with_its_levels_and_mpp(tmp_path, tissue_image):
    path = tmp_path / "rgb.tif"
    write(path, tissue_image, tile=128, mpp=(0.25, 0.3), quality=95, description="a slide")
    with open_slide(path) as slide:
        assert slide.vendor == "generic-tiff"
        assert slide.mpp == pytest.approx((0.25, 0.3), rel=1e-6)
        assert [(level.width, level.height) for level in slide.levels] == [
            (900, 700), (450, 350), (225, 175), (113, 88),
        ]  # fmt: skip
        assert [level.downsample for level in slide.levels] == [1, 2, 4, 8]
        pixels = slide.read_region(0, 0, 900, 700)
    # Chroma is halved, so hard coloured edges differ; on the whole it is the image.
    assert np.abs(pixels.astype(int) - tissue_image).mean() < 2.5


def test_grey_jpeg(tmp_path, tissue_image):
    path = tmp_path / "grey.tif"
    write(path, tissue_image[..., 1], tile=128, compression="jpeg", quality=95)
    assert np.abs(tifffile.imread(path).astype(int) - tissue_image[..., 1]).mean() < 2


def test_uniform_tiles_share_their_bytes(tmp_path):
    path = tmp_path / "mask.tif"
    mask = np.zeros((4000, 4000), np.uint8)
    mask[100:200, 100:200] = 255
    write(path, mask, tile=256)
    with tifffile.TiffFile(path) as file:
        offsets = file.pages[0].dataoffsets
    assert len(offsets) == 256
    assert len(set(offsets)) == 2
    np.testing.assert_array_equal(tifffile.imread(path), mask)
    assert path.stat().st_size < 20_000


def test_a_number_fills_a_tile_and_unwritten_tiles_hold_fill(tmp_path):
    path = tmp_path / "mask.tif"
    with PyramidWriter(path, 100, 50, tile=32, fill=9) as writer:
        writer.write_tile(1, 2, 200)
    expected = np.full((50, 100), 9, np.uint8)
    expected[32:50, 64:96] = 200
    with tifffile.TiffFile(path) as file:
        np.testing.assert_array_equal(file.pages[0].asarray(), expected)
        np.testing.assert_array_equal(file.pages[1].asarray(), expected[::2, ::2])


def test_bands_and_threads_write_the_same_pixels(tmp_path, tissue_image):
    grey = np.ascontiguousarray(tissue_image[..., 0])
    with PyramidWriter(tmp_path / "bands.tif", 900, 700, tile=64) as writer:
        for y in range(0, 700, 128):
            writer.write_band(y, grey[y : y + 128])
    with PyramidWriter(tmp_path / "threads.tif", 900, 700, tile=64) as writer:

        def one(place):
            x, y, w, h = writer.tile_box(*place)
            writer.write_tile(*place, grey[y : y + h, x : x + w])

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(one, np.ndindex(writer.rows, writer.columns)))
    with (
        tifffile.TiffFile(tmp_path / "bands.tif") as a,
        tifffile.TiffFile(tmp_path / "threads.tif") as b,
    ):
        assert len(a.pages) == len(b.pages) == 5
        for page_a, page_b in zip(a.pages, b.pages, strict=True):
            np.testing.assert_array_equal(page_a.asarray(), page_b.asarray())
        np.testing.assert_array_equal(a.pages[0].asarray(), grey)


def test_the_same_bands_make_the_same_file(tmp_path, tissue_image):
    for name in ("a.tif", "b.tif"):
        with PyramidWriter(tmp_path / name, 900, 700, 3, tile=64) as writer:
            for y in range(0, 700, 64):
                writer.write_band(y, tissue_image[y : y + 64])
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_beyond_4_gb_it_is_a_bigtiff(tmp_path, tissue_image):
    """The file has a hole of 5 GB in front of the tiles, which takes no space on disk."""
    path = tmp_path / "big.tif"
    with PyramidWriter(path, 900, 700, 3, tile=128, compression="lzw", mpp=0.5) as writer:
        writer._end = 5 * 2**30
        writer._file.seek(writer._end)
        for y in range(0, 700, 128):
            writer.write_band(y, tissue_image[y : y + 128])
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff
        assert min(file.pages[0].dataoffsets) >= 5 * 2**30
        np.testing.assert_array_equal(file.pages[0].asarray(), tissue_image)
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx((0.5, 0.5))
        np.testing.assert_array_equal(slide.read_region(0, 0, 900, 700), tissue_image)


def test_a_small_file_is_a_classic_tiff(tmp_path):
    path = tmp_path / "small.tif"
    write(path, np.zeros((5, 5), np.uint8), tile=16)
    assert path.read_bytes()[:4] == b"II*\0"


def test_tags_that_asap_and_openslide_ask_for(tmp_path):
    path = tmp_path / "mask.tif"
    write(path, np.zeros((40, 70), np.uint8), tile=16, mpp=0.499)
    with tifffile.TiffFile(path) as file:
        first, second = file.pages[0], file.pages[1]
        assert first.tags["Compression"].value == 5
        assert first.tags["NewSubfileType"].value == 0
        assert second.tags["NewSubfileType"].value == 1
        assert first.tags["XResolution"].value == (10_000_000, 499)
        assert first.tags["ResolutionUnit"].value == 3
        widths = [page.imagewidth for page in file.pages]
        assert widths == sorted(set(widths), reverse=True)


def test_an_error_within_leaves_nothing_behind(tmp_path):
    path = tmp_path / "mask.tif"
    path.write_text("what was there before")
    with pytest.raises(RuntimeError, match="mid-way"), PyramidWriter(path, 100, 100) as writer:
        writer.write_tile(0, 0, 1)
        raise RuntimeError("mid-way")
    assert path.read_text() == "what was there before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_clear_line(tmp_path):
    class FullFile:
        def __init__(self, file):
            self.file = file

        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "mask.tif"
    with pytest.raises(SclcError, match="disk is full"), PyramidWriter(path, 100, 100) as writer:
        writer._file = FullFile(writer._file)
        writer.write_tile(0, 0, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "bad",
    [
        {"width": 0}, {"height": 0}, {"channels": 2}, {"tile": 100}, {"quality": 0},
        {"fill": 256}, {"compression": "zstd"}, {"reduce": "median"}, {"description": "from a.xml"},
        {"mpp": 0.0},
    ],
)  # fmt: skip
def test_arguments_out_of_range(tmp_path, bad):
    with pytest.raises(ValueError):
        PyramidWriter(tmp_path / "x.tif", **{"width": 10, "height": 10, **bad})


def test_tiles_that_do_not_fit(tmp_path):
    with PyramidWriter(tmp_path / "x.tif", 100, 50, tile=32) as writer:
        for tile in (
            np.zeros((32, 31), np.uint8),
            np.zeros((32, 32), int),
            np.zeros((32, 32, 3), np.uint8),
        ):
            with pytest.raises(ValueError, match="must be uint8 of shape"):
                writer.write_tile(0, 0, tile)
        with pytest.raises(ValueError, match="outside"):
            writer.write_tile(2, 0, 1)
        with pytest.raises(ValueError, match="must end on tiles"):
            writer.write_band(0, np.zeros((20, 100), np.uint8))
        writer.write_tile(0, 0, 1)
        with pytest.raises(ValueError, match="written before"):
            writer.write_tile(0, 0, 1)
