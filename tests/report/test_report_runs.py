"""Table, report and cross-validation of tiny trained networks."""

import csv
import json
import shutil
from pathlib import Path

import lxml.html
import numpy as np
import pytest
import yaml
from PIL import Image

from paddleseg_sclc.training.run_folder import RunFolder

PATCHES = 8


@pytest.fixture(scope="module")
def dataset(load_tool, tmp_path_factory) -> Path:
    """Eight 32x32 patches of four patients, by tools/import_patches.py."""
    root = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    with open(root / "groups.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["patch", "patient"])
        for index in range(PATCHES):
            mask = np.zeros((32, 32), np.uint8)
            y, x = rng.integers(2, 14, 2)
            mask[y : y + 16, x : x + 16] = 255
            image = np.where(mask[..., None] > 0, 90, 220) + rng.integers(-20, 20, (32, 32, 3))
            Image.fromarray(image.astype(np.uint8)).save(root / "images" / f"c{index}.png")
            Image.fromarray(mask).save(root / "masks" / f"c{index}.png")
            writer.writerow([f"c{index}", f"patient{index // 2}"])
    argv = ["--images", root / "images", "--masks", root / "masks", "--output", root / "data"]
    argv += ["--groups", root / "groups.csv", "--val-groups", "patient3"]
    assert load_tool("import_patches").main([str(x) for x in argv]) == 0
    return root / "data"


@pytest.fixture(scope="module")
def config(dataset):
    """Write a config of a tiny network and return its path."""

    def write(name: str, **model) -> str:
        common = {
            "type": "Dataset",
            "dataset_root": str(dataset),
            "num_classes": 2,
            "transforms": [{"type": "Normalize"}],
        }
        content = {
            "batch_size": 2,
            "iters": 4,
            "train_dataset": {**common, "mode": "train", "train_path": f"{dataset}/train.txt"},
            "val_dataset": {**common, "mode": "val", "val_path": f"{dataset}/val.txt"},
            "optimizer": {"type": "SGD", "momentum": 0.9},
            "lr_scheduler": {"type": "PolynomialDecay", "learning_rate": 0.05},
            "loss": {"types": [{"type": "DiceCELoss"}], "coef": [1]},
            "model": {"type": "MSUNet", "num_classes": 2, "num_blocks": 1, "base_channels": 4}
            | model,
        }
        path = dataset.parent / f"{name}.yml"
        path.write_text(yaml.safe_dump(content))
        return str(path)

    return write


@pytest.fixture(scope="module")
def runs(load_tool, config, dataset) -> list[Path]:
    """A network with a counterpart in the paper's table 1, and one without."""
    folders = []
    for name, blocks in (("two_blocks", 2), ("one_block", 1)):
        folder = dataset.parent / name
        argv = ["--config", config(name, num_blocks=blocks), "--save_dir", folder, "--do_eval"]
        argv += ["--device", "cpu", "--save_interval", "2"]
        assert load_tool("train").main([str(x) for x in argv]) == 0
        folders.append(folder)
    return folders


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_one_command_gives_table_1_and_the_report(val, runs, tmp_path, capsys):
    argv = ["--run", *runs, "--output", tmp_path / "out", "--report", tmp_path / "r.html"]
    assert val(*argv, "--resamples", 100, "--device", "cpu") == 0
    out, err = capsys.readouterr()
    for column in ("Params", "MACs", "mIOU", "Accuracy", "Kappa", "paper: mIOU", "HD95", "ECE"):
        assert column in out
    assert "0.8860" in out  # the paper's 2 ConvBlocks
    assert "best of 2 validations was chosen on these very images" in out
    assert "warning" not in err
    table = read(tmp_path / "out" / "table.json")
    two, one = table["runs"]
    assert two["paper"]["parameters"] == "71.21M"
    assert one["paper"] is None
    assert two["macs_256"] > one["macs_256"] > 0
    assert one["seconds_per_image"] > 0
    page = lxml.html.fromstring((tmp_path / "r.html").read_text(encoding="utf-8"))
    captions = [c.text_content() for c in page.xpath("//figure/figcaption")]
    assert {"Training loss", "mIoU on the validation set"} <= set(captions)


def test_a_dataset_that_was_trained_on_is_warned_of(val, runs, dataset, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(dataset, data)
    shutil.copy(data / "train.txt", data / "val.txt")
    assert val("--run", runs[0], "--dataset", data, "--resamples", 100) == 0
    err = capsys.readouterr().err
    # Another folder, so other files; the pictures and the patients are the same.
    assert "6 of 6 evaluated images look the same as one trained on" in err
    assert "3 patients are on both sides" in err
    assert "these figures are too good" in err
    assert val("--run", runs[0], "--dataset", data, "--resamples", 100, "--skip_checks") == 0
    assert "warning" not in capsys.readouterr().err


def test_the_same_files_are_warned_of(val, runs, dataset, capsys):
    opts = ["--opts", f"val_dataset.val_path={dataset}/train.txt"]
    assert val("--run", runs[0], "--resamples", 100, *opts) == 0
    assert "6 of 6 evaluated images were trained on" in capsys.readouterr().err


def test_last_weights_and_a_run_without_a_best_model(val, runs, tmp_path, capsys):
    assert val("--run", runs[0], "--weights", "last", "--resamples", 100) == 0
    assert "weights of the last checkpoint, iter_4" in capsys.readouterr().out
    copy = tmp_path / "copy"
    shutil.copytree(runs[0], copy)
    shutil.rmtree(copy / "best_model")
    assert val("--run", copy, "--resamples", 100) == 0
    assert "has no best model" in capsys.readouterr().out
    for folder in copy.glob("iter_*"):
        shutil.rmtree(folder)
    assert val("--run", copy) == 1
    assert "has no weights yet" in capsys.readouterr().err


def test_runs_with_other_class_counts_are_refused(val, runs, tmp_path, capsys):
    other = tmp_path / "three"
    shutil.copytree(runs[0], other)
    content = yaml.safe_load((other / "config.yml").read_text())
    content["val_dataset"]["num_classes"] = content["model"]["num_classes"] = 3
    content["train_dataset"]["num_classes"] = 3
    (other / "config.yml").write_text(yaml.safe_dump(content))
    assert val("--run", runs[0], other) == 2
    assert "must have as many classes as two_blocks, 2, got 3" in capsys.readouterr().err


def test_predictions_of_another_program_stand_beside_a_run(val, runs, dataset, tmp_path):
    masks = dataset.parent / "masks"
    argv = ["--run", runs[0], "--predictions", f"truth={masks}", "--output", tmp_path / "t.json"]
    assert val(*argv, "--resamples", 100) == 0
    run, truth = read(tmp_path / "t.json")["runs"]
    assert truth["miou"] == truth["boundary_f"] == 1
    assert truth["hd95"] == 0
    assert run["miou"] < 1


@pytest.fixture(scope="module")
def cross_validated(load_tool, config, dataset):
    """A cross-validation of one network by two folds, and the command again."""
    out = dataset.parent / "cv"
    argv = ["--config", config("tiny"), "--folds", 2, "--save_dir", out, "--device", "cpu"]
    argv = [str(x) for x in [*argv, "--save_interval", 2]]

    def again(*options: object) -> int:
        return load_tool("cross_validate").main([*argv, *map(str, options)])

    assert again() == 0
    return out, again


def test_folds_are_by_patient_and_val_joins_them(cross_validated, val, tmp_path, capsys):
    out, _ = cross_validated
    assert read(out / "tiny" / "cross_validation.json")["by"] == "patient"
    val_lists = [(out / "folds" / f"fold{i}" / "val.txt").read_text().split() for i in range(2)]
    of = [{int(n[8]) // 2 for n in names if n.startswith("images/")} for names in val_lists]
    assert of[0] | of[1] == {0, 1, 2, 3}
    assert not of[0] & of[1]
    argv = ["--run", out / "tiny", "--output", tmp_path / "t.json", "--report", tmp_path / "r.html"]
    assert val(*argv, "--resamples", 100) == 0
    text, err = capsys.readouterr()
    assert "2 folds joined" in text
    assert "Folds of tiny" in text
    assert "warning" not in err
    (run,) = read(tmp_path / "t.json")["runs"]
    assert len(run["images"]) == PATCHES
    assert len(run["folds"]) == 2
    assert run["units"] == 4


def test_a_finished_fold_is_left_alone_and_a_missing_one_made_again(cross_validated, capsys):
    out, again = cross_validated
    weights = out / "tiny" / "fold0" / "best_model" / "model.pdparams"
    before = weights.stat().st_mtime_ns
    shutil.rmtree(out / "tiny" / "fold1")
    assert again() == 0
    assert "fold0: finished already" in capsys.readouterr().out
    assert weights.stat().st_mtime_ns == before
    assert (out / "tiny" / "fold1" / "best_model").is_dir()


def test_a_fold_goes_on_from_its_checkpoint(cross_validated, capsys):
    out, again = cross_validated
    fold = out / "tiny" / "fold1"
    newest = RunFolder(fold).newest_checkpoint()
    state = read(newest / "state.json")
    assert state["iteration"] == 4
    assert again("--iters", 4) == 0
    assert capsys.readouterr().out.count("finished already") == 2


def test_another_config_in_the_same_folder_is_refused(cross_validated, capsys):
    _, again = cross_validated
    assert again("--learning_rate", "0.001") == 2
    assert "holds a run of another config (other lr_scheduler)" in capsys.readouterr().err


def test_dataset_does_not_go_with_folds(cross_validated, val, dataset, capsys):
    out, _ = cross_validated
    assert val("--run", out / "tiny", "--dataset", dataset) == 2
    assert "is a cross-validation" in capsys.readouterr().err


def test_damaged_plan_gives_one_line(cross_validated, val, tmp_path, capsys):
    out, _ = cross_validated
    copy = tmp_path / "tiny"
    shutil.copytree(out / "tiny", copy)
    (copy / "cross_validation.json").write_text('{"folds": ["../x"]}')
    assert val("--run", copy) == 1
    assert "must be what tools/cross_validate.py writes" in capsys.readouterr().err


def test_copies_without_folds_are_refused(load_tool, config, dataset, tmp_path, capsys):
    from report_case import manifest_row, write_manifest_rows

    data = tmp_path / "data"
    shutil.copytree(dataset, data)
    rows = [manifest_row(f"c{i}", f"p{i}", variant_of="c0" if i == 1 else "") for i in range(8)]
    write_manifest_rows(data, rows)
    argv = ["--config", config("tiny"), "--dataset", str(data), "--save_dir", str(tmp_path / "cv")]
    assert load_tool("cross_validate").main([*argv, "--device", "cpu"]) == 1
    assert "--protocol patient --all-folds" in capsys.readouterr().err
    assert not (tmp_path / "cv").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--folds", "9"], "from 2 to the number of patients, 4, got 9"),
        (["--iters", "0"], "at least 1"),
    ],
)
def test_bad_options_of_cross_validation(load_tool, config, tmp_path, capsys, options, message):
    argv = ["--config", config("tiny"), "--save_dir", str(tmp_path / "cv"), "--device", "cpu"]
    try:
        code = load_tool("cross_validate").main([*argv, *options])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert message in capsys.readouterr().err
