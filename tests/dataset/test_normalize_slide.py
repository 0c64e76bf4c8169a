import hashlib
import subprocess
import sys

import numpy as np
import pytest

from paddleseg_sclc.dataset.normalize import fit_slide, normalize_slide, sample_slide
from paddleseg_sclc.errors import SclcError, TissueError
from paddleseg_sclc.slides.pyramid import PyramidWriter
from paddleseg_sclc.slides.reader import open_slide
from paddleseg_sclc.stain import MacenkoNormalizer, VahadaneNormalizer, stain_angles

MATRIX = np.array([[0.57, 0.75, 0.33], [0.17, 0.90, 0.40]])
MATRIX /= np.linalg.norm(MATRIX, axis=1, keepdims=True)


def section(height, width, seed=0):
    """A round piece of two-stained tissue on grey glass, RGB uint8."""
    import cv2

    rng = np.random.default_rng(seed)
    nuclei = cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), 6) > 0.04
    grain = cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), 2) * 2
    amounts = np.stack([np.where(nuclei, 1.4, 0), np.where(nuclei, 0, 0.9)], -1)
    amounts *= np.exp(0.6 * grain)[..., None]
    y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None] - 0.5
    amounts *= (x**2 + y**2 < 0.16)[..., None]
    light = 245 * np.exp(-amounts @ MATRIX) + rng.standard_normal((height, width, 3))
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def write_slide(path, image, mpp=1.0):
    height, width = image.shape[:2]
    with PyramidWriter(path, width, height, 3, mpp, compression="deflate") as writer:
        for row in range(writer.rows):
            for column in range(writer.columns):
                x, y, w, h = writer.tile_box(row, column)
                writer.write_tile(row, column, image[y : y + h, x : x + w])
    return path


@pytest.fixture(scope="module")
def image():
    return section(1500, 1801)


@pytest.fixture(scope="module")
def slide_path(image, tmp_path_factory):
    return write_slide(tmp_path_factory.mktemp("slides") / "case 1.tif", image)


def test_a_slide_is_fitted_as_its_tissue_is(slide_path, image):
    with open_slide(slide_path) as slide:
        fitted = fit_slide(slide, VahadaneNormalizer())
    assert stain_angles(fitted.stain_matrix, MATRIX).max() < 1
    whole = VahadaneNormalizer().fit(image)
    assert stain_angles(fitted.stain_matrix, whole.stain_matrix).max() < 0.3
    np.testing.assert_allclose(fitted.max_concentrations, whole.max_concentrations, rtol=0.05)
    np.testing.assert_allclose(fitted.background, 245, atol=1)


def test_two_fits_are_the_same_and_leave_the_normaliser_alone(slide_path):
    normalizer = VahadaneNormalizer()
    fits = []
    for _ in range(2):
        with open_slide(slide_path) as slide:
            fits.append(fit_slide(slide, normalizer).source)
    assert fits[0] == fits[1]
    assert normalizer.source is None


def test_a_sample_is_bounded_and_holds_tissue_and_glass(slide_path):
    with open_slide(slide_path) as slide:
        blocks = list(sample_slide(slide))
    assert 10 < len(blocks) <= 144
    assert {block.shape for block in blocks} == {(256, 256, 3)}
    means = np.array([block.mean() for block in blocks])
    assert (means < 215).sum() > 8
    assert 1 <= (means > 240).sum() <= 16


def test_a_coarser_slide_is_looked_at_as_it_is(slide_path):
    with open_slide(slide_path, mpp=5.0) as slide:
        assert {block.shape for block in sample_slide(slide)} == {(256, 256, 3)}


def test_a_blank_slide_is_refused_by_name(tmp_path):
    glass = np.random.default_rng(0).integers(238, 246, (600, 700, 3), np.uint8)
    path = write_slide(tmp_path / "blank.tif", glass)
    with open_slide(path) as slide, pytest.raises(TissueError, match=r"blank\.tif: stained tissue"):
        fit_slide(slide, VahadaneNormalizer())


def test_a_slide_that_was_not_scanned_is_refused(tmp_path):
    path = write_slide(tmp_path / "empty.tif", np.full((600, 700, 3), 255, np.uint8))
    with open_slide(path) as slide, pytest.raises(TissueError, match="nothing but what was not"):
        fit_slide(slide, VahadaneNormalizer())


@pytest.mark.parametrize("kind", [VahadaneNormalizer, MacenkoNormalizer])
def test_the_result_is_that_of_one_piece_and_keeps_the_mpp(kind, slide_path, image, tmp_path):
    calls = []
    with open_slide(slide_path) as slide:
        fitted = fit_slide(slide, kind())
        normalize_slide(
            slide,
            fitted,
            tmp_path / "out.tif",
            compression="deflate",
            threads=2,
            progress=lambda done, total: calls.append((done, total)),
        )
    expected = fitted.transform(image)
    with open_slide(tmp_path / "out.tif") as result:
        assert result.dimensions == (1801, 1500)
        np.testing.assert_allclose(result.mpp, 1.0, rtol=1e-6)
        np.testing.assert_array_equal(result.read_level(0, 0, 0, 1801, 1500), expected)
        half = result.read_level(1, 0, 0, 900, 750).astype(int)
    quarters = expected[:1500, :1800].reshape(750, 2, 900, 2, 3).mean(axis=(1, 3))
    assert np.abs(half - quarters).max() <= 1
    assert calls[-1] == (12, 12)
    assert calls == sorted(calls)


def test_the_file_does_not_depend_on_the_threads(slide_path, tmp_path):
    sums = set()
    with open_slide(slide_path) as slide:
        fitted = fit_slide(slide, VahadaneNormalizer())
        for threads in (1, 4):
            normalize_slide(slide, fitted, tmp_path / "out.tif", threads=threads)
            sums.add(hashlib.sha256((tmp_path / "out.tif").read_bytes()).hexdigest())
    assert len(sums) == 1


def test_a_slide_that_breaks_off_leaves_nothing(slide_path, tmp_path, monkeypatch):
    with open_slide(slide_path) as slide:
        fitted = fit_slide(slide, VahadaneNormalizer())
        read = slide.read_level

        def break_off(level, x, y, width, height):
            if y > 600:
                raise SclcError("the region cannot be decoded")
            return read(level, x, y, width, height)

        monkeypatch.setattr(slide, "read_level", break_off)
        with pytest.raises(SclcError, match="cannot be decoded"):
            normalize_slide(slide, fitted, tmp_path / "out.tif", threads=2)
    assert list(tmp_path.iterdir()) == []


_LARGE = """
import resource, sys
import numpy as np
from paddleseg_sclc.dataset.normalize import fit_slide, normalize_slide
from paddleseg_sclc.slides.reader import open_slide
from paddleseg_sclc.stain import VahadaneNormalizer
with open_slide(sys.argv[1]) as slide:
    fitted = fit_slide(slide, VahadaneNormalizer())
    normalize_slide(slide, fitted, sys.argv[2], threads=2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_a_slide_of_50000_by_50000_takes_less_than_1500_megabytes(tmp_path):
    side, tile = 50_000, section(1024, 1024)
    with PyramidWriter(tmp_path / "in.tif", side, side, 3, 0.5) as writer:
        for row in range(writer.rows):
            for column in range(writer.columns):
                if 10 < row < 80 and 10 < column < 80:
                    y, x = row % 2 * 512, column % 2 * 512
                    writer.write_tile(
                        row, column, np.roll(tile, row * 37 + column, 1)[y : y + 512, x : x + 512]
                    )
                else:
                    writer.write_tile(row, column, 245)
    command = [sys.executable, "-c", _LARGE, str(tmp_path / "in.tif"), str(tmp_path / "out.tif")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print(f"{int(printed) / 1024:.0f} MB at most")
    assert int(printed) < 1.5 * 2**20
    with open_slide(tmp_path / "out.tif") as result:
        assert result.dimensions == (side, side)
