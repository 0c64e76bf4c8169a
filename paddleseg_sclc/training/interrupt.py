"""Ending after the running iteration, not in its middle."""

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass
class Stop:
    """Whether somebody has asked to stop."""

    requested: bool = False


@contextlib.contextmanager
def stop_requests() -> Iterator[Stop]:
    """Turn the first Ctrl-C or SIGTERM into a request; a second one acts at once."""
    stop = Stop()
    previous: dict[signal.Signals, Any] = {}

    def request(number: int, _: Any) -> None:
        stop.requested = True
        for signum, handler in previous.items():
            signal.signal(signum, handler)
        print("stopping after this iteration, with a checkpoint", flush=True)

    try:
        for signum in (signal.SIGINT, signal.SIGTERM):
            previous[signum] = signal.signal(signum, request)
    except ValueError:  # not in the main thread, where signals do not arrive either
        pass
    try:
        yield stop
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
