"""What every tool shares: errors become one line and an exit code."""

import sys
from collections.abc import Callable, Sequence

from paddleseg_sclc.errors import SclcError


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
