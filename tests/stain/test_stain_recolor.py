import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from paddleseg_sclc.stain import StainFit
from paddleseg_sclc.stain.recolor import Recolor

PAIRS = {
    "usual": (
        ("small cell", (2.0, 1.1), (252, 250, 253)),
        ("ruifrok", (1.5, 1.0), (255, 255, 255)),
    ),
    "tinted and pale": (
        ("macenko", (0.5, 0.4), (211, 187, 227)),
        ("small cell", (2, 1), (240, 241, 239)),
    ),
    "dark": (("ruifrok", (4.0, 3.0), (255, 255, 255)), ("macenko", (0.6, 0.5), (254, 254, 254))),
}


def test_stains_that_float32_cannot_settle_are_computed_in_float64(stains):
    close = stains["macenko"][0] * [1, 1.02, 1]
    matrix = np.array([stains["macenko"][0], close / np.linalg.norm(close)])
    for source in (
        StainFit.of(matrix, (1, 1), (255, 255, 255)),
        StainFit.of(stains["macenko"], (1e-6, 1e-3), (255, 255, 255)),
    ):
        target = StainFit.of(stains["ruifrok"], (900, 1), (250, 251, 252))
        pixels = colours(17)
        result = Recolor(source, target)(pixels)
        np.testing.assert_array_equal(result, np.rint(plain(pixels, source, target)))


def fits(stains, pair):
    return [StainFit.of(stains[name], largest, white) for name, largest, white in PAIRS[pair]]


def plain(image, source, target):
    """The formula, written out for one pixel at a time's worth of arrays, in float64."""
    light = np.clip(image.astype(np.float64), 1, source.background)
    od = np.log(source.background) - np.log(light)
    amounts = np.maximum(od @ np.linalg.pinv(source.stain_matrix), 0)
    amounts = amounts * target.max_concentrations / source.max_concentrations
    return target.background * np.exp(-amounts @ target.stain_matrix)


def colours(step):
    """All colours, or every `step`-th intensity of each channel and 255."""
    values = np.unique([*range(0, 256, step), 255]).astype(np.uint8)
    return np.stack(np.meshgrid(values, values, values, indexing="ij"), -1).reshape(-1, 3)


@pytest.mark.parametrize("pair", PAIRS)
def test_every_byte_is_that_of_the_plain_formula(stains, pair):
    source, target = fits(stains, pair)
    recolor, pixels = Recolor(source, target), colours(3)
    expected = np.rint(plain(pixels, source, target))
    np.testing.assert_array_equal(recolor(pixels), expected)
    np.testing.assert_array_equal(recolor.plain(pixels), expected)


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS)
def test_every_byte_of_all_colours_is_that_of_the_plain_formula(stains, pair):
    source, target = fits(stains, pair)
    recolor = Recolor(source, target)
    for pixels in np.array_split(colours(1), 16):
        np.testing.assert_array_equal(recolor(pixels), np.rint(plain(pixels, source, target)))


def test_nothing_changes_from_a_source_to_itself_within_the_plane_of_its_stains(stains):
    fit = StainFit.of(stains["small cell"], (2, 1), (250, 251, 252))
    rng = np.random.default_rng(0)
    amounts = rng.uniform(0, 1.5, (5000, 2))
    pixels = np.rint(fit.background * np.exp(-amounts @ fit.stain_matrix)).astype(np.uint8)
    assert np.abs(Recolor(fit, fit)(pixels).astype(int) - pixels).max() <= 3


def test_glass_becomes_the_glass_of_the_target_and_concentrations_scale(stains):
    source = StainFit.of(stains["ruifrok"], (2, 1), (240, 230, 220))
    target = StainFit.of(stains["macenko"], (1, 1), (255, 254, 253))
    amounts = np.array([[0, 0], [1, 0], [0, 0.7]])
    pixels = np.rint(source.background * np.exp(-amounts @ source.stain_matrix)).astype(np.uint8)
    scaled = amounts * [0.5, 1]
    np.testing.assert_allclose(
        Recolor(source, target)(pixels),
        target.background * np.exp(-scaled @ target.stain_matrix),
        atol=2,
    )


@pytest.mark.parametrize("shape", [(700, 800, 3), (1, 3, 3), (3, 1, 3), (560000, 3), (7, 80001, 3)])
def test_threads_and_strips_and_views_change_nothing(stains, shape):
    recolor = Recolor(*fits(stains, "usual"))
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    before, threads = image.copy(), cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        single = recolor(image)
        cv2.setNumThreads(3)
        np.testing.assert_array_equal(recolor(image), single)
    finally:
        cv2.setNumThreads(threads)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(recolor(image[::-1])[::-1], single)
    if image.ndim == 3 and shape[1] > 1:
        np.testing.assert_array_equal(recolor(image[:, 1:]), single[:, 1:])


def test_the_bytes_do_not_depend_on_the_instruction_set():
    """Older processors are played by switching instruction sets off."""
    everything = "AVX2,FMA3,AVX,SSE4.1,SSE4.2,SSSE3,FP16,AVX512-SKX"
    kinds = (
        {},
        {"OPENCV_CPU_DISABLE": everything, "OPENBLAS_CORETYPE": "Nehalem"},
        {"NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX2 FMA3"},
    )
    code = (
        "import hashlib, json, sys, numpy as np\n"
        "from paddleseg_sclc.stain import METHODS\n"
        "rng = np.random.default_rng(0)\n"
        "amounts = rng.gamma(1.0, 0.7, (500, 500, 2)) * (rng.random((500, 500, 2)) < 0.6)\n"
        "od = np.rint(1000 * amounts @ [[0.57, 0.75, 0.33], [0.17, 0.9, 0.4]]) / 1000\n"
        "image = np.rint(255 * np.exp(-od)).astype(np.uint8)\n"
        "for kind in METHODS.values():\n"
        "    normalizer = kind().fit(image)\n"
        "    print(hashlib.sha256(image).hexdigest(), json.dumps(normalizer.to_dict()))\n"
        "    print(hashlib.sha256(normalizer.transform(image)).hexdigest())\n"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env={**os.environ, **kind},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for kind in kinds
    ]
    assert len(printed[0].splitlines()) == 6
    assert printed[1] == printed[0]
    assert printed[2] == printed[0]
