"""How much memory a training step needs, and which setting fits a card.

Nothing is assumed of the network: it is built in its full width and trained for a step of a few
small images on the CPU, while Paddle's own count of allocated bytes is read after each layer on
the way forward and at each weight's gradient on the way back. At every such moment the count is a
constant (gradients of weights) plus a part that grows with the pixels (activations and their
gradients). Steps of two sizes give both; the peak at any size is then the greatest sum of the two.
"""

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn

from paddleseg_sclc.compat import compute_losses
from paddleseg_sclc.errors import SclcError

# Side of the images of a trial, and how many of them: small, but more than rounding to 64 bytes.
_SIDE = 32
_COUNTS = (1, 3)
# A pass forward, and one backward of twice the work.
_FORWARD_SHARE = 1 / 3

Build = Callable[[], tuple[nn.Layer, Any, dict[str, list]]]


@dataclass(frozen=True)
class Footprint:
    """Memory of a training step, bytes, float32.

    Attributes:
        weights: parameters, batch norm statistics included.
        gradients: of the weights that learn.
        optimizer: its state.
        constant: (T,) at each moment of a step, what does not depend on the images.
        per_pixel: (T,) at the same moments, what each pixel of the batch adds.
        kept_per_pixel: of the forward pass, what each pixel leaves for the backward pass.
        workspace: (T,) at the same moments, the buffer that a convolution takes on the CPU for
            each pixel of one image.
    """

    weights: int
    gradients: int
    optimizer: int
    constant: NDArray[np.float64]
    per_pixel: NDArray[np.float64]
    kept_per_pixel: float
    workspace: NDArray[np.float64]

    def peak(
        self,
        batch_size: int,
        height: int,
        width: int,
        accumulation: int = 1,
        cpu: bool = False,
        average: bool = False,
    ) -> int:
        """Greatest number of bytes in use during a step.

        Args:
            batch_size: images an update.
            height: of an image.
            width: of an image.
            accumulation: parts that the batch is computed in.
            cpu: count the buffer that Paddle's convolutions take on a CPU.
            average: keep an average of the weights as well.
        """
        images = self.per_pixel * (batch_size // accumulation * height * width)
        if cpu:
            images = images + self.workspace * (height * width)
        held = self.gradients if accumulation > 1 else 0
        step = max(float((self.constant + images).max()), held + float(images.max()))
        return round(self.weights * (1 + average) + self.optimizer + step)


@dataclass(frozen=True)
class Plan:
    """A setting and what it costs.

    Attributes:
        recompute: of the network; None for one that has no such argument.
        accumulation: parts that a batch is computed in.
        kept: bytes an image that the forward pass leaves for the backward pass.
        peak: bytes of a step.
        time: by the count of multiply-adds, relative to a step that recomputes nothing.
        fits: whether the peak and the reserve fit.
    """

    recompute: str | None
    accumulation: int
    kept: int
    peak: int
    time: float
    fits: bool


def make_plans(
    footprints: dict[str | None, Footprint],
    batch_size: int,
    height: int,
    width: int,
    memory: float,
    average: bool = False,
) -> list[Plan]:
    """All settings, from the fastest to the smallest.

    Args:
        footprints: of the network for each way of recomputing.
        batch_size: images an update.
        height: of an image.
        width: of an image.
        memory: bytes that a step may use.
        average: an average of the weights is kept as well.
    """
    plans = [
        Plan(
            recompute,
            parts,
            round(footprint.kept_per_pixel * height * width),
            peak := footprint.peak(batch_size, height, width, parts, average=average),
            1.0 if recompute in (None, "none") else 1 + _FORWARD_SHARE,
            peak <= memory,
        )
        for recompute, footprint in footprints.items()
        for parts in range(1, batch_size + 1)
        if batch_size % parts == 0
    ]
    # Recomputing changes nothing but the time; accumulating changes Dice and batch norm.
    return sorted(plans, key=lambda plan: (plan.accumulation, plan.time, plan.peak))


def trace(build: Build, channels: int = 3) -> Footprint:
    """Measure a network's memory with two small steps on the CPU.

    Args:
        build: makes the network in training mode, its optimiser and its losses.
        channels: of its images.

    Raises:
        SclcError: the steps of two sizes do not do the same.
    """
    with paddle.utils.unique_name.guard():
        model, optimizer, losses = build()
    model.train()
    # The first step makes the optimiser's state, and whatever else is made once.
    _trial(model, optimizer, losses, 1, channels)
    runs = [_trial(model, optimizer, losses, count, channels) for count in _COUNTS]
    if len(runs[0][0]) != len(runs[1][0]):
        raise SclcError(
            "the network must do the same at every size, but takes "
            f"{len(runs[0][0])} steps at one and {len(runs[1][0])} at another; measure instead "
            "(--measure)"
        )
    first, second = (_COUNTS[i] * _SIDE**2 for i in (0, 1))
    per_pixel = (runs[1][0] - runs[0][0]) / (second - first)
    return Footprint(
        weights=sum(_bytes(p) for p in model.parameters()),
        gradients=sum(_bytes(p) for p in model.parameters() if not p.stop_gradient),
        optimizer=sum(_bytes(t) for t in _tensors(optimizer.state_dict())),
        constant=runs[0][0] - per_pixel * first,
        per_pixel=per_pixel,
        kept_per_pixel=(runs[1][1] - runs[0][1]) / (second - first),
        workspace=runs[0][2],
    )


def measure(
    build: Build, batch_size: int, height: int, width: int, channels: int = 3, steps: int = 2
) -> int:
    """Take real steps on the current device and return Paddle's own peak of allocated bytes.

    Meaningful once a process: on Paddle 2 the peak cannot be set back.
    """
    gc.collect()  # what is left of earlier networks
    start = allocated()
    model, optimizer, losses = build()
    model.train()
    x, y = _batch(batch_size, height, width, channels)
    for _ in range(steps):
        _step(model, optimizer, losses, x, y)
    return _peak() - start


def _trial(
    model: nn.Layer, optimizer: Any, losses: dict[str, list], count: int, channels: int
) -> tuple[NDArray[np.float64], int, NDArray[np.float64]]:
    """A step: bytes in use over those before, moment by moment; and after the forward pass.

    The third value is the buffer of the convolution that runs at each moment, bytes for each
    pixel of one image: Paddle's CPU convolution unfolds one image at a time (im2col).
    """
    gc.collect()  # what an earlier trial has left would otherwise go in the middle of this one
    moments: list[tuple[int, float]] = []
    buffers: dict[str, float] = {}
    start = allocated()

    def after_layer(layer: Any, _: Any, output: Any) -> None:
        buffer = 0.0
        if isinstance(layer, nn.Conv2D) and layer.weight.shape[2] > 1:
            unfolded = layer.weight.shape[1] * layer.weight.shape[2] * layer.weight.shape[3]
            area = output.shape[2] * output.shape[3] / _SIDE**2
            buffer = buffers[layer.weight.name] = 4.0 * unfolded * area
        moments.append((allocated() - start, buffer))

    def after_gradient(name: str) -> None:
        moments.append((allocated() - start, buffers.get(name, 0.0)))

    x, y = _batch(count, _SIDE, _SIDE, channels)
    leaves = [layer for layer in model.sublayers() if not layer.sublayers()]
    hooks = [layer.register_forward_post_hook(after_layer) for layer in leaves]
    hooks += [
        p.register_hook(lambda _, name=p.name: after_gradient(name))
        for p in model.parameters()
        if not p.stop_gradient
    ]
    loss = _loss(model, losses, x, y)
    kept = allocated() - start
    after_gradient("")
    loss.backward()
    for hook in hooks:
        hook.remove()
    del loss
    optimizer.step()
    optimizer.clear_grad(set_to_zero=False)
    sizes, workspace = np.array(moments, np.float64).T
    return sizes, kept, workspace


def _batch(count: int, height: int, width: int, channels: int) -> tuple[Tensor, Tensor]:
    labels = np.zeros((count, height, width), np.int64)
    labels[:, ::2] = 1
    return paddle.randn([count, channels, height, width]), paddle.to_tensor(labels)


def _loss(model: nn.Layer, losses: dict[str, list], x: Tensor, y: Tensor) -> Tensor:
    loss_list = compute_losses(model(x), y, None, losses)
    return sum(loss_list[1:], start=loss_list[0])


def _step(model: nn.Layer, optimizer: Any, losses: dict[str, list], x: Tensor, y: Tensor) -> None:
    _loss(model, losses, x, y).backward()
    optimizer.step()
    optimizer.clear_grad(set_to_zero=False)


def allocated() -> int:
    """Bytes that tensors use on the current device."""
    if paddle.get_device().startswith("gpu"):
        return int(paddle.device.cuda.memory_allocated())
    return int(paddle.base.core.host_memory_stat_current_value("Allocated", 0))


def _peak() -> int:
    if paddle.get_device().startswith("gpu"):
        return int(paddle.device.cuda.max_memory_allocated())
    return int(paddle.base.core.host_memory_stat_peak_value("Allocated", 0))


def _bytes(tensor: Tensor) -> int:
    return int(tensor.size * tensor.element_size())


def _tensors(state: Any) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from _tensors(value)
