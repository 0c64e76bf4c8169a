"""Memory plans of configs, and how they are printed."""

import copy
import functools
from collections.abc import Sequence
from typing import Any

from paddle import nn
from prettytable import PrettyTable

from paddleseg_sclc.errors import UsageError
from paddleseg_sclc.models.msunet import RECOMPUTE, SIZE_DIVISOR
from paddleseg_sclc.training.config import Builder
from paddleseg_sclc.training.planner import Footprint, Plan, make_plans, measure, trace

# Transforms that set the size of what the network is given.
_SIZED = {"Resize": "target_size", "RandomPaddingCrop": "crop_size"}


def plan_config(
    config: Any, memory: float, size: Sequence[int] | None = None, average: bool = False
) -> tuple[dict[str | None, Footprint], list[Plan]]:
    """Trace a config's network for each way of recomputing, and plan.

    Args:
        config: a checked PaddleSeg config.
        memory: bytes that a step may use.
        size: height and width of the images; None for those of the config's transforms.
        average: an average of the weights is kept as well.

    Returns:
        Footprints and plans; the plan to take is the first that fits.

    Raises:
        UsageError: the config does not build, or its images' size is not known.
    """
    height, width = size or _image_size(config)
    _check_size(height, width)
    ways: Sequence[str | None] = RECOMPUTE if config.dic["model"]["type"] == "MSUNet" else (None,)
    footprints = {
        way: trace(functools.partial(build_config, config, way), _channels(config)) for way in ways
    }
    plans = make_plans(footprints, config.batch_size, height, width, memory, average)
    return footprints, plans


def measure_config(config: Any, size: Sequence[int] | None = None) -> str:
    """Take steps of the config's batch on the current device; returns a line with the peak."""
    height, width = size or _image_size(config)
    _check_size(height, width)
    way = config.dic["model"].get("recompute")
    peak = measure(
        lambda: build_config(config, way), config.batch_size, height, width, _channels(config)
    )
    return (
        f"peak of a step, batch {config.batch_size} of {height}x{width}, recompute "
        f"{way or 'none'}, float32: {peak / 1e9:.3f} GB ({peak / 2**30:.3f} GiB)"
    )


def format_plans(
    traced: tuple[dict[str | None, Footprint], list[Plan]],
    config: Any,
    memory: float,
    reserve: float,
) -> str:
    """The arithmetic, a table of settings, and which to take."""
    footprints, plans = traced
    first = next(iter(footprints.values()))
    lines = [
        f"weights {_gb(first.weights)}, gradients {_gb(first.gradients)}, optimiser "
        f"{_gb(first.optimizer)}; float32, batch {config.batch_size}",
        f"to be used: {_gb(memory)} of the card less {_gb(reserve)} for the driver and cuDNN",
    ]
    table = PrettyTable(["recompute", "accumulation", "kept an image", "peak", "time", "fits"])
    table.align = "r"
    for plan in plans:
        row = [plan.recompute or "-", plan.accumulation, _gb(plan.kept), _gb(plan.peak)]
        table.add_row([*row, f"{plan.time:.2f} x", "yes" if plan.fits else "no"])
    lines.append(table.get_string())
    lines.append(_advice(next((plan for plan in plans if plan.fits), None)))
    return "\n".join(lines)


def _advice(plan: Plan | None) -> str:
    if plan is None:
        return "nothing fits: take a smaller batch, smaller images or a larger card"
    settings = f"model.recompute: {plan.recompute}" if plan.recompute else "the config as it is"
    if plan.accumulation == 1:
        return f"take {settings}: the fastest that fits"
    return (
        f"the batch does not fit whole; take {settings} and training.accumulation: "
        f"{plan.accumulation} (Dice and batch norm then see a part of the batch at a time)"
    )


def build_config(
    config: Any, recompute: str | None = None
) -> tuple[nn.Layer, Any, dict[str, list]]:
    """The network, optimiser and losses of a config, which is not changed.

    Args:
        config: a checked PaddleSeg config.
        recompute: in place of the config's own; None keeps that.
    """
    config = copy.deepcopy(config)
    if config.dic["model"]["type"] == "MSUNet" and recompute is not None:
        config.dic["model"]["recompute"] = recompute
    builder = Builder(config)
    return builder.model, builder.optimizer, builder.loss


def _image_size(config: Any) -> tuple[int, int]:
    """Height and width by the last transform that sets them."""
    for transform in reversed(config.dic["train_dataset"].get("transforms", [])):
        if transform["type"] in _SIZED:
            width, height = transform.get(_SIZED[transform["type"]], (512, 512))
            return int(height), int(width)
    raise UsageError("the config's transforms do not say how large the images are; give --size H W")


def _check_size(height: int, width: int) -> None:
    if height % SIZE_DIVISOR or width % SIZE_DIVISOR:
        raise UsageError(
            f"--size: height and width must be multiples of {SIZE_DIVISOR}, got {height} {width}"
        )


def _channels(config: Any) -> int:
    return int(config.dic["model"].get("in_channels", 3))


def _gb(size: float) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
