"""The table of ready predictions, in every format, against independent computations."""

import csv
import json
import math
import shutil

import numpy as np
import pytest
from scipy import ndimage
from sklearn import metrics as sk


@pytest.fixture(scope="module")
def written(case, load_tool, tmp_path_factory):
    """The folder that one evaluation of both programs wrote."""
    out = tmp_path_factory.mktemp("table")
    argv = ["--dataset", case.root, "--predictions", f"good={case.good}", f"bad_one={case.bad}"]
    code = load_tool("val").main([str(x) for x in [*argv, "--output", out, "--resamples", 300]])
    assert code == 0
    return out


@pytest.fixture
def runs(written):
    content = json.loads((written / "table.json").read_text(encoding="utf-8"))
    return {run["name"]: run for run in content["runs"]}


def pixels(case):
    """Labels, predictions and probabilities of all pixels that count."""
    valid = {name: case.labels[name] != 255 for name in case.names}
    return [
        np.concatenate([source[name][valid[name]] for name in case.names])
        for source in (case.labels, case.preds, case.probs)
    ]


def test_pooled_figures_agree_with_scikit_learn(case, runs):
    label, pred, prob = pixels(case)
    expected = {
        "miou": sk.jaccard_score(label, pred, average="macro"),
        "accuracy": sk.accuracy_score(label, pred),
        "kappa": sk.cohen_kappa_score(label, pred),
        "tumour_dice": sk.f1_score(label, pred),
        "sensitivity": sk.recall_score(label, pred),
        "specificity": sk.recall_score(label, pred, pos_label=0),
        "precision": sk.precision_score(label, pred),
        "auroc": sk.roc_auc_score(label, prob),
        "average_precision": sk.average_precision_score(label, prob),
    }
    for name, value in expected.items():
        assert runs["good"][name] == pytest.approx(value, abs=3e-3 if name[0] == "a" else 1e-9), (
            name
        )


def test_averaged_figures_are_means_of_the_images(case, runs):
    scores = []
    for name in case.names:
        valid = case.labels[name] != 255
        label, pred = case.labels[name][valid], case.preds[name][valid]
        scores.append(sk.jaccard_score(label, pred, average="macro"))
    assert runs["good"]["mean_miou"] == pytest.approx(np.mean(scores))
    assert [image["miou"] for image in runs["good"]["images"]] == pytest.approx(scores)


def test_hausdorff_distance_is_in_micrometres(case, runs):
    """By SciPy's distance transform; the manifest says 0.75 um down and 0.5 um across."""
    distances = []
    for name in case.names:
        valid = case.labels[name] != 255
        outlines = []
        for mask in (case.preds[name] == 1, case.labels[name] == 1):
            # What is ignored is outside for neither, so it erodes nothing.
            eroded = ndimage.binary_erosion(mask | ~valid, border_value=1)
            outlines.append(mask & ~eroded & valid)
        to = [ndimage.distance_transform_edt(~line, sampling=(0.75, 0.5)) for line in outlines]
        both = np.concatenate([to[1][outlines[0]], to[0][outlines[1]]])
        distances.append(np.percentile(both, 95))
    assert [i["hd95"] for i in runs["good"]["images"]] == pytest.approx(distances)
    assert runs["good"]["hd95"] == pytest.approx(np.mean(distances))


def test_masks_without_probabilities_have_no_calibration(runs):
    for name in ("calibration_error", "auroc", "average_precision"):
        assert runs["bad_one"][name] is None
    assert runs["good"]["calibration_error"] > 0


def test_units_are_the_patients_and_intervals_hold_the_figures(written, runs):
    content = json.loads((written / "table.json").read_text(encoding="utf-8"))
    assert content["unit"] == "patient"
    for run in runs.values():
        assert run["units"] == 6
        for name in ("miou", "kappa", "mean_miou", "hd95"):
            low, high = run["intervals"][name]
            assert low <= run[name] <= high


def test_the_better_program_is_found_so(written):
    content = json.loads((written / "table.json").read_text(encoding="utf-8"))
    (comparison,) = content["comparisons"]
    assert comparison["test"]["difference"] > 0.2
    # Six patients can give 2 / 2^6 at least.
    assert comparison["test"]["p"] == comparison["corrected_p"] == pytest.approx(1 / 32)


def test_csv_has_a_line_a_row_in_full_precision(written, runs):
    with open(written / "table.csv", newline="", encoding="utf-8") as file:
        lines = {line["name"]: line for line in csv.DictReader(file)}
    assert list(lines) == ["good", "bad_one"]
    assert float(lines["good"]["miou"]) == runs["good"]["miou"]
    assert float(lines["good"]["miou_low"]) == runs["good"]["intervals"]["miou"][0]
    assert lines["good"]["length_unit"] == "um"
    assert lines["bad_one"]["calibration_error"] == ""


def test_markdown_and_latex_have_every_row_and_escape_names(written, runs):
    markdown = (written / "table.md").read_text(encoding="utf-8")
    assert f"{runs['good']['miou']:.4f}" in markdown
    assert "| bad_one" in markdown
    latex = (written / "table.tex").read_text(encoding="utf-8")
    assert r"bad\_one" in latex
    assert latex.count(r"\begin{table}") == latex.count(r"\end{table}") == 5
    assert not [line for line in latex.splitlines() if "_" in line.replace(r"\_", "")]


def test_one_file_by_its_suffix_and_no_other(case, val, tmp_path):
    argv = ["--dataset", case.root, "--predictions", f"good={case.good}", "--resamples", 100]
    assert val(*argv, "--output", tmp_path / "a.csv") == 0
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
    assert val(*argv, "--output", tmp_path / "a.html") == 2


def test_the_unit_asked_for_is_taken(case, val, tmp_path):
    argv = ["--dataset", case.root, "--predictions", f"good={case.good}", "--resamples", 100]
    assert val(*argv, "--unit", "patch", "--output", tmp_path / "t.json") == 0
    content = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert (content["unit"], content["runs"][0]["units"]) == ("patch", 12)


def test_without_a_manifest_distances_are_pixels_and_units_patches(case, val, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(case.root, data)
    (data / "manifest.csv").unlink()
    argv = ["--dataset", data, "--predictions", f"good={case.good}", "--resamples", 100]
    assert val(*argv, "--output", tmp_path / "t.json") == 0
    content = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert (content["length_unit"], content["unit"]) == ("px", "patch")
    out = capsys.readouterr().out
    assert "HD95 (px)" in out
    assert "Patients are not known" in out
    assert val(*argv, "--unit", "patient") == 2
    assert "the patient of every image must be known" in capsys.readouterr().err


def test_groups_of_import_patches_are_patients(case, val, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(case.root, data)
    (data / "manifest.csv").unlink()
    groups = {name: name.split("_")[0] for name in case.names}
    (data / "dataset.json").write_text(json.dumps({"classes": ["a", "b"], "groups": groups}))
    argv = ["--dataset", data, "--predictions", f"good={case.good}", "--resamples", 100]
    assert val(*argv, "--output", tmp_path / "t.json") == 0
    content = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert (content["unit"], content["runs"][0]["units"]) == ("patient", 6)


def test_degenerate_predictions_are_written_as_undefined(case, val, tmp_path):
    from paddleseg_sclc.dataset.paddleseg_format import write_png

    for name in case.names:
        write_png(tmp_path / "none" / f"{name}.png", np.zeros((48, 64), np.uint8))
    argv = ["--dataset", case.root, "--predictions", f"none={tmp_path / 'none'}"]
    assert val(*argv, "--resamples", 100, "--output", tmp_path / "out") == 0
    (run,) = json.loads((tmp_path / "out" / "table.json").read_text(encoding="utf-8"))["runs"]
    assert run["precision"] is None
    assert run["sensitivity"] == run["tumour_dice"] == run["boundary_f"] == run["kappa"] == 0
    assert run["hd95"] == pytest.approx(math.hypot(48 * 0.75, 64 * 0.5))


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ("missing", 1, "p3_1.png (1 of 12) has none"),
        ("size", 1, "must have the size of its label, 64x48, got 32x24"),
        ("values", 1, "must hold the values 0 to 1, got 7"),
        ("nowhere", 2, "must be a folder of predicted masks"),
        ("zero images", 1, "must name at least one image"),
        ("no mask", 1, "a mask must be here"),
        ("manifest", 1, "must have the columns of a manifest"),
    ],
)
def test_bad_input_gives_one_line(case, val, tmp_path, capsys, change, code, message):
    data, preds = tmp_path / "data", tmp_path / "bad"
    shutil.copytree(case.root, data)
    shutil.copytree(case.bad, preds)
    from paddleseg_sclc.dataset.paddleseg_format import write_png

    if change == "missing":
        (preds / "p3_1.png").unlink()
    elif change == "size":
        write_png(preds / "p3_1.png", np.zeros((24, 32), np.uint8))
    elif change == "values":
        write_png(preds / "p3_1.png", np.full((48, 64), 7, np.uint8))
    elif change == "nowhere":
        preds = tmp_path / "nowhere"
    elif change == "zero images":
        (data / "val.txt").write_text("")
    elif change == "no mask":
        (data / "masks" / "p3_1.png").unlink()
    elif change == "manifest":
        (data / "manifest.csv").write_text("a,b\n1,2\n")
    out = tmp_path / "out"
    assert val("--dataset", data, "--predictions", f"x={preds}", "--output", out) == code
    err = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(err) == 1
    assert message in err[0]
    assert not out.exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--predictions", "x"],
        ["--level", "1.5"],
        ["--resamples", "3"],
        ["--compare", "beauty"],
        ["--report", "a.pdf"],
        ["--images", "p0_0"],
        ["--tolerance", "-1"],
    ],
)
def test_bad_options_are_refused(case, val, options):
    argv = ["--dataset", case.root, "--predictions", f"good={case.good}"]
    assert val(*argv, *options) == 2
