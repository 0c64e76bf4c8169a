import io

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from paddleseg_sclc.demo.ndpi import MACRO_LENS, ScanInfo, encode_jpeg, write_ndpi


@pytest.fixture(scope="module")
def image():
    """Smooth and fine detail, 1600 x 1216."""
    y, x = np.mgrid[0:1216, 0:1600]
    rng = np.random.default_rng(0)
    waves = [128 + 90 * np.sin(x / a + y / b) for a, b in ((31, 50), (90, 17), (200, 300))]
    noise = rng.normal(0, 3, size=(1216, 1600, 1))
    return np.clip(np.stack(waves, axis=-1) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def macro():
    return np.full((64, 160, 3), (200, 210, 220), np.uint8)


@pytest.fixture(scope="module", params=[True, False], ids=["restart", "whole"])
def slide(request, image, macro, tmp_path_factory):
    path = tmp_path_factory.mktemp("ndpi") / "slide one.ndpi"
    write_ndpi(path, image, macro, 60.0, ScanInfo(0.92, 10.0), restart_markers=request.param)
    return path


def test_openslide_takes_it_for_a_hamamatsu_slide(slide):
    assert openslide.OpenSlide.detect_format(str(slide)) == "hamamatsu"
    with openslide.OpenSlide(str(slide)) as reader:
        assert reader.dimensions == (1600, 1216)
        assert (800, 608) in reader.level_dimensions
        assert float(reader.properties["openslide.mpp-x"]) == pytest.approx(0.92, rel=1e-4)
        assert float(reader.properties["openslide.mpp-y"]) == pytest.approx(0.92, rel=1e-4)
        assert reader.properties["hamamatsu.SourceLens"] == "10"
        assert reader.associated_images["macro"].size == (160, 64)


def test_random_regions_are_the_jpeg_decoded_whole(slide, image):
    with tifffile.TiffFile(slide) as tiff:
        pages = {page.tags[65421].value: page.asarray() for page in tiff.pages}
    decoded, rng = pages[10.0], np.random.default_rng(1)
    assert np.abs(decoded.astype(int) - image).mean() < 3
    with openslide.OpenSlide(str(slide)) as reader:
        for _ in range(40):
            x, y = int(rng.integers(0, 1500)), int(rng.integers(0, 1100))
            region = np.asarray(reader.read_region((x, y), 0, (97, 113)).convert("RGB"))
            assert np.array_equal(region, decoded[y : y + 113, x : x + 97])
        half = np.asarray(reader.read_region((0, 0), 1, (800, 608)).convert("RGB"))
    assert np.array_equal(half, pages[5.0])


def test_restart_markers_make_tiles(image, macro, tmp_path):
    for markers in (True, False):
        path = tmp_path / f"{markers}.ndpi"
        write_ndpi(path, image, macro, 60.0, ScanInfo(1.0, 10.0), restart_markers=markers)
        with openslide.OpenSlide(str(path)) as reader:
            tile = [reader.properties[f"openslide.level[0].tile-{s}"] for s in ("width", "height")]
        assert tile == (["400", "8"] if markers else ["1600", "1216"])


def test_levels_halve_and_the_macro_has_its_lens(slide, image, macro):
    with tifffile.TiffFile(slide) as tiff:
        assert tiff.is_ndpi
        pages = [(p.tags[65421].value, p.shape) for p in tiff.pages]
        assert pages == [(10.0, image.shape), (5.0, (608, 800, 3)), (MACRO_LENS, macro.shape)]
        half = tiff.pages[1].asarray().astype(int)
    mean = image.reshape(608, 2, 800, 2, 3).mean(axis=(1, 3))
    assert np.abs(half - mean).mean() < 3


def test_mcu_starts_follow_restart_markers(image):
    data, starts = encode_jpeg(image[:64, :512], interval=16)
    # 64 blocks a row, 8 rows, 16 blocks an interval.
    assert len(starts) == 64 * 8 // 16
    numbers = [data[start - 1] - 0xD0 for start in starts[1:]]
    assert numbers == [i % 8 for i in range(31)]
    assert np.asarray(Image.open(io.BytesIO(data))).shape == (64, 512, 3)


@pytest.mark.parametrize("shape", [(100, 128, 3), (128, 96, 3)])
def test_sides_must_fit(macro, tmp_path, shape):
    with pytest.raises(ValueError, match="multiples of 64"):
        write_ndpi(tmp_path / "x.ndpi", np.zeros(shape, np.uint8), macro, 60.0, ScanInfo(1, 10))
    assert not list(tmp_path.iterdir())
