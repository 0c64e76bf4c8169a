"""How large a network is."""

import contextlib
import io

import paddle
from paddle import nn


def count_parameters(model: nn.Layer) -> int:
    """Number of parameters as Paddle counts them: batch norm's running statistics included."""
    return int(sum(parameter.size for parameter in model.parameters()))


def count_macs(model: nn.Layer, height: int = 256, width: int = 256, channels: int = 3) -> int:
    """Multiply-adds of a forward pass of one image, as `paddle.flops` counts them.

    The networks here are convolutional throughout, so the count grows with the area; a small
    image is counted and scaled, which spares minutes with the largest of them.

    Args:
        model: any network of Conv2D, batch norm and element-wise layers; its mode is kept.
        height: of the image that the count is for, pixels, a multiple of 16.
        width: the same.
        channels: the same.
    """
    side = 64
    training = model.training
    model.eval()
    # paddle.flops prints its own summary, and a line for each kind of layer.
    with contextlib.redirect_stdout(io.StringIO()), paddle.no_grad():
        counted = paddle.flops(model, [1, channels, side, side])
    if training:
        model.train()
    return round(counted * height * width / side**2)
