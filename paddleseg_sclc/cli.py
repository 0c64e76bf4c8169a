"""What tools share: errors become one line and an exit code, and common options."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from paddleseg_sclc.errors import SclcError, UsageError


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


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn a ValueError about an option's value into a UsageError."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error
