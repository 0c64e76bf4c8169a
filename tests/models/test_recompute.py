"""Recomputed activations: the same training step with less memory."""

import numpy as np
import paddle
import pytest
from paddle import nn

from paddleseg_sclc.losses import DiceCELoss
from paddleseg_sclc.models import MSUNet
from paddleseg_sclc.models.recompute import frozen_statistics, recomputed

MODES = ["stages", "blocks"]


def build(recompute, num_blocks=1):
    paddle.seed(0)
    model = MSUNet(2, num_blocks=num_blocks, base_channels=4, recompute=recompute)
    for layer in model.sublayers():  # blocks that do something from the first step on
        if isinstance(layer, nn.BatchNorm2D):
            nn.initializer.Constant(0.8)(layer.weight)
    return model


def images():
    rng = np.random.default_rng(0)
    x = paddle.to_tensor(rng.normal(size=(2, 3, 32, 48)).astype("float32"))
    return x, paddle.to_tensor(rng.integers(0, 2, (2, 32, 48)))


def step(model):
    """Gradients and all tensors of a model after a forward and a backward pass."""
    x, y = images()
    loss = DiceCELoss()(model(x)[0], y)
    loss.backward()
    gradients = {n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None}
    return gradients, {n: t.numpy() for n, t in model.state_dict().items()}


def assert_same(a, b):
    assert list(a) == list(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.fixture(scope="module")
def plain():
    return step(build("none"))


@pytest.mark.parametrize("mode", MODES)
def test_gradients_and_statistics_are_those_of_the_plain_network(plain, mode):
    gradients, tensors = step(build(mode))
    assert len(gradients) > 100
    assert_same(gradients, plain[0])
    assert_same(tensors, plain[1])


@pytest.mark.parametrize("mode", MODES)
def test_the_same_with_frozen_parts(mode):
    results = []
    for recompute in ("none", mode):
        model = build(recompute)
        for part in (model.stem, model.stage1, model.stage3):
            for parameter in part.parameters():
                parameter.stop_gradient = True
        for layer in model.stage4.sublayers():
            if isinstance(layer, nn.BatchNorm2D):
                layer.eval()
        results.append(step(model))
    assert_same(results[1][0], results[0][0])
    assert_same(results[1][1], results[0][1])
    assert not any(name.startswith(("stem", "stage1", "stage3")) for name in results[0][0])


def test_statistics_do_change_in_a_step(plain):
    before = {n: t.numpy() for n, t in build("none").state_dict().items()}
    changed = [n for n in before if n.endswith("_mean") and (before[n] != plain[1][n]).any()]
    assert len(changed) == sum(n.endswith("_mean") for n in before)


@pytest.mark.parametrize("mode", MODES)
def test_less_is_kept(mode):
    """What lies between forward and backward pass, by Paddle's own count; peaks: test_planner."""

    def kept(recompute):
        model, (x, _) = build(recompute, num_blocks=4), images()
        before = paddle.base.core.host_memory_stat_current_value("Allocated", 0)
        logits = model(x)[0]
        after = paddle.base.core.host_memory_stat_current_value("Allocated", 0)
        del logits
        return after - before

    assert kept(mode) < 0.35 * kept("none")


@pytest.mark.parametrize("mode", MODES)
def test_mode_does_not_matter_without_gradients(mode):
    x, _ = images()
    logits = []
    for recompute in ("none", mode):
        model = build(recompute)
        model.eval()
        logits.append(model(x)[0].numpy())
        model.train()
        with paddle.no_grad():
            logits.append(model(x)[0].numpy())
    np.testing.assert_array_equal(logits[0], logits[2])
    np.testing.assert_array_equal(logits[1], logits[3])


def test_export_does_not_know_it(tmp_path):
    model = build("stages")
    model.eval()
    x, _ = images()
    spec = [paddle.static.InputSpec([None, 3, None, None], "float32")]
    static = paddle.jit.to_static(model, input_spec=spec, full_graph=True)
    paddle.jit.save(static, str(tmp_path / "model"))
    exported = paddle.jit.load(str(tmp_path / "model"))
    expected = model(x)[0].numpy()
    found = exported(x)
    found = found[0] if isinstance(found, list | tuple) else found
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_another_word_is_refused():
    with pytest.raises(ValueError, match="recompute must be one of none, stages, blocks, got True"):
        MSUNet(2, recompute=True)


def test_statistics_are_frozen_only_inside():
    norm = nn.BatchNorm2D(3)
    norm.train()
    x = paddle.randn([2, 3, 4, 4]) + 5
    with frozen_statistics([norm, nn.ReLU()]):
        inside = norm(x).numpy()
        assert not norm._mean.numpy().any()
    np.testing.assert_array_equal(norm(x).numpy(), inside)
    assert norm._mean.numpy().all()


def test_a_layer_behind_the_image_learns():
    conv = nn.Conv2D(3, 2, 3)
    x = paddle.randn([1, 3, 8, 8])
    recomputed(conv, x).sum().backward()
    assert conv.weight.grad is not None
    assert x.stop_gradient
