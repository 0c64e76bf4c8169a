"""What stands on both sides of a split is found, and nothing else."""

import shutil

import cv2
import numpy as np
import pytest
from report_case import manifest_row, write_manifest_rows

from paddleseg_sclc.dataset.augment import VARIANTS, AugmentOptions, augment
from paddleseg_sclc.dataset.paddleseg_format import Sample, write_png
from paddleseg_sclc.demo.patches import PatchPlan, draw_patch
from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.report.leaks import LeakCheck
from paddleseg_sclc.report.provenance import Origin, Provenance, choose_unit, read_provenance
from paddleseg_sclc.report.similarity import find_matches, look_at

NOTHING = Provenance({})


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    """Four patches of two patients with all their copies, and copies saved otherwise."""
    root = tmp_path_factory.mktemp("leaks") / "images"
    plan = PatchPlan(patients=2, per_patient=2, size=320, mpp=1.5, seed=3)
    for patient in range(2):
        for index in range(2):
            image, mask = draw_patch(plan, patient, index)
            name = f"p{patient}_{index}"
            write_png(root / f"{name}.png", image)
            for variant in augment(image, mask, name, AugmentOptions()):
                write_png(root / f"{name}_{variant.kind}.png", variant.image)
            half = cv2.resize(image, (200, 200), interpolation=cv2.INTER_AREA)
            write_png(root / f"{name}_small.png", half)
            write_png(root / f"{name}_turned.png", np.ascontiguousarray(np.rot90(image)))
            # Cut so that three quarters of the width are shared.
            write_png(root / f"{name}_left.png", np.ascontiguousarray(image[:, :240]))
            write_png(root / f"{name}_right.png", np.ascontiguousarray(image[:, 80:]))
    return root


def looks(root, names):
    return [look_at(root / f"{name}.png") for name in names]


ORIGINALS = [f"p{p}_{i}" for p in range(2) for i in range(2)]


@pytest.mark.parametrize("kind", [*VARIANTS, "small", "turned"])
def test_copies_are_found_and_other_patches_are_not(patches, kind):
    matches = find_matches(
        looks(patches, ORIGINALS), looks(patches, [f"{n}_{kind}" for n in ORIGINALS])
    )
    assert [(m.first, m.second) for m in matches] == [(i, i) for i in range(4)]
    expected = "overlapping" if kind in ("rotate", "offset") else "same"
    assert {m.kind for m in matches} == {expected}


def test_overlapping_patches_are_found(patches):
    left = looks(patches, [f"{n}_left" for n in ORIGINALS])
    right = looks(patches, [f"{n}_right" for n in ORIGINALS])
    assert [(m.first, m.second) for m in find_matches(left, right)] == [(i, i) for i in range(4)]


def test_blank_images_do_no_harm(tmp_path):
    write_png(tmp_path / "a.png", np.full((40, 40, 3), 255, np.uint8))
    write_png(tmp_path / "b.png", np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    find_matches(looks(tmp_path, ["a", "b"]), looks(tmp_path, ["a", "b"]))
    assert find_matches([], looks(tmp_path, ["a"])) == []


def test_the_released_patches_4_and_5_overlap_and_no_others(shared):
    files = sorted((shared / "sclc_patches").rglob("images/*.png"))
    if not files:
        pytest.skip("the released patches are not there")
    found = [look_at(path) for path in files]
    pairs = {
        (files[m.first].stem, files[m.second].stem)
        for m in find_matches(found, found)
        if m.first < m.second
    }
    assert pairs == {("4", "5")}


def samples(root, names):
    return [Sample(root / f"{name}.png", root / f"{name}.png") for name in names]


def test_files_copies_and_patients_on_both_sides_are_named(patches):
    origins = {
        f"{n}{suffix}": Origin(n.split("_")[0], None, None, n)
        for n in ORIGINALS
        for suffix in ("", "_flip")
    }
    provenance = Provenance(origins, "paper")
    trained = samples(patches, ["p0_0", "p0_1_flip"])
    evaluated = samples(patches, ["p0_0", "p0_1", "p1_0"])
    leaks = LeakCheck().check(trained, evaluated, provenance, provenance)
    assert [f.rsplit("/", 1)[1] for f in leaks.files] == ["p0_0.png"]
    assert len(leaks.copies) == 1
    assert leaks.patients == ("p0",)
    assert [(a.rsplit("/", 1)[1], k) for a, _, k in leaks.similar] == [("p0_1.png", "same")]
    assert any("trained on" in line for line in leaks.lines())


def test_a_clean_split_says_so_and_unknown_patients_are_said(patches):
    leaks = LeakCheck().check(
        samples(patches, ["p0_0", "p0_1"]), samples(patches, ["p1_0"]), NOTHING, NOTHING
    )
    assert not leaks.any
    assert leaks.patients is None
    assert "patients (not known)" in leaks.summary()
    assert "nothing is on both sides" in leaks.summary()


def test_the_same_data_is_looked_at_once(patches, monkeypatch):
    from paddleseg_sclc.report import leaks as module

    seen = []
    monkeypatch.setattr(module, "look_at", lambda path: seen.append(path) or look_at(path))
    checker = LeakCheck()
    for _ in range(3):
        checker.check(samples(patches, ["p0_0"]), samples(patches, ["p1_0"]), NOTHING, NOTHING)
    assert len(seen) == 2


def test_the_unit_is_the_most_independent_one_known():
    full, slide, bare = Origin("p", "s"), Origin(None, "s"), Origin()
    assert choose_unit([full, full]) == "patient"
    assert choose_unit([full, slide]) == "slide"
    assert choose_unit([full, bare]) == "patch"
    assert choose_unit([full], "slide") == "slide"


def test_a_manifest_tells_origin_and_scale(tmp_path):
    rows = [manifest_row("a", "x"), manifest_row("a_flip", "x", variant="flip", variant_of="a")]
    write_manifest_rows(tmp_path, rows)
    provenance = read_provenance(tmp_path)
    assert provenance.of("images/a_flip.png") == Origin("x", "x_slide", (0.75, 0.5), "a")
    assert provenance.of("images/other.png") == Origin()
    (tmp_path / "dataset.json").write_text("[1]")
    with pytest.raises(SclcError, match="must be a JSON object"):
        read_provenance(tmp_path)


def test_a_folder_that_says_nothing_is_no_error(tmp_path):
    assert read_provenance(tmp_path) == NOTHING
    shutil.rmtree(tmp_path)
    assert read_provenance(tmp_path) == NOTHING
