import numpy as np
import paddle
import pytest
from paddle import nn

from paddleseg_sclc.inference.engine import Predictor
from paddleseg_sclc.inference.options import InferenceOptions
from paddleseg_sclc.models import MSUNet


class Threshold(nn.Layer):
    """Class 1 where the first channel is positive; insists on sides that divide by 16."""

    def forward(self, x):
        assert x.shape[2] % 16 == 0
        assert x.shape[3] % 16 == 0
        return [paddle.concat([-x[:, :1], x[:, :1]], axis=1)]


def sample(height, width, original=None, seed=0):
    image = np.random.default_rng(seed).normal(size=(3, height, width)).astype(np.float32)
    return {"img": image, "trans_info": [("resize", original)] if original else []}


@pytest.mark.parametrize("size", [(16, 16), (20, 33), (5, 3), (64, 100)])
def test_any_size_is_predicted_pixel_by_pixel(size):
    case = sample(*size)
    probs = Predictor(Threshold()).probabilities(case)
    assert probs.shape == (2, *size)
    np.testing.assert_allclose(probs.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_array_equal(probs.argmax(axis=0), case["img"][0] > 0)


@pytest.mark.parametrize(
    "options",
    [
        InferenceOptions(is_slide=True, crop_size=(16, 16), stride=(8, 12)),
        InferenceOptions(aug_pred=True, flip_horizontal=True, flip_vertical=True),
    ],
)
def test_windows_and_flips_change_nothing_for_a_pixelwise_network(options):
    case = sample(40, 52)
    whole = Predictor(Threshold()).probabilities(case)
    np.testing.assert_allclose(
        Predictor(Threshold(), options).probabilities(case), whole, atol=1e-5
    )


def test_prediction_has_the_original_size():
    assert Predictor(Threshold()).probabilities(sample(16, 16, (30, 21))).shape == (2, 30, 21)


def test_same_as_paddlesegs_own_inference():
    from paddleseg.core import infer

    model = MSUNet(num_classes=2, num_blocks=1, base_channels=4)
    case = sample(32, 48, (50, 60))
    logits = Predictor(model).logits(case)
    _, stock = infer.inference(model, paddle.to_tensor(case["img"][None]), case["trans_info"])
    np.testing.assert_allclose(logits.numpy(), stock.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"is_slide": True}, "needs crop_size and stride"),
        ({"is_slide": True, "crop_size": (16, 16), "stride": (17, 16)}, "stride must be from 1"),
        ({"is_slide": True, "crop_size": (16, 16), "stride": (0, 16)}, "stride must be from 1"),
        ({"scales": [0.0]}, "scales must be positive"),
        ({"aug_evl": True}, "there is no option aug_evl"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        InferenceOptions.from_config(options)
