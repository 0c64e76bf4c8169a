"""Which of a run's models are the best, and when to give up hoping for a better one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Selection:
    """The best validations so far.

    Attributes:
        keep: how many to remember.
        patience: validations without a better score after which `exhausted`; None for ever.
        best: score and iteration, best first.
        waited: validations since the best one.
    """

    keep: int = 1
    patience: int | None = None
    best: list[tuple[float, int]] = field(default_factory=list)
    waited: int = 0

    @property
    def score(self) -> float | None:
        """The best score; None before the first validation that defines it."""
        return self.best[0][0] if self.best else None

    @property
    def iteration(self) -> int:
        """When the best score was; 0 before the first."""
        return self.best[0][1] if self.best else 0

    @property
    def exhausted(self) -> bool:
        """Whether it has waited long enough."""
        return self.patience is not None and self.waited >= self.patience

    def add(self, score: float, iteration: int) -> tuple[bool, bool]:
        """Take note of a validation.

        Args:
            score: higher is better; NaN is never among the best.
            iteration: when.

        Returns:
            Whether it is the best so far, and whether it is among the best `keep`. Of equal
            scores the earlier one is better.
        """
        if not math.isfinite(score):
            self.waited += 1
            return False, False
        first = self.score is None or score > self.score
        self.waited = 0 if first else self.waited + 1
        entry = (score, iteration)
        self.best = sorted([*self.best, entry], key=lambda e: (-e[0], e[1]))[: self.keep]
        return first, entry in self.best

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as JSON values."""
        return {"best": [list(entry) for entry in self.best], "waited": self.waited}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.best = [(float(score), int(iteration)) for score, iteration in state["best"]]
        self.best = self.best[: self.keep]
        self.waited = int(state["waited"])
