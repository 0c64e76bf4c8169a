import os
import subprocess
import sys

import numpy as np
import pytest

from paddleseg_sclc.demo.layout import Layout, Shape
from paddleseg_sclc.demo.scene import Scene
from paddleseg_sclc.demo.stain import random_stain, transmit

DRAW = """
import hashlib
from paddleseg_sclc.demo.patches import PatchPlan, draw_patch
digest = hashlib.sha256()
for mpp in (0.5, 1.0, 4.0):
    for part in draw_patch(PatchPlan(size=128, mpp=mpp, seed=3), 1, 0):
        digest.update(part.tobytes())
print(digest.hexdigest())
"""


@pytest.mark.parametrize("mpp", [0.46, 0.92, 2.0, 5.0])
def test_regions_join_without_a_seam(everything, mpp):
    x, y, width, height = (round(side / mpp) for side in (180, 210, 420, 400))
    whole, mask = (
        everything.render(x, y, width, height, mpp),
        everything.mask(x, y, width, height, mpp),
    )
    split_x, split_y = width // 3, height // 2
    for left, w in ((0, split_x), (split_x, width - split_x)):
        for top, h in ((0, split_y), (split_y, height - split_y)):
            region = (x + left, y + top, w, h, mpp)
            part = np.s_[top : top + h, left : left + w]
            assert np.array_equal(everything.render(*region), whole[part])
            assert np.array_equal(everything.mask(*region), mask[part])


def test_bytes_do_not_depend_on_the_processor():
    """The same picture with NumPy and OpenCV held to what any x86-64 has, as a second machine."""
    plain = {
        "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX2 FMA3",
        "OPENCV_CPU_DISABLE": "AVX512-SKX,AVX2,FMA3,AVX,SSE4.2",
    }
    digests = [
        subprocess.run(
            [sys.executable, "-c", DRAW],
            env={**os.environ, **extra},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()[-1]
        for extra in ({}, plain)
    ]
    assert digests[0] == digests[1]


def test_seeds_differ(everything):
    other = Scene(everything.layout, everything.stain, everything.seed + 1)
    region = (0, 0, 100, 100, 1.0)
    assert np.mean(everything.render(*region) != other.render(*region)) > 0.5


def test_intensity_is_light_times_exp_of_minus_concentrations_times_matrix(everything):
    region = (200, 200, 120, 100, 1.0)
    concentrations = everything.concentrations(*region)
    stain = everything.stain
    od = concentrations @ stain.matrix
    assert np.abs(everything.render(*region) - stain.light * np.exp(-od)).max() <= 0.75


def test_strength_and_matrix_of_a_patient_are_used():
    stain = random_stain(np.random.default_rng(3))
    np.testing.assert_allclose(np.linalg.norm(stain.matrix, axis=1), 1)
    concentrations = np.array([[[0.7, 0.4]]], np.float32)
    expected = stain.light * np.exp(-(concentrations[0, 0] * stain.strength) @ stain.matrix)
    np.testing.assert_allclose(transmit(concentrations, stain)[0, 0] / 256, expected, atol=0.2)


def test_mask_is_the_tumour_without_its_necrosis(stain):
    """Edges are rough: within 7 + 3 um noise, a few times its deviation at most."""
    tumour, necrosis = Shape("tumour", 300, 300, 200), Shape("necrosis", 300, 300, 70)
    scene = Scene(Layout((tumour, necrosis)), stain, 5)
    mask = scene.mask(0, 0, 300, 300, 2.0)
    x = (np.arange(300) + 0.5) * 2.0
    distance = np.hypot(x[None, :] - 300, x[:, None] - 300)
    assert mask[(distance < 165) & (distance > 105)].all()
    assert not mask[(distance > 235) | (distance < 35)].any()
    area = mask.sum() * 4.0
    assert area == pytest.approx(np.pi * (200**2 - 70**2), rel=0.08)


def test_tissues_are_stained_as_they_should(everything):
    def mean(x, y, half=30):
        region = (x - half, y - half, 2 * half, 2 * half, 1.0)
        return everything.concentrations(*region).mean(axis=(0, 1))

    stroma, tumour, lymphoid = mean(850, 50), mean(300, 140), mean(700, 200)
    cartilage, glass, blood = mean(700, 520), mean(950, 900), mean(450, 350, 20)
    assert (glass == 0).all()
    assert stroma[1] > 3 * stroma[0]
    assert tumour[0] > 3 * stroma[0]
    # As dark as tumour: colour does not tell them apart.
    assert lymphoid[0] == pytest.approx(tumour[0], rel=0.45)
    assert cartilage[0] == pytest.approx(tumour[0], rel=0.45)
    assert blood[1] > blood[0]


def test_coarse_views_are_fine_views_averaged(everything):
    fine = everything.render(200, 200, 200, 200, 2.0).astype(float)
    coarse = everything.render(50, 50, 50, 50, 8.0)
    mean = fine.reshape(50, 4, 50, 4, 3).mean(axis=(1, 3))
    assert np.abs(coarse - mean).max() < 1.5


@pytest.mark.parametrize("mpp", [0.0, -1.0, 2.5])
def test_concentrations_need_a_fine_grid(everything, mpp):
    with pytest.raises(ValueError, match="mpp must be above 0"):
        everything.concentrations(0, 0, 8, 8, mpp)
