"""What the training loop prints and logs."""

import math
import time
from typing import Any


class NoLog:
    """Stands in for a VisualDL writer or a history that is not wanted."""

    def append(self, *_: Any) -> None:
        """Write nothing."""

    def add_image(self, *_: Any) -> None:
        """Write nothing."""

    def add_scalar(self, *_: Any) -> None:
        """Write nothing."""


class LogWindow:
    """Means over the iterations since the last log line."""

    def __init__(self, start: float) -> None:
        self._mark = self._start = start
        self._losses: list[float] = []
        self._data = self._skipped = 0.0

    def loaded(self) -> None:
        """Take note that a batch has been loaded."""
        self._data += time.monotonic() - self._mark

    def add(self, loss: float) -> None:
        """Take note that an iteration is over, with its loss."""
        self._losses.append(loss)
        self._mark = time.monotonic()

    def skip_to(self, now: float) -> None:
        """Leave out the time since the last iteration (validation, saving)."""
        self._skipped += now - self._mark
        self._mark = now

    @property
    def filled(self) -> bool:
        """Whether there is anything to take the mean of."""
        return bool(self._losses)

    @property
    def loss(self) -> float:
        """Mean loss."""
        return math.fsum(self._losses) / len(self._losses)

    @property
    def seconds(self) -> float:
        """Seconds an iteration, loading included."""
        return (self._mark - self._start - self._skipped) / len(self._losses)

    @property
    def data_seconds(self) -> float:
        """Seconds an iteration waited for its batch."""
        return self._data / len(self._losses)


def format_duration(seconds: float) -> str:
    """Write seconds as `h:mm:ss`."""
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
