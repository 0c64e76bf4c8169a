"""Accumulation, averaged weights, early stopping, the best few, freezing, groups, pretrained."""

import csv
import json

import numpy as np
import paddle
import pytest
from paddle import nn

from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.losses import DiceCELoss
from paddleseg_sclc.models import MSUNet
from paddleseg_sclc.training.checkpoint import read_arrays, save_checkpoint
from paddleseg_sclc.training.ema import WeightAverage
from paddleseg_sclc.training.options import TrainingOptions
from paddleseg_sclc.training.parameters import Frozen, load_pretrained
from paddleseg_sclc.training.selection import Selection
from paddleseg_sclc.training.step import TrainingStep

SMALL = {"num_blocks": 1, "base_channels": 4}


def one_update(accumulation, loss, ignored=0, freeze_norms=True):
    """Weights after an update by a batch of 12, and the loss."""
    paddle.seed(0)
    model = MSUNet(2, **SMALL)
    options = TrainingOptions(iters=1, batch_size=12, accumulation=accumulation)
    optimizer = paddle.optimizer.Momentum(0.1, 0.9, parameters=model.parameters())
    step = TrainingStep(model, optimizer, {"types": [loss], "coef": [1]}, options)
    if freeze_norms:
        step.frozen._norms = [x for x in model.sublayers() if isinstance(x, nn.BatchNorm2D)]
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (12, 16, 16))
    labels[:ignored] = 255
    images = rng.normal(size=(12, 3, 16, 16)).astype("float32")
    result = step({"img": paddle.to_tensor(images), "label": paddle.to_tensor(labels)})
    return {n: p.numpy() for n, p in model.named_parameters()}, result.loss


@pytest.mark.parametrize("ignored", [0, 5])
def test_accumulating_3_by_4_is_a_batch_of_12(ignored):
    loss = DiceCELoss(dice_coef=0.0)
    whole, loss_whole = one_update(1, loss, ignored)
    parts, loss_parts = one_update(3, loss, ignored)
    start, _ = one_update(1, DiceCELoss(dice_coef=0.0, ce_coef=0.0))
    assert loss_parts == pytest.approx(loss_whole, abs=1e-6)
    assert max(np.abs(whole[n] - start[n]).max() for n in whole) > 1e-3
    for name in whole:
        np.testing.assert_allclose(parts[name], whole[name], atol=1e-5, err_msg=name)


def test_accumulated_dice_is_another_loss_and_docs_say_so():
    """A mean of the parts' Dice is not the Dice of the batch; nor do norms see the whole batch."""
    whole, _ = one_update(1, DiceCELoss(ce_coef=0.0))
    parts, _ = one_update(3, DiceCELoss(ce_coef=0.0))
    difference = max(np.abs(whole[n] - parts[n]).max() for n in whole)
    assert 1e-6 < difference < 1e-2


def test_selection_keeps_the_best_and_waits():
    selection = Selection(keep=2, patience=2)
    assert selection.add(0.5, 1) == (True, True)
    assert selection.add(float("nan"), 2) == (False, False)
    assert selection.add(0.7, 3) == (True, True)
    assert selection.add(0.6, 4) == (False, True)
    assert not selection.exhausted
    assert selection.add(0.7, 5) == (False, True)  # equal: the earlier one is the best
    assert selection.best == [(0.7, 3), (0.7, 5)]
    assert selection.exhausted
    again = Selection(keep=2, patience=2)
    again.load_state(json.loads(json.dumps(selection.state())))
    assert again == selection


def test_average_follows_the_weights():
    model = nn.Linear(1, 1, bias_attr=False)
    model.weight.set_value(paddle.zeros([1, 1]))
    average = WeightAverage(model, 0.5)
    model.weight.set_value(paddle.ones([1, 1]))
    average.update(1)  # keeps 2/11 of it
    assert float(average.model.weight) == pytest.approx(9 / 11)
    average.update(1000)
    assert float(average.model.weight) == pytest.approx(1 - 1 / 11)
    assert float(model.weight) == 1
    assert average.model.weight.stop_gradient


def test_frozen_parts_do_not_change():
    paddle.seed(0)
    model = MSUNet(2, **SMALL)
    before = {n: t.numpy() for n, t in model.state_dict().items()}
    options = TrainingOptions(iters=1, batch_size=2, freeze=("stem", "stage3"))
    optimizer = paddle.optimizer.Momentum(0.1, 0.9, parameters=model.parameters(), weight_decay=0.1)
    step = TrainingStep(model, optimizer, {"types": [DiceCELoss()], "coef": [1]}, options)
    step({"img": paddle.randn([2, 3, 32, 32]), "label": paddle.ones([2, 32, 32], "int64")})
    after = {n: t.numpy() for n, t in model.state_dict().items()}
    changed = {n.split(".")[0] for n in before if (before[n] != after[n]).any()}
    assert not changed & {"stem", "stage3"}
    assert {"stage1", "stage4", "decoder", "head"} <= changed


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["stme"], "'stme' must name a part of the network; known are stem, stage1"),
        (["stag"], "'stag' must name a part"),
    ],
)
def test_names_that_fit_nothing_are_refused(names, message):
    with pytest.raises(UsageError, match=message):
        Frozen(MSUNet(2, **SMALL), names)


def test_something_must_learn():
    with pytest.raises(UsageError, match="something must be left to learn"):
        Frozen(nn.Sequential(nn.Linear(1, 1)), ["0"])


def test_pretrained_with_another_number_of_classes(tmp_path):
    source, model = MSUNet(3, **SMALL), MSUNet(2, **SMALL)
    head = model.head.weight.numpy()
    save_checkpoint(tmp_path / "iter_1", source, None, {})
    said = load_pretrained(model, tmp_path / "iter_1", 2)
    assert (
        "it has 3 classes and this network 2, so that head.weight, head.bias start afresh" in said
    )
    np.testing.assert_array_equal(model.head.weight.numpy(), head)
    np.testing.assert_array_equal(
        model.stem[0]._conv.weight.numpy(), source.stem[0]._conv.weight.numpy()
    )
    same = MSUNet(3, **SMALL)
    assert "all" in load_pretrained(same, tmp_path / "iter_1" / "model.pdparams", 3)
    np.testing.assert_array_equal(same.head.weight.numpy(), source.head.weight.numpy())


def test_pretrained_of_another_network_is_refused(tmp_path):
    save_checkpoint(tmp_path / "iter_1", MSUNet(2, num_blocks=1, base_channels=8), None, {})
    with pytest.raises(SclcError, match="must be of this network"):
        load_pretrained(MSUNet(2, **SMALL), tmp_path / "iter_1", 2)


@pytest.fixture
def train(load_tool, tiny_config, tmp_path):
    """Run tools/train.py on the tiny config; keyword arguments go into its `training` section."""
    tool = load_tool("train")

    def run(*options, name="run", changes=None, **training):
        folder = tmp_path / name
        config = tiny_config(f"{name}.yml", training=training or None, **(changes or {}))
        argv = ["--config", str(config), "--save_dir", str(folder), "--device", "cpu"]
        try:
            return tool.main([*argv, "--log_iters", "1", *options]), folder
        except SystemExit as stop:
            return stop.code, folder

    return run


def test_patience_ends_the_run(train, capsys):
    changes = {"lr_scheduler": {"type": "PolynomialDecay", "learning_rate": 1e-9}}
    code, run = train(
        "--do_eval", "--save_interval", "1", "--patience", "2", "--iters", "50", changes=changes
    )
    assert code == 0
    assert "no better miou in 2 validations" in capsys.readouterr().out
    with open(run / "history.csv") as file:
        validated = [row["iteration"] for row in csv.DictReader(file) if row["miou"]]
    assert 3 <= len(validated) < 20


def test_the_best_few_are_kept_and_averaged_weights_resume(train):
    options = ("--do_eval", "--save_interval", "1", "--use_ema")
    code, whole = train(*options, name="whole", keep_best=2, ema_decay=0.5)
    assert code == 0
    scores = {}
    with open(whole / "history.csv") as file:
        for row in csv.DictReader(file):
            if row["miou"]:
                scores[int(row["iteration"])] = float(row["miou"])
    best = sorted(scores, key=lambda i: (-scores[i], i))[:2]
    assert {p.name for p in whole.glob("best_iter_*")} == {f"best_iter_{i}" for i in best}
    a = read_arrays(whole / f"best_iter_{best[0]}" / "model.pdparams")
    b = read_arrays(whole / "best_model" / "model.pdparams")
    c = read_arrays(whole / f"iter_{max(best[0], 2)}" / "model.pdparams")
    np.testing.assert_array_equal(a["head.weight"], b["head.weight"])
    assert (a["stem.0._conv.weight"] != c["stem.0._conv.weight"]).any()

    train(*options, "--iters", "3", name="half", keep_best=2, ema_decay=0.5)
    resumed = read_arrays(whole / "iter_6" / "ema.pdparams")
    assert (
        resumed["head.weight"] != read_arrays(whole / "iter_5" / "ema.pdparams")["head.weight"]
    ).any()


def test_panels_and_figures_in_visualdl(train):
    from visualdl import LogReader

    code, run = train("--do_eval", "--save_interval", "3", "--use_vdl", panels=1)
    assert code == 0
    reader = LogReader(file_path=str(next(run.glob("vdlrecords*"))))
    assert "Validation/case_4" in reader.tags()["image"] if "image" in reader.tags() else True
    text = str(reader.get_tags())
    assert "Validation/case_4" in text
    assert "Train/loss" in text
    assert "Evaluate/mIoU" in text


def test_groups_have_rates_of_their_own(train):
    """PaddleSeg's own `custom_cfg`."""
    optimizer = {"type": "SGD", "momentum": 0.9, "custom_cfg": [{"name": "stage", "lr_mult": 0.0}]}
    code, run = train("--save_interval", "1", "--iters", "2", changes={"optimizer": optimizer})
    assert code == 0
    a, b = (read_arrays(run / f"iter_{i}" / "model.pdparams") for i in (1, 2))
    conv = "stage3.stage_stage3_1.branches_func.bb_stage3_1_branch_layer_1_1.conv1._conv.weight"
    np.testing.assert_array_equal(a[conv], b[conv])
    assert (a["head.weight"] != b["head.weight"]).any()


def test_pretrained_run(train, capsys):
    _, first = train("--save_interval", "6", name="first")
    code, _ = train("--pretrained", str(first), "--iters", "1", name="second")
    assert code == 0
    assert f"pretrained: {first}/iter_6/model.pdparams: all" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("training", "options", "message"),
    [
        ({"accumulate": 2}, (), "no key 'accumulate'; did you mean 'accumulation'?"),
        ({"accumulation": 0}, (), "training.accumulation: must be a whole number of at least 1"),
        ({"accumulation": 4}, (), "batch_size must be a multiple of 4"),
        ({"ema_decay": 1.5}, (), "training.ema_decay: must be a number in (0, 1), got 1.5"),
        ({"non_finite": "ignore"}, (), "must be one of stop, skip, got 'ignore'"),
        ({"freeze": "stem"}, (), "training.freeze: must be a list of names, got 'stem'"),
        ({"freeze": ["nowhere"]}, (), "'nowhere' must name a part of the network"),
        ({}, ("--patience", "2"), "--patience counts validations; add --do_eval"),
        ({}, ("--accumulation", "0"), "--accumulation must be at least 1"),
        ({}, ("--pretrained", "nowhere"), "nowhere: there is no such checkpoint file"),
    ],
)
def test_bad_settings_give_one_line(train, capsys, training, options, message):
    code, _ = train(*options, **training)
    assert code in (1, 2)
    assert message in capsys.readouterr().err
