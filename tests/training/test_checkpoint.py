import json
import pickle

import numpy as np
import paddle
import pytest

from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.models import MSUNet
from paddleseg_sclc.training.checkpoint import (
    load_weights,
    read_arrays,
    read_state,
    save_checkpoint,
)

SMALL = {"num_classes": 2, "num_blocks": 1, "base_channels": 4}


@pytest.fixture
def model():
    return MSUNet(**SMALL)


def test_round_trip(tmp_path, model):
    save_checkpoint(tmp_path / "iter_3", model, None, {"iteration": 3})
    other = MSUNet(**SMALL)
    load_weights(other, tmp_path / "iter_3")
    for (name, a), (_, b) in zip(
        model.state_dict().items(), other.state_dict().items(), strict=True
    ):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=name)
    assert read_state(tmp_path / "iter_3")["iteration"] == 3
    assert [p.name for p in tmp_path.iterdir()] == ["iter_3"]


def test_paddleseg_loads_it(tmp_path, model):
    from paddleseg.utils import utils

    save_checkpoint(tmp_path / "iter_3", model, None, {})
    other = MSUNet(**SMALL)
    utils.load_entire_model(other, str(tmp_path / "iter_3" / "model.pdparams"))
    np.testing.assert_array_equal(other.head.weight.numpy(), model.head.weight.numpy())


@pytest.mark.parametrize("file", ["model.pdparams", "state.json"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_cut_checkpoint_is_recognised(tmp_path, model, file, share):
    save_checkpoint(tmp_path / "iter_3", model, None, {"iteration": 3})
    path = tmp_path / "iter_3" / file
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(SclcError, match="resume from"):
        read_state(tmp_path / "iter_3")


def test_a_failed_save_leaves_the_older_checkpoint(tmp_path, model, monkeypatch):
    save_checkpoint(tmp_path / "best_model", model, None, {"iteration": 1})

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(paddle, "save", full_disk)
    with pytest.raises(SclcError, match="best_model: cannot be written: the disk is full"):
        save_checkpoint(tmp_path / "best_model", model, None, {"iteration": 2})
    assert read_state(tmp_path / "best_model")["iteration"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["best_model"]


def test_a_checkpoint_is_replaced_whole(tmp_path, model):
    for iteration in (1, 2):
        save_checkpoint(tmp_path / "best_model", model, None, {"iteration": iteration})
    assert read_state(tmp_path / "best_model")["iteration"] == 2
    assert [p.name for p in tmp_path.iterdir()] == ["best_model"]


def test_weights_of_another_network_name_the_tensors(tmp_path, model):
    save_checkpoint(tmp_path / "wide", MSUNet(**{**SMALL, "base_channels": 8}), None, {})
    with pytest.raises(SclcError) as caught:
        load_weights(model, tmp_path / "wide")
    message = str(caught.value)
    assert "stem.0._conv.weight has shape [8, 3, 3, 3] instead of [4, 3, 3, 3]" in message
    assert "more; use the config that it was trained with" in message
    assert "\n" not in message


def test_weights_of_another_depth_name_the_tensors(tmp_path, model):
    save_checkpoint(tmp_path / "deep", MSUNet(**{**SMALL, "num_blocks": 2}), None, {})
    with pytest.raises(SclcError, match="is unknown"):
        load_weights(model, tmp_path / "deep")


class Malice:
    def __reduce__(self):
        return (open, ("/tmp/pwned", "w"))


@pytest.mark.parametrize(
    "content", [pickle.dumps({"w": Malice()}), b"", b"not a pickle", pickle.dumps([1])]
)
def test_files_that_are_not_arrays_are_refused_without_running_them(tmp_path, content):
    path = tmp_path / "model.pdparams"
    path.write_bytes(content)
    with pytest.raises(SclcError, match="a checkpoint must"):
        read_arrays(path)


def test_missing_file_is_named(tmp_path, model):
    with pytest.raises(SclcError, match="there is no such checkpoint file"):
        load_weights(model, tmp_path / "nowhere.pdparams")


def test_state_cannot_lead_out_of_the_checkpoint(tmp_path, model):
    save_checkpoint(tmp_path / "iter_3", model, None, {})
    state = tmp_path / "iter_3" / "state.json"
    state.write_text(json.dumps({"sha256": {"../../secret": "0"}}))
    with pytest.raises(SclcError):
        read_state(tmp_path / "iter_3")
