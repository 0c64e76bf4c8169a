"""Activations computed twice instead of kept: less memory for more time.

The forward pass of a recomputed layer keeps its inputs alone; the backward pass computes what lies
between again (Chen et al. 2016, "Training deep nets with sublinear memory cost"). Paddle's
`fleet.utils.recompute` does that, under the same mixed precision, but a batch norm inside then
updates its running statistics twice a step. Here the second pass leaves them as they are.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import paddle
from paddle import Tensor, nn
from paddle.distributed.fleet.utils import recompute as fleet_recompute

# All batch norms of Paddle, the synchronised one included.
BATCH_NORM: Any = nn.BatchNorm2D.__mro__[1]


def recomputed(layer: nn.Layer, *inputs: Any, call: Callable[..., Any] | None = None) -> Any:
    """`call(*inputs)`, keeping nothing but the inputs for the backward pass.

    Where there is no gradient to compute, this is the plain call. The layer must draw no random
    numbers (dropout): the second pass would draw others.

    Args:
        layer: takes tensors, or one list of tensors; returns a tensor, or a list of tensors none
            of which is an input.
        inputs: what it takes; not changed.
        call: what to call, with the weights of `layer`; None calls `layer` itself.

    Returns:
        What it returns.
    """
    function = call or layer
    as_list = len(inputs) == 1 and isinstance(inputs[0], list)
    tensors = inputs[0] if as_list else list(inputs)
    if not _needs_gradient(layer, tensors):
        return function(*inputs)

    def run(*tensors: Tensor) -> Any:
        # Gradients are off in the first pass, which keeps nothing, and on in the second.
        second = paddle.is_grad_enabled()
        with frozen_statistics(layer.sublayers()) if second else contextlib.nullcontext():
            return tuple(function(list(tensors))) if as_list else function(*tensors)

    outputs = fleet_recompute(run, *_differentiable(tensors), preserve_rng_state=False)
    return list(outputs) if as_list else outputs


def _needs_gradient(layer: nn.Layer, tensors: list[Tensor]) -> bool:
    if not paddle.in_dynamic_mode() or not paddle.is_grad_enabled():
        return False
    return any(not x.stop_gradient for x in tensors) or any(
        not p.stop_gradient for p in layer.parameters()
    )


def _differentiable(tensors: list[Tensor]) -> list[Tensor]:
    """The inputs; where none has a gradient (the image), one is given it.

    Paddle's recompute finds a layer by the gradients of its inputs, not of its weights.
    """
    if any(not x.stop_gradient for x in tensors):
        return tensors
    first = tensors[0].detach()
    first.stop_gradient = False
    return [first, *tensors[1:]]


@contextlib.contextmanager
def frozen_statistics(layers: Iterable[nn.Layer]) -> Iterator[None]:
    """Batch norms that normalise by the batch as ever, and leave their running statistics alone.

    Args:
        layers: the batch norms among them; others are passed over.
    """
    norms = [layer for layer in layers if isinstance(layer, BATCH_NORM)]
    momenta = [norm._momentum for norm in norms]
    try:
        for norm in norms:
            norm._momentum = 1.0  # running = 1 * running + 0 * batch
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm._momentum = momentum
