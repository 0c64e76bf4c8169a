"""Two processes on the CPU (gloo) against one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest

from paddleseg_sclc.losses.whole_batch import batch_sums
from paddleseg_sclc.models import MSUNet
from paddleseg_sclc.models.recompute import BATCH_NORM
from paddleseg_sclc.training import parallel
from paddleseg_sclc.training.checkpoint import read_arrays

ROOT = Path(__file__).parents[2]


def launch(tmp_path, *arguments, processes=2):
    command = [
        sys.executable,
        "-m",
        "paddle.distributed.launch",
        "--log_dir",
        str(tmp_path / "log"),
    ]
    command += ["--nproc_per_node", str(processes), str(ROOT / "tools" / "train.py"), *arguments]
    # Two processes on two threads each would wait for one another.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    logs = [p.read_text() for p in sorted((tmp_path / "log").glob("workerlog.*"))]
    return result.returncode, logs


def test_two_processes_are_one(tiny_config, tmp_path, load_tool):
    """The paper's loss and rate, frozen batch norms: ten steps, 1e-5."""
    train = load_tool("train").main
    # Batch norms with statistics to freeze.
    first = ["--config", str(tiny_config("first.yml")), "--device", "cpu"]
    assert train([*first, "--save_dir", str(tmp_path / "first"), "--iters", "40"]) == 0
    norms = [
        name
        for name, layer in MSUNet(2, num_blocks=1, base_channels=4).named_sublayers()
        if isinstance(layer, BATCH_NORM)
    ]
    config = tiny_config(iters=10, batch_size=4, training={"freeze": norms})
    options = ["--config", str(config), "--device", "cpu", "--save_interval", "10", "--do_eval"]
    options += ["--log_iters", "1", "--learning_rate", "0.01"]
    options += ["--pretrained", str(tmp_path / "first")]
    one, two = tmp_path / "one", tmp_path / "two"
    assert train([*options, "--save_dir", str(one)]) == 0
    code, logs = launch(tmp_path, *options, "--save_dir", str(two))
    assert code == 0, logs
    assert len(logs) == 2
    assert "[TRAIN]" in logs[0]
    assert "[TRAIN]" not in logs[1]
    a, b = (read_arrays(run / "iter_10" / "model.pdparams") for run in (one, two))
    start = read_arrays(tmp_path / "first" / "iter_40" / "model.pdparams")
    assert max(np.abs(a[name] - start[name]).max() for name in a) > 1e-3
    for name in a:
        np.testing.assert_allclose(b[name], a[name], atol=1e-5, err_msg=name)
    rows = [
        [line.split(",")[:3] for line in (run / "history.csv").read_text().splitlines()]
        for run in (one, two)
    ]
    assert len(rows[0]) == len(rows[1]) == 12
    for left, right in zip(rows[0][1:], rows[1][1:], strict=True):
        assert left[0] == right[0]
        if left[2]:
            assert float(left[2]) == pytest.approx(float(right[2]), abs=1e-5)


def test_a_batch_that_does_not_fall_into_shares_is_refused(tiny_config, tmp_path):
    config = tiny_config(batch_size=3)
    code, logs = launch(tmp_path, "--config", str(config), "--save_dir", str(tmp_path / "run"))
    assert code != 0
    assert "batch_size must be a multiple of 2 (2 processes, 1 parts each), got 3" in logs[0]


def test_alone_nothing_is_exchanged():
    x = paddle.to_tensor([1.0, 2.0])
    assert batch_sums(x) is x
    assert parallel.sum_over_processes(1.5, True) == [1.5, True]
    assert parallel.is_writer()
    parallel.start()
    parallel.barrier()
