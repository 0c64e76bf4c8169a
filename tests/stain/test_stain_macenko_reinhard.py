import cv2
import numpy as np
import pytest

from paddleseg_sclc.errors import SclcError, TissueError
from paddleseg_sclc.stain import LabFit, MacenkoNormalizer, ReinhardNormalizer, stain_angles


def macenko(image, background, beta=0.15, alpha=1):
    """As published, on every pixel."""
    od = np.log(background) - np.log(np.clip(image.reshape(-1, 3), 1, background))
    od = od[(od >= beta).all(axis=1)]
    plane = np.linalg.eigh(np.cov(od.T))[1][:, 1:]
    plane *= np.sign(plane.sum(axis=0))
    angles = np.arctan2(*(od @ plane).T[::-1])
    ends = np.percentile(angles, [alpha, 100 - alpha])
    first, second = (plane @ [np.cos(end), np.sin(end)] for end in ends)
    first, second = (v * np.sign(v.sum()) for v in (first, second))
    pair = np.array([first, second])
    return pair if first[0] / first[2] > second[0] / second[2] else pair[::-1]


@pytest.mark.parametrize("name", ["macenko", "small cell"])
def test_macenko_is_that_of_all_pixels(make_tissue, stains, name):
    image = make_tissue(stains[name], noise=1)
    found = MacenkoNormalizer(background=255).fit(image)
    assert stain_angles(found.stain_matrix, macenko(image, 255.0)).max() < 0.5


def test_macenko_on_real_patches(patches):
    for name, image in patches.items():
        found = MacenkoNormalizer(background=255, exclude_ink=False).fit(image).stain_matrix
        assert stain_angles(found, macenko(image, 255.0)).max() < 1, name


def test_macenko_finds_known_stains(make_tissue, stains):
    found = MacenkoNormalizer().fit(make_tissue(stains["macenko"], 1)).stain_matrix
    assert stain_angles(found, stains["macenko"]).max() < 2


def test_a_beta_that_leaves_nothing_is_refused(he_image):
    with pytest.raises(TissueError, match="choose a smaller beta"):
        MacenkoNormalizer(beta=2).fit(he_image // 2 + 125)


def test_reinhard_gives_the_tissue_the_mean_and_deviation_of_the_target(make_tissue, stains):
    image = make_tissue(stains["macenko"], glass=0)
    target = LabFit.of((60, 20, -15), (12, 8, 7))
    result = ReinhardNormalizer(target=target).fit_transform(image)
    lab = cv2.cvtColor(result.astype(np.float32) / 255, cv2.COLOR_RGB2Lab).reshape(-1, 3)
    np.testing.assert_allclose(lab.mean(axis=0), target.mean, atol=1.5)
    np.testing.assert_allclose(lab.std(axis=0), target.deviation, atol=1.5)


def test_reinhard_is_close_to_the_formula_in_float(make_tissue, stains):
    image = make_tissue(stains["macenko"])
    normalizer = ReinhardNormalizer().fit(image)
    source, target = normalizer.source, normalizer.target
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    moved = (lab - source.mean) * (target.deviation / source.deviation) + target.mean
    exact = cv2.cvtColor(moved.astype(np.float32), cv2.COLOR_Lab2RGB) * 255
    difference = np.abs(normalizer.transform(image) - np.clip(exact, 0, 255))
    assert difference.mean() < 2
    assert np.percentile(difference, 99) < 8


@pytest.mark.parametrize(
    "figures",
    [
        {"mean": [0, 0, 0], "deviation": [0, 1, 1]},
        {"mean": [0, 0, 200], "deviation": [1, 1, 1]},
        {"mean": [0, 0], "deviation": [1, 1, 1]},
        {"mean": [0, 0, 0]},
    ],
)
def test_wrong_lab_figures_are_refused(figures):
    with pytest.raises(SclcError, match=r"^fit: "):
        LabFit.from_dict(figures)


def test_lab_fits_compare_and_hash():
    fit = LabFit.of((60, 20, -15), (12, 8, 7))
    assert fit == LabFit.from_dict(fit.to_dict())
    assert hash(fit) == hash(LabFit.from_dict(fit.to_dict()))
