import csv

import cv2
import numpy as np
import pytest

from paddleseg_sclc.demo.patches import PatchPlan, draw_patch


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("make_demo_patches")


SMALL = ["--patients", "2", "--patches-per-patient", "2", "--size", "64"]


def test_folders_as_the_authors_released_them(tool, tmp_path, capsys):
    assert tool.main(["--output", str(tmp_path / "new"), *SMALL, "--seed", "5"]) == 0
    assert "4 patches of 2 patients" in capsys.readouterr().out
    with open(tmp_path / "new" / "groups.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["patient"] for row in rows] == ["patient01"] * 2 + ["patient02"] * 2
    for row in rows:
        image = cv2.imread(str(tmp_path / "new" / "images" / row["patch"]))
        mask = cv2.imread(str(tmp_path / "new" / "masks" / row["patch"]), cv2.IMREAD_UNCHANGED)
        assert image.shape == (64, 64, 3)
        assert mask.shape == (64, 64)
        assert set(np.unique(mask)) <= {0, 255}
    assert len(list((tmp_path / "new").rglob("*.*"))) == 9


def test_same_seed_same_bytes(tool, tmp_path):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert tool.main(["--output", str(tmp_path / name), *SMALL, "--seed", seed]) == 0
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    content = {n: [(tmp_path / n / f).read_bytes() for f in files] for n in "abc"}
    assert content["a"] == content["b"]
    assert content["a"] != content["c"]


def test_a_patch_does_not_depend_on_how_many_there_are():
    few, many = PatchPlan(patients=2, size=48), PatchPlan(patients=20, per_patient=9, size=48)
    for one, other in zip(draw_patch(few, 1, 0), draw_patch(many, 1, 0), strict=True):
        assert np.array_equal(one, other)


def test_patients_are_stained_differently():
    plan = PatchPlan(size=64, mpp=8.0, seed=2)
    means = [draw_patch(plan, patient, 0)[0].mean(axis=(0, 1)) for patient in range(6)]
    assert np.std(means, axis=0).min() > 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--patients", "0"], "--patients: must be from 1 to 9999, got 0"),
        (["--patches-per-patient", "-1"], "--patches-per-patient: must be"),
        (["--size", "15"], "--size: must be from 16"),
        (["--mpp", "0"], "--mpp: must be"),
        (["--mpp", "nan"], "--mpp: must be"),
        (["--seed", "-2"], "--seed: must be"),
    ],
)
def test_bad_numbers_are_one_line(tool, tmp_path, capsys, arguments, message):
    assert tool.main(["--output", str(tmp_path / "o"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_output_that_is_a_file(tool, tmp_path, capsys):
    (tmp_path / "o").write_text("mine")
    assert tool.main(["--output", str(tmp_path / "o"), *SMALL]) == 1
    assert "a file" in capsys.readouterr().err
    assert (tmp_path / "o").read_text() == "mine"
