"""Each patch is needed on some supported Paddle, and mends what it says."""

import subprocess
import sys

import numpy as np
import paddle
import pytest

import paddleseg_sclc.plugin  # noqa: F401
from paddleseg_sclc.compat import PATCHES

IS_PADDLE_2 = paddle.__version__.startswith("2.")
# Paddle 2.6 still promotes the types by itself.
NEEDED = set(PATCHES) - ({"mend_cross_entropy"} if IS_PADDLE_2 else set())


@pytest.fixture(scope="module")
def stock_faults() -> set[str]:
    """Patches whose fault a fresh, unpatched PaddleSeg shows."""
    code = (
        "from paddleseg_sclc.compat import PATCHES\n"
        "print(*[name for name, patch in PATCHES.items() if patch.is_needed()])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


@pytest.mark.parametrize("name", list(PATCHES))
def test_patch_is_still_needed(name, stock_faults):
    """If this fails, drop the patch."""
    assert (name in stock_faults) == (name in NEEDED)


@pytest.mark.parametrize("name", list(PATCHES))
def test_patch_mends_its_fault(name):
    assert not PATCHES[name].is_needed()


def test_patches_say_why():
    assert all(patch.fault for patch in PATCHES.values())


def test_calculate_area():
    from paddleseg.utils import metrics

    pred = paddle.to_tensor([[[[0, 1, 1, 0]]]], dtype="int32")
    label = paddle.to_tensor([[[[0, 1, 0, 255]]]], dtype="int64")
    both, preds, labels = metrics.calculate_area(pred, label, 2)
    assert (both.tolist(), preds.tolist(), labels.tolist()) == ([1, 1], [1, 2], [2, 1])
    assert metrics.mean_iou(both, preds, labels)[1] == pytest.approx(0.5)


@pytest.mark.parametrize("weight", [None, [1.0, 3.0]])
@pytest.mark.parametrize("top_k", [1.0, 0.5])
def test_cross_entropy(weight, top_k):
    from paddleseg.models.losses import CrossEntropyLoss

    rng = np.random.default_rng(0)
    logits = rng.normal(size=(1, 2, 4, 4))
    labels = rng.integers(0, 2, (1, 4, 4))
    labels[0, 0, 0] = 255 if top_k == 1.0 else labels[0, 0, 0]
    loss = CrossEntropyLoss(weight=weight, top_k_percent_pixels=top_k)(
        paddle.to_tensor(logits, "float32"), paddle.to_tensor(labels)
    )
    valid = labels != 255
    y = labels[valid]
    z = np.moveaxis(logits, 1, -1)[valid]
    w = np.ones(len(y)) if weight is None else np.array(weight)[y]
    pixel = w * (np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y])
    if top_k == 1.0:
        expected = pixel.sum() / w.sum()
    else:
        top = np.argsort(-pixel)[: len(y) // 2]
        expected = pixel[top].sum() / w[top].sum()
    assert float(loss) == pytest.approx(expected, abs=1e-5)


def test_dice_leaves_the_labels_to_the_next_loss():
    from paddleseg.models.losses import DiceLoss

    labels = paddle.to_tensor([[[0, 255]]], dtype="int64")
    DiceLoss()(paddle.zeros([1, 2, 1, 2]), labels)
    assert labels.tolist() == [[[0, 255]]]


def test_stock_train_refuses_its_traps(tmp_path):
    from paddleseg.core import train

    with pytest.raises(ValueError, match="batch of 3 must find as many images, got 2"):
        train(None, [0, 1], batch_size=3, save_dir=str(tmp_path))
    precious = tmp_path / "output"
    precious.write_text("mine")
    with pytest.raises(FileExistsError, match="save_dir must be a folder"):
        train(None, [0, 1], batch_size=2, save_dir=str(precious))
    assert precious.read_text() == "mine"
