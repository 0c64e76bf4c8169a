import numpy as np
import paddle
import pytest

from paddleseg_sclc.losses import DiceCELoss
from paddleseg_sclc.models import MSUNet
from paddleseg_sclc.models.summary import count_macs, count_parameters

SMALL = {"num_classes": 2, "num_blocks": 2, "base_channels": 4}


@pytest.mark.parametrize(("num_blocks", "expected"), [(2, 71_212_354), (4, 122_157_378)])
def test_parameter_counts_are_the_papers(num_blocks, expected):
    assert count_parameters(MSUNet(2, num_blocks)) == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("UNet", 13_404_354), ("AttentionUNet", 34_894_262)]
)
def test_parameter_counts_of_the_compared_networks(name, expected):
    from paddleseg.cvlibs import manager

    assert count_parameters(manager.MODELS[name](num_classes=2)) == expected


def test_macs_do_not_depend_on_the_size_they_are_counted_at():
    model = MSUNet(**SMALL)
    assert count_macs(model, 128, 64) * 8 == count_macs(model, 256, 256)
    model.train()
    count_macs(model)
    assert model.training


@pytest.mark.parametrize("size", [(16, 16), (32, 48), (64, 16)])
def test_logits_have_the_inputs_size(size):
    model = MSUNet(num_classes=3, num_blocks=1, base_channels=4, in_channels=1)
    model.eval()
    (logits,) = model(paddle.zeros([2, 1, *size]))
    assert logits.shape == [2, 3, *size]


def test_branches_have_the_resolutions_of_the_paper():
    seen = {}
    model = MSUNet(**SMALL)
    model.stage4.register_forward_post_hook(
        lambda layer, inputs, outputs: seen.update(branches=[list(x.shape) for x in outputs])
    )
    model.bottom.register_forward_post_hook(
        lambda layer, inputs, output: seen.update(bottom=list(output.shape))
    )
    model(paddle.zeros([1, 3, 32, 32]))
    assert seen["branches"] == [[1, 4, 32, 32], [1, 8, 16, 16], [1, 16, 8, 8], [1, 32, 4, 4]]
    assert seen["bottom"] == [1, 32, 2, 2]


def test_no_layer_is_unused():
    model = MSUNet(**SMALL)
    model(paddle.randn([1, 3, 32, 32]))[0].sum().backward()
    unused = [
        name for name, p in model.named_parameters() if not p.stop_gradient and p.grad is None
    ]
    assert unused == []


@pytest.mark.parametrize(
    ("size", "nearest"),
    [
        ((30, 32), "16x32 or 32x32"),
        ((100, 250), "96x240 or 112x256"),
        ((8, 16), "16x16 or 16x16"),
    ],
)
def test_other_sizes_are_refused_with_the_nearest(size, nearest):
    with pytest.raises(ValueError, match=nearest):
        MSUNet(**SMALL)(paddle.zeros([1, 3, *size]))


@pytest.mark.parametrize("name", ["num_classes", "num_blocks", "base_channels", "in_channels"])
@pytest.mark.parametrize("value", [0, -1, 2.5, True, "4"])
def test_bad_arguments_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a positive integer"):
        MSUNet(**{**SMALL, name: value})


def learn(model, iterations=8):
    """Losses of a model on one batch of two textures."""
    rng = np.random.default_rng(0)
    labels = np.zeros((2, 32, 32), np.int64)
    labels[:, 8:24, 8:24] = 1
    images = rng.normal(size=(2, 3, 32, 32)) * (0.3 + labels[:, None])
    x, y = paddle.to_tensor(images, "float32"), paddle.to_tensor(labels)
    optimizer = paddle.optimizer.Momentum(0.01, 0.9, parameters=model.parameters())
    losses = []
    for _ in range(iterations):
        loss = DiceCELoss()(model(x)[0], y)
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        losses.append(float(loss))
    return losses


def test_the_first_steps_learn_at_the_papers_rate():
    paddle.seed(0)
    losses = learn(MSUNet(num_classes=2, num_blocks=4, base_channels=8))
    assert losses[-1] < 0.8 * losses[0]


def test_residual_blocks_start_as_the_identity():
    model = MSUNet(**SMALL)
    block = model.stage3.stage_func_list[0].branches_func.basic_block_list[0][0]
    x = paddle.abs(paddle.randn([1, 4, 16, 16]))
    np.testing.assert_allclose(block(x).numpy(), x.numpy(), atol=1e-6)


def test_pretrained_weights_are_loaded(tmp_path):
    model = MSUNet(**SMALL)
    path = str(tmp_path / "model.pdparams")
    paddle.save(model.state_dict(), path)
    other = MSUNet(**SMALL, pretrained=path)
    x = paddle.randn([1, 3, 32, 32])
    model.eval()
    other.eval()
    np.testing.assert_array_equal(model(x)[0].numpy(), other(x)[0].numpy())


@pytest.mark.slow
def test_the_papers_network_takes_a_training_step():
    """About two minutes and 8 GB."""
    from paddleseg_sclc.training.config import Builder, load_config

    builder = Builder(load_config("configs/msunet_4blocks.yml"))
    x = paddle.randn([1, 3, 256, 256])
    y = paddle.zeros([1, 256, 256], "int64")
    y[:, 64:192, 64:192] = 1
    loss = builder.loss["types"][0](builder.model(x)[0], y)
    loss.backward()
    builder.optimizer.step()
    assert np.isfinite(float(loss))


@pytest.mark.parametrize("recompute", ["none", "stages", "blocks"])
def test_channels_last_is_the_same_network(recompute):
    rng = np.random.default_rng(0)
    x = paddle.to_tensor(rng.normal(size=(2, 3, 32, 48)).astype("float32"))
    y = paddle.to_tensor(rng.integers(0, 2, (2, 32, 48)))
    results = []
    for data_format in ("NCHW", "NHWC"):
        paddle.seed(0)
        model = MSUNet(**SMALL, data_format=data_format, recompute=recompute)
        logits = model(x)[0]
        DiceCELoss()(logits, y).backward()
        gradients = [p.grad.numpy().ravel() for p in model.parameters() if p.grad is not None]
        statistics = [t.numpy().ravel() for t in model.state_dict().values()]
        model.eval()
        tensors = [logits.numpy(), model(x)[0].numpy(), np.concatenate(gradients)]
        results.append([*tensors, np.concatenate(statistics)])
    for first, last in zip(*results, strict=True):
        np.testing.assert_allclose(last, first, atol=2e-4)
    with pytest.raises(ValueError, match="data_format must be one of NCHW, NHWC, got 'nhwc'"):
        MSUNet(**SMALL, data_format="nhwc")
