"""The planner's estimates against Paddle's own peaks."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest

from paddleseg_sclc.losses import DiceCELoss
from paddleseg_sclc.models import MSUNet
from paddleseg_sclc.training.planner import Footprint, make_plans, trace

ROOT = Path(__file__).parents[2]
# Peaks cannot be set back on Paddle 2: cases run in one process from the smallest to the largest.
MEASURE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from test_planner import builder
from paddleseg_sclc.training.planner import measure
cases = json.loads(sys.argv[2])
print(json.dumps([measure(builder(way, width), n, 64, 64) for way, width, n in cases]))
"""


def builder(recompute, width):
    def build():
        model = MSUNet(2, num_blocks=4, base_channels=width, recompute=recompute)
        optimizer = paddle.optimizer.Momentum(0.01, 0.9, parameters=model.parameters())
        return model, optimizer, {"types": [DiceCELoss()], "coef": [1]}

    return build


@pytest.fixture(scope="module")
def peaks():
    """Estimated and measured peaks by way, width and batch; three widths, two batches."""
    ways = [("stages", 4), ("stages", 5), ("stages", 6), ("blocks", 5), ("none", 5)]
    estimates = {}
    for way, width in ways:
        footprint = trace(builder(way, width))
        for n in (2, 4):
            estimates[way, width, n] = footprint.peak(n, 64, 64, cpu=True)
    cases = sorted(estimates, key=estimates.get)
    command = [sys.executable, "-c", MEASURE, str(Path(__file__).parent), json.dumps(cases)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    measured = json.loads(result.stdout.splitlines()[-1])
    return estimates, dict(zip(cases, measured, strict=True))


def test_estimates_are_the_measured_peaks(peaks):
    estimates, measured = peaks
    assert len({width for _, width, _ in measured}) == 3
    for case, estimate in estimates.items():
        assert estimate == pytest.approx(measured[case], rel=0.15), case


@pytest.mark.parametrize("way", ["stages", "blocks"])
def test_an_image_takes_a_third_or_less(peaks, way):
    _, measured = peaks
    image = {w: (measured[w, 5, 4] - measured[w, 5, 2]) / 2 for w in ("none", way)}
    assert image[way] < 0.35 * image["none"]


def test_peak_is_the_greatest_moment():
    footprint = Footprint(
        weights=100,
        gradients=80,
        optimizer=80,
        constant=np.array([0.0, 50.0]),
        per_pixel=np.array([2.0, 1.0]),
        kept_per_pixel=1.5,
        workspace=np.array([0.0, 3.0]),
    )
    assert footprint.peak(1, 1, 10) == 100 + 80 + 60  # the end of the backward pass
    assert footprint.peak(10, 1, 10) == 100 + 80 + 200  # the end of the forward pass
    assert footprint.peak(10, 1, 10, accumulation=10) == 100 + 80 + 80 + 20
    assert footprint.peak(1, 1, 10, cpu=True) == 100 + 80 + 90
    assert footprint.peak(1, 1, 10, average=True) == 200 + 80 + 60
    plans = make_plans({"none": footprint, "stages": footprint}, 2, 1, 10, 320)
    assert [(p.recompute, p.accumulation, p.fits) for p in plans] == [
        ("none", 1, True),
        ("stages", 1, True),
        ("none", 2, True),
        ("stages", 2, True),
    ]
    assert plans[0].kept == 15


@pytest.fixture
def plan(load_tool, tiny_config):
    def run(*options, **changes):
        tool = load_tool("plan_memory")
        try:
            return tool.main(["--config", str(tiny_config(**changes)), *options])
        except SystemExit as stop:
            return stop.code

    return run


def test_tool_prints_settings_and_advice(plan, capsys):
    assert plan("--size", "64", "64", "--memory", "1GB", "--reserve", "0MB") == 0
    out = capsys.readouterr().out
    assert "take model.recompute: none" in out
    assert out.count(" yes |") == 6
    assert plan("--size", "64", "64", "--memory", "1MB", "--reserve", "0MB") == 0
    assert "nothing fits" in capsys.readouterr().out


def test_tool_measures(plan, capsys):
    assert plan("--size", "32", "32", "--measure", "--device", "cpu") == 0
    assert "peak of a step, batch 2 of 32x32, recompute none, float32:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "do not say how large the images are; give --size H W"),
        (("--size", "30", "32"), "must be multiples of 16, got 30 32"),
        (("--memory", "24"), "'24' must be a number with MB, GB, MiB or GiB"),
        (("--batch_size", "0"), "--batch_size must be at least 1"),
    ],
)
def test_bad_options_give_one_line(plan, capsys, options, message):
    assert plan(*options) == 2
    assert message in capsys.readouterr().err
