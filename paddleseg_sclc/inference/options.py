"""How an image is put through the network: PaddleSeg's options, without loading Paddle."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class InferenceOptions:
    """How an image is put through the network; names and meaning are PaddleSeg's.

    Attributes:
        aug_pred: average over `scales` and flips.
        scales: of the input, with `aug_pred`.
        flip_horizontal: with `aug_pred`.
        flip_vertical: with `aug_pred`.
        is_slide: put a window of `crop_size` (width, height) over the image by `stride`.
        crop_size: of the window, pixels of the network's input.
        stride: of the window, at most `crop_size`.

    Raises:
        ValueError: `is_slide` without its sizes, or a stride over the crop size.
    """

    aug_pred: bool = False
    scales: Sequence[float] = field(default=(1.0,))
    flip_horizontal: bool = False
    flip_vertical: bool = False
    is_slide: bool = False
    crop_size: Sequence[int] | None = None
    stride: Sequence[int] | None = None

    @classmethod
    def from_config(cls, test_config: Mapping[str, Any]) -> "InferenceOptions":
        """Options from PaddleSeg's `test_config`, where `aug_eval` turns on augmentation.

        Raises:
            ValueError: a key is unknown, or values contradict one another.
        """
        values = dict(test_config)
        values["aug_pred"] = bool(values.pop("aug_eval", False) or values.get("aug_pred", False))
        if isinstance(values.get("scales"), int | float):
            values["scales"] = [values["scales"]]
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"test_config: there is no option {', '.join(unknown)}")
        return cls(**values)

    def __post_init__(self) -> None:
        if any(not scale > 0 for scale in self.scales):
            raise ValueError(f"scales must be positive, got {list(self.scales)}")
        if not self.is_slide:
            return
        if self.crop_size is None or self.stride is None:
            raise ValueError("is_slide needs crop_size and stride, each as width and height")
        if min(*self.crop_size, *self.stride) < 1 or any(
            s > c for s, c in zip(self.stride, self.crop_size, strict=True)
        ):
            raise ValueError(
                f"stride must be from 1 to crop_size in width and height, got stride "
                f"{list(self.stride)} and crop_size {list(self.crop_size)}"
            )


def add_inference_options(parser: argparse.ArgumentParser, aug_option: str) -> None:
    """Add PaddleSeg's options of how an image is put through the network.

    Args:
        parser: changed in place.
        aug_option: what turns on scales and flips: `--aug_pred` or `--aug_eval`.
    """
    add = parser.add_argument
    add(aug_option, dest="aug_pred", action="store_true", help="average over scales and flips")
    add("--scales", type=float, nargs="+", help="scales, with augmentation (default: 1)")
    add("--flip_horizontal", action="store_true", help="flip too, with augmentation")
    add("--flip_vertical", action="store_true", help="flip too, with augmentation")
    add("--is_slide", action="store_true", help="slide a window over the image")
    add("--crop_size", type=int, nargs=2, metavar=("W", "H"), help="of the window")
    add("--stride", type=int, nargs=2, metavar=("W", "H"), help="of the window")


def inference_options(args: argparse.Namespace, test_config: Mapping[str, Any]) -> InferenceOptions:
    """The options given, over those of the config's `test_config`.

    Raises:
        ValueError: they contradict one another.
    """
    names = ("scales", "flip_horizontal", "flip_vertical", "is_slide", "crop_size", "stride")
    given = {name: getattr(args, name) for name in ("aug_pred", *names) if getattr(args, name)}
    return InferenceOptions.from_config({**test_config, **given})
