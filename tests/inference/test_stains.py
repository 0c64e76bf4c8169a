"""Images to predict get the colours of the training patches, from the run folder alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from paddleseg_sclc.dataset.paddleseg_format import read_image, write_png
from paddleseg_sclc.demo.patches import PatchPlan, draw_patch
from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.inference.stains import InputStains, read_training_stain
from paddleseg_sclc.stain import MacenkoNormalizer, VahadaneNormalizer
from paddleseg_sclc.training.run_folder import RunFolder

PLAN = PatchPlan(size=128)


@pytest.fixture(scope="module")
def patches() -> dict[str, np.ndarray]:
    """Two patches of each of two patients."""
    return {f"{p} {i}": draw_patch(PLAN, p, i)[0] for p in (0, 1) for i in (0, 1)}


@pytest.fixture
def slides(tmp_path, patches) -> list[Path]:
    """Their files, each patient's in a folder, and a blank one."""
    for name, image in patches.items():
        write_png(tmp_path / "in" / f"slide {name[0]}" / f"{name}.png", image)
    write_png(tmp_path / "in" / "blank" / "white.png", np.full((20, 30, 3), 255, np.uint8))
    return sorted((tmp_path / "in").rglob("*.png"))


@pytest.fixture
def run(tmp_path) -> Path:
    """A run folder whose dataset was normalised."""
    root = tmp_path / "data"
    root.mkdir()
    VahadaneNormalizer().save(root / "stain_target.json")
    (root / "dataset.json").write_text(json.dumps({"stain": {"per_patch": False}}))
    folder = RunFolder(tmp_path / "run")
    folder.start({"train_dataset": {"dataset_root": str(root)}}, 0, "cpu", resuming=False)
    return folder.path


def applied(stains, paths):
    return {path.stem: stains(path, read_image(path)) for path in paths}


def test_the_images_of_a_folder_share_a_fit(run, slides, patches):
    stains = InputStains(read_training_stain(run), slides)
    results = applied(stains, slides)
    for patient in "01":
        names = [name for name in patches if name[0] == patient]
        fitted = VahadaneNormalizer().fit_blocks(patches[name] for name in names)
        for name in names:
            np.testing.assert_array_equal(results[name], fitted.transform(patches[name]))
            assert (results[name] != patches[name]).any()
    assert (results["white"] == 255).all()
    assert stains.summary() == (
        "stains, as in training (vahadane): 4 by the fit of its slide, 1 left as it is"
    )
    assert [("blank" in note, "stained tissue" in note) for note in stains.notes] == [(True, True)]


def test_what_has_the_colours_already_is_left_alone(run, tmp_path, slides):
    in_dataset = tmp_path / "data" / "images" / "1.png"
    write_png(in_dataset, read_image(slides[1]))
    MacenkoNormalizer().save(tmp_path / "in" / "stain_target.json")  # of another target
    stains = InputStains(read_training_stain(run), [in_dataset, slides[1]])
    results = applied(stains, [in_dataset, slides[1]])
    np.testing.assert_array_equal(results["1"], read_image(in_dataset))
    assert (results[slides[1].stem] != read_image(slides[1])).any()
    assert dict(stains.outcomes) == {"normalised already": 1, "by the fit of its slide": 1}


def test_a_run_folder_above_says_nothing_about_its_images(run, patches):
    path = run / "new" / "1.png"
    write_png(path, patches["0 0"])
    stains = InputStains(read_training_stain(run), [path])
    assert (stains(path, patches["0 0"]) != patches["0 0"]).any()


def test_patches_that_were_fitted_one_by_one(run, slides, patches):
    (run / "dataset.json").write_text(json.dumps({"stain": {"per_patch": True}}))
    results = applied(InputStains(read_training_stain(run), slides), slides)
    for name, image in patches.items():
        np.testing.assert_array_equal(results[name], VahadaneNormalizer().fit_transform(image))


def test_a_given_fit_is_that_of_all(run, tmp_path, slides, patches):
    fitted = VahadaneNormalizer().fit(patches["1 1"])
    fitted.save(tmp_path / "fit.json")
    results = applied(InputStains(read_training_stain(run), slides, tmp_path / "fit.json"), slides)
    np.testing.assert_array_equal(results["0 0"], fitted.transform(patches["0 0"]))
    MacenkoNormalizer().fit(patches["1 1"]).save(tmp_path / "other.json")
    for name, found in (("other.json", "one of macenko"), ("data/stain_target.json", "no fit")):
        with pytest.raises(UsageError, match=f"must hold a fit by vahadane, got {found}"):
            InputStains(read_training_stain(run), slides, tmp_path / name)


def test_a_run_without_a_target_and_a_damaged_one(run):
    (run / "dataset.json").write_text("[")
    with pytest.raises(SclcError, match=r"dataset\.json: must be the JSON of the training set"):
        read_training_stain(run)
    (run / "stain_target.json").unlink()
    assert read_training_stain(run) is None
