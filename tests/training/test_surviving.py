"""Runs that meet bad numbers, a full disk, or a sudden end."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import paddle
import pytest

from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.losses import DiceCELoss
from paddleseg_sclc.models import MSUNet
from paddleseg_sclc.training.checkpoint import clean_up, read_arrays, read_state, save_checkpoint
from paddleseg_sclc.training.options import TrainingOptions
from paddleseg_sclc.training.run_folder import RunFolder
from paddleseg_sclc.training.step import TrainingStep

ROOT = Path(__file__).parents[2]


@pytest.fixture
def poisoned(monkeypatch):
    """The sample of the image case_2 has a pixel that is no number."""
    from paddleseg_sclc.training.data import SeededDataset

    stock = SeededDataset.__getitem__

    def getitem(self, key):
        sample = stock(self, key)
        if "case_2" in self.dataset.file_list[key[1]][0]:
            sample["img"] = sample["img"].copy()
            sample["img"][0, 5, 5] = np.nan
        return sample

    monkeypatch.setattr(SeededDataset, "__getitem__", getitem)


@pytest.fixture
def train(load_tool, tiny_config, tmp_path):
    tool = load_tool("train")

    def run(*options, **training):
        config = tiny_config(training=training)
        argv = ["--config", str(config), "--save_dir", str(tmp_path / "run"), "--device", "cpu"]
        return tool.main([*argv, "--log_iters", "1", *options]), tmp_path / "run"

    return run


def assert_finite(arrays):
    for name, array in arrays.items():
        assert np.isfinite(array).all(), name


def test_a_batch_that_is_no_number_stops_with_its_files(train, poisoned, capsys):
    code, run = train("--save_interval", "1", "--batch_size", "1", "--iters", "4")
    err = capsys.readouterr().err
    assert code == 1
    assert err.count("\n") == 1
    (folder,) = run.glob("non_finite_iter_*")
    state = read_state(folder)
    (file,) = state["files"]
    assert file.endswith("images/case_2.png")
    assert f"iteration {state['iteration'] + 1}: loss and gradients must be finite" in err
    assert file in err
    assert_finite(read_arrays(folder / "model.pdparams"))
    # It is the state of the last checkpoint: the batch has changed nothing.
    last = run / f"iter_{state['iteration']}" / "model.pdparams"
    if last.exists():
        before, after = read_arrays(last), read_arrays(folder / "model.pdparams")
        for name in before:
            np.testing.assert_array_equal(before[name], after[name], err_msg=name)


def test_or_it_is_skipped(train, poisoned, capsys):
    code, run = train(
        "--save_interval", "4", "--batch_size", "1", "--iters", "4", non_finite="skip"
    )
    out = capsys.readouterr().out
    assert code == 0
    assert out.count("skipped: iteration") == 1
    assert "case_2.png" in out
    assert_finite(read_arrays(run / "iter_4" / "model.pdparams"))
    assert "nan" not in (run / "history.csv").read_text()


def test_too_many_in_a_row_stop_all_the_same(train, capsys):
    code, _ = train("--learning_rate", "1e30", "--iters", "9", non_finite="skip", max_skipped=2)
    out, err = capsys.readouterr()
    assert code == 1
    assert out.count("skipped: iteration") == 2
    assert "must be finite" in err


def test_a_gradient_that_is_no_number_changes_nothing():
    class Infinite(DiceCELoss):
        def forward(self, logits, labels):
            # The square root's slope at 0: a finite loss with an infinite gradient.
            return paddle.sqrt(paddle.zeros([1]) * logits.sum()).sum()

    model = MSUNet(2, num_blocks=1, base_channels=4)
    before = {n: t.numpy() for n, t in model.state_dict().items()}
    optimizer = paddle.optimizer.Momentum(0.1, 0.9, parameters=model.parameters())
    options = TrainingOptions(iters=1, batch_size=1)
    step = TrainingStep(model, optimizer, {"types": [Infinite()], "coef": [1]}, options)
    result = step(
        {"img": paddle.randn([1, 3, 16, 16]), "label": paddle.zeros([1, 16, 16], "int64")}
    )
    assert result.loss == 0
    assert not result.finite
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name], err_msg=name)


def test_a_full_disk_keeps_the_older_checkpoint(train, capsys, monkeypatch):
    stock = paddle.save

    def save(content, path, *args, **kwargs):
        if ".iter_4." in str(path):
            raise OSError(28, "No space left on device")
        return stock(content, path, *args, **kwargs)

    monkeypatch.setattr(paddle, "save", save)
    code, run = train("--save_interval", "2")
    assert code == 1
    assert "iter_4: cannot be written: the disk is full" in capsys.readouterr().err
    assert RunFolder(run).newest_checkpoint() == run / "iter_2"
    assert not list(run.glob(".*.part"))


def test_a_checkpoint_cut_anywhere_is_never_used(tmp_path):
    """At every byte of the record, and at many of the two large files."""
    model = MSUNet(2, num_blocks=1, base_channels=1)
    optimizer = paddle.optimizer.Momentum(0.1, 0.9, parameters=model.parameters())
    run = RunFolder(tmp_path)
    save_checkpoint(run.checkpoint(1), model, optimizer, {"iteration": 1})
    shutil.copytree(run.checkpoint(1), run.checkpoint(2))
    rng = random.Random(0)
    for file in sorted(run.checkpoint(2).iterdir()):
        content = file.read_bytes()
        cuts = {0, 1, len(content) // 2, len(content) - 1}
        cuts |= set(range(len(content)) if file.suffix == ".json" else [])
        cuts |= {rng.randrange(len(content)) for _ in range(20)}
        for cut in cuts:
            file.write_bytes(content[:cut])
            with pytest.raises(SclcError):
                read_state(run.checkpoint(2))
        assert run.newest_checkpoint() == run.checkpoint(1)
        file.unlink()
        assert run.newest_checkpoint() == run.checkpoint(1)
        file.write_bytes(content)
        assert run.newest_checkpoint() == run.checkpoint(2)


def test_what_a_killed_process_left_is_cleaned_up(tmp_path):
    for name in (".iter_4.0123abcd.part", ".best_model.0123abcd.part.old", "iter_2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    clean_up(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"best_model", "iter_2"}
    (tmp_path / ".iter_2.0123abcd.part.old").mkdir()
    clean_up(tmp_path)
    assert (tmp_path / "iter_2" / "file").read_text() == "iter_2"
    assert {p.name for p in tmp_path.iterdir()} == {"best_model", "iter_2"}


def kill_and_resume(config, folder, kills, iters, interval, seed):
    """Train with SIGKILLs at random moments; returns iterations at each kill and at each start."""
    command = [sys.executable, str(ROOT / "tools" / "train.py"), "--config", str(config)]
    command += ["--save_dir", str(folder), "--device", "cpu", "--iters", str(iters)]
    command += ["--save_interval", str(interval), "--log_iters", "1", "--resume_model", "auto"]
    command += ["--do_eval"]
    rng, history = random.Random(seed), folder / "history.csv"

    def done():
        rows = history.read_text().split("\n")[1:-1] if history.exists() else []
        return max([int(row.split(",")[0]) for row in rows if row], default=0)

    # Iterations after which to kill, and a moment within the next one.
    targets = sorted(rng.sample(range(1, iters - 1), kills))
    losses = []
    for target in targets:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while done() < target and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.random() * 0.3)
        process.kill()
        process.wait()
        newest = RunFolder(folder).newest_checkpoint()
        saved = int(newest.name[5:]) if newest else 0
        losses.append(done() - saved)
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return losses


def check_kills(tiny_config, tmp_path, kills, iters, interval):
    config = tiny_config(iters=iters)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, str(ROOT / "tools" / "train.py"), "--config", str(config)]
    command += ["--save_dir", str(whole), "--device", "cpu", "--do_eval", "--log_iters", "1"]
    subprocess.run([*command, "--save_interval", str(interval)], check=True, capture_output=True)
    lost = kill_and_resume(config, killed, kills, iters, interval, seed=0)
    assert len(lost) == kills
    # The row of an iteration is written before its checkpoint is.
    assert max(lost) <= interval
    for file in ("model.pdparams", "model.pdopt"):
        a, b = (read_arrays(run / f"iter_{iters}" / file) for run in (whole, killed))
        assert list(a) == list(b)
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    states = [json.loads((r / "best_model" / "state.json").read_text()) for r in (whole, killed)]
    assert states[0]["miou"] == states[1]["miou"]
    assert not list(killed.glob(".*.part*"))


def test_killed_and_resumed_ends_as_the_undisturbed_run(tiny_config, tmp_path):
    check_kills(tiny_config, tmp_path, kills=2, iters=12, interval=3)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_twenty_kills(tiny_config, tmp_path):
    check_kills(tiny_config, tmp_path, kills=20, iters=200, interval=10)
