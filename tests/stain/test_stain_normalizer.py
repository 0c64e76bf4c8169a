import contextlib
import copy
import json
import pickle

import numpy as np
import pytest

from paddleseg_sclc.errors import SclcError, TissueError
from paddleseg_sclc.stain import (
    METHODS,
    LabFit,
    MacenkoNormalizer,
    Outcome,
    ReinhardNormalizer,
    StainNormalizer,
    VahadaneNormalizer,
    stain_angles,
)

ALL = pytest.mark.parametrize("kind", METHODS.values(), ids=list(METHODS))


@ALL
def test_two_runs_give_the_same_bytes(kind, he_image):
    first, second = kind().fit(he_image), kind().fit(he_image.copy())
    assert first.to_dict() == second.to_dict()
    np.testing.assert_array_equal(first.transform(he_image), second.transform(he_image))


@ALL
def test_the_image_is_not_changed(kind, he_image):
    image = he_image.copy()
    image.flags.writeable = False
    result = kind().fit_transform(image)
    assert result.shape == image.shape
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(image, he_image)


@ALL
def test_a_piece_is_transformed_as_it_is_in_the_whole(kind, he_image):
    normalizer = kind().fit(he_image)
    whole = normalizer.transform(he_image)
    np.testing.assert_array_equal(
        normalizer.transform(he_image[100:201, 33:98]), whole[100:201, 33:98]
    )
    np.testing.assert_array_equal(
        normalizer.transform(he_image.reshape(-1, 3)), whole.reshape(-1, 3)
    )


@ALL
def test_blocks_in_any_order_fit_as_the_image_does(kind, he_image):
    blocks = [
        he_image[y : y + 128, x : x + 128] for y in range(0, 640, 128) for x in range(0, 640, 128)
    ]
    whole = kind().fit_blocks([he_image], max_pixels=None)
    assert kind().fit_blocks(blocks).source == whole.source
    assert kind().fit_blocks(iter(blocks[::-1])).source == whole.source


@ALL
@pytest.mark.parametrize("fitted", [True, False])
def test_saved_and_loaded_it_does_the_same(kind, fitted, he_image, tmp_path):
    normalizer = kind(target=he_image[::-1, :300])
    if fitted:
        normalizer.fit(he_image)
    normalizer.save(tmp_path / "folder" / "fit.json")
    for loader in (StainNormalizer, kind):
        loaded = loader.load(tmp_path / "folder" / "fit.json")
        assert type(loaded) is kind
        assert loaded.to_dict() == normalizer.to_dict()
        if fitted:
            np.testing.assert_array_equal(
                loaded.transform(he_image), normalizer.transform(he_image)
            )


def test_options_are_saved(tmp_path):
    normalizer = VahadaneNormalizer(
        0.2,
        95,
        (250, 251, 252),
        tissue="stained",
        scale="released",
        logs="released",
        exclude_ink=False,
    )
    normalizer.save(tmp_path / "fit.json")
    assert VahadaneNormalizer.load(tmp_path / "fit.json").options() == {
        "sparsity": 0.2,
        "percentile": 95.0,
        "background": [250, 251, 252],
        "tissue": "stained",
        "scale": "released",
        "logs": "released",
        "exclude_ink": False,
    }
    text = (tmp_path / "fit.json").read_text()
    assert '"method": "vahadane"' in text
    assert len(text) < 2000


@ALL
def test_it_pickles_and_copies(kind, he_image):
    normalizer = kind().fit(he_image)
    expected = normalizer.transform(he_image)
    for other in (pickle.loads(pickle.dumps(normalizer)), copy.deepcopy(normalizer)):
        np.testing.assert_array_equal(other.transform(he_image), expected)


def test_with_source_leaves_the_normaliser_alone(he_image):
    normalizer = VahadaneNormalizer()
    fitted = normalizer.with_source(VahadaneNormalizer().fit(he_image).source)
    assert normalizer.source is None
    np.testing.assert_array_equal(
        fitted.transform(he_image), VahadaneNormalizer().fit_transform(he_image)
    )
    with pytest.raises(ValueError, match="fit: must be a StainFit, got LabFit"):
        normalizer.with_source(ReinhardNormalizer().target)


@ALL
def test_the_target_may_be_the_median_of_fits(kind, he_image):
    fits = [kind().fit(part).source for part in np.array_split(he_image, 3)]
    normalizer = kind().fit(he_image).with_median_target(fits)
    assert normalizer.source is None
    figures = [fit.to_dict() for fit in fits]
    last = list(figures[0])[-1]  # the background, or the deviation
    expected = np.median([each[last] for each in figures], axis=0)
    np.testing.assert_allclose(normalizer.target.to_dict()[last], expected, atol=0.5)
    with pytest.raises(ValueError, match="at least one"):
        kind().with_median_target([])


@ALL
def test_unfitted_it_says_so(kind, he_image):
    with pytest.raises(ValueError, match="must be fitted"):
        kind().transform(he_image)


def test_attributes_need_a_fit():
    with pytest.raises(ValueError, match="must be fitted"):
        _ = VahadaneNormalizer().stain_matrix


@ALL
def test_a_blank_patch_of_a_fitted_slide_is_fine(kind, he_image, degenerate_images):
    normalizer = kind().fit(he_image)
    for name, image in degenerate_images.items():
        result = normalizer.transform(image)
        assert result.shape == image.shape, name
        assert result.dtype == np.uint8, name


@pytest.mark.parametrize("kind", [VahadaneNormalizer, MacenkoNormalizer])
def test_glass_stays_bright(kind, he_image, degenerate_images):
    normalizer = kind().fit(he_image)
    for name in ("white", "glass", "noisy glass"):
        assert normalizer.transform(degenerate_images[name]).mean() > 235, name


@ALL
def test_every_degenerate_image_is_refused_with_numbers(kind, degenerate_images):
    # Macenko's two ends stay apart in a blurred image, and Reinhard's method knows no stains.
    fine = {
        "macenko": {"out of focus"},
        "reinhard": {"out of focus", "hematoxylin alone", "eosin alone"},
    }
    for name, image in degenerate_images.items():
        if name in fine.get(kind.method, ()):
            continue
        with pytest.raises(TissueError, match=r"^slide 7: .*\d.*; ") as caught:
            kind().fit(image, "slide 7")
        assert len(str(caught.value)) < 300, name


@ALL
def test_a_batch_that_holds_all_of_them_finishes(kind, he_image, degenerate_images):
    batch = {**degenerate_images, "good": he_image}
    outcomes = {}
    for given in (kind(), kind().fit(he_image)):
        before = given.to_dict()
        for name, image in batch.items():
            result, outcomes[name] = given.transform_by_own_fit(image)
            assert result.shape == image.shape
            if outcomes[name] is Outcome.UNCHANGED:
                np.testing.assert_array_equal(result, image)
                assert not np.shares_memory(result, image)
            if outcomes[name] is Outcome.GIVEN_FIT:
                np.testing.assert_array_equal(result, given.transform(image))
        assert outcomes["good"] is Outcome.OWN_FIT
        fallback = Outcome.UNCHANGED if given.source is None else Outcome.GIVEN_FIT
        assert outcomes["white"] is outcomes["black"] is outcomes["one colour"] is fallback
        assert given.to_dict() == before


@pytest.mark.parametrize("color", ["blue", "green", "black", "red"])
def test_a_pen_mark_does_not_spoil_the_fit(color, make_tissue, stains, degenerate_images):
    image = make_tissue(stains["macenko"], size=384)
    marked = image.copy()
    marked[:, :90] = degenerate_images[f"{color} pen"][:, :90]
    clean, found = (VahadaneNormalizer().fit(x) for x in (image, marked))
    assert stain_angles_max(found, clean) < 2
    with contextlib.suppress(TissueError):
        kept = VahadaneNormalizer(exclude_ink=False).fit(marked)
        assert stain_angles_max(kept, clean) > 5


def stain_angles_max(first, second):
    return stain_angles(first.stain_matrix, second.stain_matrix).max()


def good_json():
    return VahadaneNormalizer().to_dict()


def without(key):
    return {name: value for name, value in good_json().items() if name != key}


HOSTILE = {
    "empty": "",
    "not JSON": "{",
    "NaN": json.dumps({**good_json(), "version": float("nan")}),
    "infinity": '{"format": Infinity}',
    "deep": "[" * 100_000,
    "long number": "1" * 100_000,
    "list": "[]",
    "null": "null",
    "other format": json.dumps({**good_json(), "format": "x" * 1000}),
    "other version": json.dumps({**good_json(), "version": 2}),
    "other method": json.dumps({**good_json(), "method": "__init__"}),
    "method of a list": json.dumps({**good_json(), "method": ["vahadane"]}),
    "no target": json.dumps(without("target")),
    "unknown key": json.dumps({**good_json(), "__class__": "os.system"}),
    "options of a list": json.dumps({**good_json(), "options": []}),
    "unknown option": json.dumps({**good_json(), "options": {"sparseness": 1}}),
    "target as an option": json.dumps({**good_json(), "options": {"target": "warwick"}}),
    "wrong option": json.dumps({**good_json(), "options": {"percentile": [99]}}),
    "null target": json.dumps({**good_json(), "target": None}),
    "target by name": json.dumps({**good_json(), "target": "warwick"}),
    "wrong source": json.dumps({**good_json(), "source": {"mean": [1, 2, 3]}}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_one_line(name, tmp_path):
    path = tmp_path / "fit.json"
    path.write_text(HOSTILE[name], encoding="utf-8")
    with pytest.raises(SclcError) as caught:
        StainNormalizer.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < 500


def test_missing_binary_large_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(SclcError, match="cannot be read"):
        StainNormalizer.load(tmp_path / "none.json")
    with pytest.raises(SclcError, match="cannot be read"):
        StainNormalizer.load(tmp_path)
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SclcError, match="UTF-8"):
        StainNormalizer.load(tmp_path / "a.json")
    (tmp_path / "b.json").write_bytes(b" " * 1_000_001)
    with pytest.raises(SclcError, match="at most 1000000 bytes"):
        StainNormalizer.load(tmp_path / "b.json")
    MacenkoNormalizer().save(tmp_path / "c.json")
    with pytest.raises(SclcError, match="method must be vahadane, got 'macenko'"):
        VahadaneNormalizer.load(tmp_path / "c.json")


def test_a_target_image_that_cannot_be_fitted_says_so():
    with pytest.raises(TissueError, match=r"^target: stained tissue"):
        VahadaneNormalizer(target=np.full((64, 64, 3), 255, np.uint8))


def test_targets_of_another_method_are_refused():
    with pytest.raises(ValueError, match="target: must be a StainFit, got LabFit"):
        VahadaneNormalizer(target=LabFit.of((50, 10, -10), (10, 5, 5)))


@pytest.mark.parametrize("image", [None, np.zeros((3, 3)), np.zeros((3, 3, 3), np.uint16)])
def test_other_images_are_refused(image, he_image):
    with pytest.raises(ValueError, match="must be"):
        VahadaneNormalizer().fit(image)
    with pytest.raises(ValueError, match="must be"):
        VahadaneNormalizer().fit(he_image).transform(image)
