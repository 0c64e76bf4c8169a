import numpy as np
import pytest

from paddleseg_sclc.errors import TissueError
from paddleseg_sclc.stain import (
    StainFit,
    VahadaneNormalizer,
    concentrations,
    estimate_stain_matrix,
    separate,
    stain_angles,
)
from paddleseg_sclc.stain.dictionary import RUIFROK, sparse_codes

DAMAGES = {
    "none": {},
    "noise": {"noise": 3},
    "JPEG 60": {"quality": 60},
    "tint": {"tint": (0.93, 0.97, 0.9)},
    "strong tint": {"tint": (1.0, 0.93, 0.85)},
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("ratio", [0.25, 1, 4])
@pytest.mark.parametrize("name", ["ruifrok", "macenko", "small cell"])
def test_known_stains_are_found_within_a_degree(make_tissue, stains, name, ratio, damage):
    image = make_tissue(stains[name], ratio, size=512, **DAMAGES[damage])
    found = VahadaneNormalizer().fit(image).stain_matrix
    assert stain_angles(found, stains[name]).max() < 1


def test_known_concentrations_are_found(make_tissue, stains):
    """The 99th percentile of twice the stain is twice as large."""
    once = VahadaneNormalizer().fit(make_tissue(stains["macenko"], strength=(1.0, 0.7)))
    twice = VahadaneNormalizer().fit(make_tissue(stains["macenko"], strength=(2.0, 1.4)))
    np.testing.assert_allclose(twice.max_concentrations / once.max_concentrations, 2, rtol=0.04)


def optimum(image, background):
    """The slow, plain way: every tissue pixel of its own colour, and many rounds."""
    keys, counts = np.unique(
        image.reshape(-1, 3).astype(np.int64) @ [65536, 256, 1], return_counts=True
    )
    rgb = np.stack([keys >> 16, keys >> 8 & 255, keys & 255])
    tissue = (rgb < 220).all(axis=0)
    light = np.clip(rgb[:, tissue].astype(float), 1, background[:, None])
    od, weights = np.log(background)[:, None] - np.log(light), counts[tissue] / counts.sum()
    atoms = RUIFROK
    for _ in range(400):
        codes = sparse_codes(od, atoms, 0.1)
        gram, target = (codes * weights) @ codes.T, (codes * weights) @ od.T
        last, atoms = atoms, atoms.copy()
        for row in range(2):
            atom = np.maximum(atoms[row] + (target[row] - gram[row] @ atoms) / gram[row, row], 0)
            atoms[row] = atom / max(np.linalg.norm(atom), 1)
        if np.abs(atoms - last).max() < 1e-6:
            break
    return atoms


@pytest.mark.parametrize("background", [255, "estimate"])
def test_real_images_are_fitted_close_to_the_optimum_over_all_pixels(patches, background):
    for name, image in patches.items():
        normalizer = VahadaneNormalizer(background=background).fit(image)
        angles = stain_angles(normalizer.stain_matrix, optimum(image, normalizer.background))
        assert angles.max() < 0.1, name


def test_hematoxylin_comes_first_whatever_there_is_more_of(make_tissue, stains):
    for name, matrix in stains.items():
        for ratio in (0.1, 10):
            found = VahadaneNormalizer().fit(make_tissue(matrix, ratio)).stain_matrix
            own, swapped = stain_angles(found, matrix), stain_angles(found, matrix[::-1])
            assert own.max() < swapped.min(), (name, ratio)


def test_pale_eosin_is_let_in(make_tissue, stains):
    """Ruifrok's eosin takes 7 % of the red: all of it is brighter than 220 there."""
    image = make_tissue(stains["ruifrok"], 1, strength=(1.0, 0.6))
    with pytest.raises(TissueError, match="optical density of eosin"):
        VahadaneNormalizer(tissue="released").fit(image)
    assert stain_angles(VahadaneNormalizer().fit(image).stain_matrix, stains["ruifrok"])[1] < 1.5


def test_where_nothing_is_pale_the_choice_of_tissue_changes_nothing(make_tissue, stains):
    image = make_tissue(stains["small cell"], glass=0, strength=(1.6, 1.4)).clip(0, 219)
    fits = [VahadaneNormalizer(tissue=t).fit(image) for t in ("auto", "stained", "released")]
    assert fits[0].source == fits[1].source == fits[2].source
    assert stain_angles(fits[0].stain_matrix, stains["small cell"]).max() < 1


def test_the_released_choices_change_what_they_say(he_image):
    plain = VahadaneNormalizer(background=250).fit(he_image)
    one_pixel = VahadaneNormalizer(background=250, logs="released").fit(he_image)
    assert 0.01 < stain_angles(one_pixel.stain_matrix, plain.stain_matrix).max() < 1
    assert not np.array_equal(one_pixel.transform(he_image), plain.transform(he_image))
    scaled = VahadaneNormalizer(background=250, scale="released").fit(he_image)
    np.testing.assert_array_equal(scaled.stain_matrix, plain.stain_matrix)
    assert (scaled.max_concentrations < plain.max_concentrations).any()


def test_estimate_stain_matrix_is_that_of_the_normaliser(he_image):
    np.testing.assert_array_equal(
        estimate_stain_matrix(he_image, 0.05, background=250),
        VahadaneNormalizer(0.05, background=250).fit(he_image).stain_matrix,
    )


def test_normalised_tissue_has_the_stains_of_the_target(make_tissue, stains):
    target = StainFit.of(stains["ruifrok"], (1.2, 0.9), (250, 250, 250))
    normalizer = VahadaneNormalizer(target=target)
    for name in ("macenko", "small cell"):
        image = make_tissue(stains[name], tint=(0.95, 0.97, 0.93))
        again = VahadaneNormalizer().fit(normalizer.fit_transform(image))
        assert stain_angles(again.stain_matrix, target.stain_matrix).max() < 1
        np.testing.assert_allclose(again.max_concentrations, target.max_concentrations, rtol=0.03)
        np.testing.assert_allclose(again.background, 250, atol=2)


def test_real_patches_come_out_in_the_stains_of_the_target(patches):
    normalizer = VahadaneNormalizer()
    angles = []
    for name, image in patches.items():
        if name != "warwick_target.png":
            again = VahadaneNormalizer().fit(normalizer.fit_transform(image))
            angles.append(stain_angles(again.stain_matrix, normalizer.target.stain_matrix))
    assert np.mean(angles) < 1


def test_the_median_of_the_fits_of_parts_is_close_to_the_fit_of_all(he_image):
    parts = [VahadaneNormalizer().fit(part).source for part in np.array_split(he_image, 4)]
    whole = VahadaneNormalizer().fit(he_image).source
    assert stain_angles(StainFit.median(parts).stain_matrix, whole.stain_matrix).max() < 0.5


def test_separated_stains_multiply_to_the_image(he_image):
    normalizer = VahadaneNormalizer().fit(he_image)
    matrix, background = normalizer.stain_matrix, normalizer.background
    amounts = concentrations(he_image, matrix, background)
    assert amounts.dtype == np.float32
    assert amounts.shape == (*he_image.shape[:2], 2)
    assert amounts.min() >= 0
    hematoxylin, eosin = separate(he_image, matrix, background)
    product = hematoxylin / background * eosin
    rebuilt = background * np.exp(-amounts @ matrix)
    assert np.abs(product - rebuilt).max() < 2
    # Each alone has its own stain's direction.
    for stain, image in enumerate((hematoxylin, eosin)):
        od = np.log(background) - np.log(np.maximum(image.reshape(-1, 3), 1))
        strong = od[(od.max(axis=1) > 0.5) & (od.max(axis=1) < 2)]
        angle = stain_angles(strong.mean(axis=0)[None], matrix[stain][None])
        assert angle[0] < 0.2


@pytest.mark.parametrize(
    "options",
    [
        {"sparsity": -0.1},
        {"sparsity": float("nan")},
        {"sparsity": "0.1"},
        {"percentile": 101},
        {"background": "guess"},
        {"background": (255, 255)},
        {"tissue": "all"},
        {"scale": "all"},
        {"logs": 2},
        {"target": "oxford"},
        {"target": 3},
    ],
)
def test_wrong_options_are_refused_at_once(options):
    with pytest.raises(ValueError, match=f"^{next(iter(options))}: must"):
        VahadaneNormalizer(**options)
