"""Whole runs of a tiny network, through the tool."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import paddle
import pytest

from paddleseg_sclc.training.checkpoint import read_arrays

ROOT = Path(__file__).parents[2]


@pytest.fixture
def train(load_tool, tiny_config, tmp_path):
    """Run tools/train.py on the tiny config; returns exit code and run folder."""
    tool = load_tool("train")

    def run(*options, name="run", config=None):
        folder = tmp_path / name
        argv = ["--config", str(config or tiny_config()), "--save_dir", str(folder)]
        return tool.main([*argv, "--device", "cpu", "--log_iters", "1", *options]), folder

    return run


def history(folder: Path) -> list[dict[str, str]]:
    with open(folder / "history.csv") as file:
        return list(csv.DictReader(file))


def losses(folder: Path) -> list[str]:
    return [row["loss"] for row in history(folder) if row["loss"]]


def test_a_run_leaves_all_that_later_steps_need(train):
    code, run = train("--do_eval", "--save_interval", "3", "--use_vdl")
    assert code == 0
    names = {p.name for p in run.iterdir()}
    assert {"config.yml", "environment.json", "history.csv", "best_model"} <= names
    assert {"iter_3", "iter_6"} <= names
    assert any(name.startswith("vdlrecords") for name in names)
    environment = json.loads((run / "environment.json").read_text())
    assert environment["seed"] == 0
    assert environment["versions"]["paddleseg"] == "2.8.0"
    rows = history(run)
    assert len(losses(run)) == 6
    validated = [row for row in rows if row["kappa"]]
    assert [row["iteration"] for row in validated] == ["3", "6"]
    state = json.loads((run / "best_model" / "state.json").read_text())
    scores = {row["iteration"]: float(row["miou"]) for row in validated}
    assert state["miou"] == max(scores.values())
    # The schedule of equation 3, 6 iterations from 0.05, power 0.9.
    rates = [float(row["lr"]) for row in rows if row["loss"]]
    decay = [(1 - i / 6) ** 0.9 for i in range(6)]
    assert rates == pytest.approx([(0.05 - 1e-4) * d + 1e-4 for d in decay], rel=1e-6)


def test_kappa_can_choose_the_best_model(train):
    code, run = train("--do_eval", "--save_interval", "2", "--best_metric", "kappa")
    assert code == 0
    state = json.loads((run / "best_model" / "state.json").read_text())
    scores = [float(row["kappa"]) for row in history(run) if row["kappa"]]
    assert state["best_metric"] == "kappa"
    assert state["kappa"] == max(scores)


def test_same_seed_same_losses(train, tiny_config):
    config = tiny_config(iters=10)
    _, a = train(name="a", config=config)
    _, b = train(name="b", config=config)
    _, c = train("--seed", "1", name="c", config=config)
    assert len(losses(a)) == 10
    assert losses(a) == losses(b)
    assert losses(a) != losses(c)


def test_resuming_goes_on_as_the_undisturbed_run(train, tiny_config):
    _, whole = train("--save_interval", "2", "--do_eval", name="whole")
    _, half = train("--save_interval", "2", "--do_eval", name="half")
    for folder in ("iter_4", "iter_6"):
        for file in (half / folder).iterdir():
            file.unlink()
        (half / folder).rmdir()
    (half / "history.csv").write_text(
        "".join((half / "history.csv").read_text().splitlines(keepends=True)[:5])
    )
    code, _ = train("--save_interval", "2", "--do_eval", "--resume_model", "auto", name="half")
    assert code == 0
    untimed = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in history(run)]
        for run in (whole, half)
    ]
    assert untimed[0] == untimed[1]
    for file in ("model.pdparams", "model.pdopt"):
        a, b = read_arrays(whole / "iter_6" / file), read_arrays(half / "iter_6" / file)
        assert list(a) == list(b)
        assert a.get("LR_Scheduler") == b.get("LR_Scheduler")
        for name in a:
            if name != "LR_Scheduler":
                np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_resuming_passes_over_a_damaged_checkpoint(train, capsys):
    _, run = train("--save_interval", "2")
    (run / "iter_6" / "model.pdopt").write_bytes(b"cut")
    code, _ = train("--save_interval", "2", "--resume_model", "auto")
    out, err = capsys.readouterr()
    assert code == 0
    assert "resuming from" in out
    assert "iter_4" in out
    assert "passed over" in err


def test_old_checkpoints_are_removed(train):
    _, run = train("--save_interval", "1", "--keep_checkpoint_max", "2")
    assert sorted(p.name for p in run.glob("iter_*")) == ["iter_5", "iter_6"]


def test_a_second_run_does_not_overwrite_the_first(train, capsys):
    train()
    code, _ = train()
    assert code == 2
    assert "holds a run already" in capsys.readouterr().err


def test_a_file_named_like_the_run_folder_stays(train, tmp_path, capsys):
    (tmp_path / "run").write_text("mine")
    code, run = train()
    assert code == 1
    assert run.read_text() == "mine"
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_output_folder(train, tmp_path, capsys):
    (tmp_path / "run").mkdir(mode=0o500)
    code, _ = train()
    assert code == 1
    assert "no permission" in capsys.readouterr().err


def test_read_only_output_folder_as_root(train, tmp_path, capsys, monkeypatch):
    """What a read-only file system answers, which root meets too."""
    real = Path.mkdir

    def mkdir(self, *args, **kwargs):
        if self.name == "run":
            raise OSError(30, "Read-only file system")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    code, _ = train()
    assert code == 1
    err = capsys.readouterr().err
    assert "run: cannot be written: the file system is read-only" in err
    assert err.count("\n") == 1


def test_more_images_in_a_batch_than_in_the_dataset(train):
    code, run = train("--batch_size", "6", "--iters", "2")
    assert code == 0
    assert len(losses(run)) == 2


def test_a_loss_that_is_not_finite_stops_the_run(train, capsys):
    code, run = train("--learning_rate", "1e30", "--save_interval", "1")
    assert code == 1
    assert "loss and gradients must be finite" in capsys.readouterr().err
    assert not any("nan" in loss for loss in losses(run))


def test_ctrl_c_ends_with_a_checkpoint_and_can_be_resumed(tiny_config, tmp_path):
    run = tmp_path / "run"
    config = tiny_config(iters=100_000)
    command = [sys.executable, str(ROOT / "tools" / "train.py"), "--config", str(config)]
    command += ["--save_dir", str(run), "--log_iters", "1", "--device", "cpu"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (run / "history.csv").exists():
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "go on with --resume_model auto" in out
    assert "Traceback" not in err
    (checkpoint,) = run.glob("iter_*")
    assert int(checkpoint.name[5:]) == len(losses(run))


def test_stock_paddleseg_trains_evaluates_and_predicts(tiny_config, tmp_path, tiny_dataset):
    """Our components under the stock loop, as somebody with PaddleSeg's own tools runs them."""
    from paddleseg.core import evaluate, predict, train
    from paddleseg.transforms import Compose

    from paddleseg_sclc.training.config import Builder, load_config

    builder = Builder(load_config(tiny_config()))
    paddle.seed(0)
    output = tmp_path / "stock"
    train(
        builder.model,
        builder.train_dataset,
        builder.val_dataset,
        builder.optimizer,
        str(output),
        iters=4,
        batch_size=2,
        save_interval=2,
        log_iters=1,
        use_vdl=True,
        losses=builder.loss,
    )
    weights = output / "best_model" / "model.pdparams"
    assert weights.is_file()
    miou, accuracy, *_ = evaluate(builder.model, builder.val_dataset, print_detail=False)
    assert 0 <= miou <= accuracy <= 1
    predict(
        builder.model,
        str(weights),
        Compose(builder.val_transforms),
        [str(tiny_dataset / "images" / "case_5.png")],
        save_dir=str(tmp_path / "pred"),
    )
    assert (tmp_path / "pred" / "pseudo_color_prediction" / "case_5.png").is_file()


def test_stock_figures_are_ours(tiny_config, train):
    from paddleseg.core import evaluate as stock_evaluate

    from paddleseg_sclc.evaluation import evaluate
    from paddleseg_sclc.inference.engine import Predictor
    from paddleseg_sclc.training.trained import find_trained

    _, run = train("--do_eval", "--save_interval", "6")
    builder = find_trained(str(run), None, None).build()
    ours = evaluate(Predictor(builder.model), builder.val_dataset).figures()
    miou, accuracy, iou, precision, kappa = stock_evaluate(
        builder.model, builder.val_dataset, print_detail=False
    )
    assert ours["miou"] == pytest.approx(miou)
    assert ours["accuracy"] == pytest.approx(accuracy)
    assert ours["kappa"] == pytest.approx(kappa)
    np.testing.assert_allclose(ours["class_iou"], iou)
    np.testing.assert_allclose(ours["class_precision"], precision)
