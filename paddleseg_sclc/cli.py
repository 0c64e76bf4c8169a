"""What tools share: errors become one line and an exit code, and common options."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from paddleseg_sclc.errors import SclcError, UsageError

if TYPE_CHECKING:
    from paddleseg_sclc.inference.engine import InferenceOptions


def run(tool: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None) -> int:
    """Run a tool's body and turn what stops it into a line on stderr and an exit code.

    Args:
        tool: takes the arguments and returns the exit code.
        argv: the arguments, `sys.argv[1:]` if None.

    Returns:
        What `tool` returned; 1 for bad data, 2 for bad usage, 130 for Ctrl-C.
    """
    try:
        return tool(argv)
    except SclcError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped by Ctrl-C; the same command goes on where this one stopped", file=sys.stderr)
        return 130


def add_trained_options(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """Add the options that name a trained network, and where to compute.

    Args:
        parser: changed in place.
        several: `--run` and `--config` take one or more.
    """
    count = "+" if several else None
    parser.add_argument("--run", nargs=count, help="run folder of tools/train.py")
    parser.add_argument("--config", nargs=count, help="config (YAML)")
    parser.add_argument("--model_path", help="weights (.pdparams), with --config")
    parser.add_argument("--device", help="cpu or gpu (default: a GPU if there is one)")
    parser.add_argument("--opts", nargs="+", help="override the config: key.subkey=value")


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


def inference_options(
    args: argparse.Namespace, test_config: Mapping[str, Any]
) -> "InferenceOptions":
    """The options given, over those of the config's `test_config`.

    Raises:
        ValueError: they contradict one another.
    """
    from paddleseg_sclc.inference.engine import InferenceOptions

    names = ("scales", "flip_horizontal", "flip_vertical", "is_slide", "crop_size", "stride")
    given = {name: getattr(args, name) for name in ("aug_pred", *names) if getattr(args, name)}
    return InferenceOptions.from_config({**test_config, **given})


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn a ValueError about an option's value into a UsageError."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error
