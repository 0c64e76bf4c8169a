"""What a training run is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from paddleseg_sclc.errors import UsageError

NON_FINITE = ("stop", "skip")


@dataclass(frozen=True)
class TrainingOptions:
    """Options of the loop. Those that PaddleSeg's `tools/train.py` has keep name and meaning.

    Attributes:
        iters: iterations (updates of the weights) of the whole run.
        batch_size: images an iteration, on all processes together.
        seed: of the sample stream.
        save_interval: iterations from one checkpoint (and validation) to the next.
        log_iters: iterations from one log line to the next.
        num_workers: processes that load data; 0 loads in a thread of this one.
        keep_checkpoint_max: how many checkpoints to keep, the newest.
        best_metric: name of the metric that chooses the best model.
        precision: `fp32`, `fp16` or `bf16`; the latter two change nothing on a CPU.
        amp_level: `O1` or `O2`, with fp16 and bf16.
        use_vdl: write a VisualDL log.
        use_ema: validate, and keep as the best model, an exponential moving average of the weights.
        accumulation: parts that a batch is computed in, one after the other.
        ema_decay: share of the average that an iteration keeps.
        patience: validations without a better score after which the run ends; None never ends it.
        keep_best: how many of the best models to keep.
        non_finite: what to do where loss or gradient is no number: `stop`, or `skip` the batch.
        max_skipped: batches in a row that may be skipped before the run stops all the same.
        freeze: names or beginnings of names (`stem`, `stage1`) of parts that do not learn; their
            batch norms use their running statistics.
        panels: validation patches shown in VisualDL.
        cache_gb: memory for decoded and resized patches, GB; 0 reads them anew each time.
    """

    iters: int
    batch_size: int
    seed: int = 0
    save_interval: int = 1000
    log_iters: int = 10
    num_workers: int = 0
    keep_checkpoint_max: int = 5
    best_metric: str = "miou"
    precision: str = "fp32"
    amp_level: str = "O1"
    use_vdl: bool = False
    use_ema: bool = False
    accumulation: int = 1
    ema_decay: float = 0.999
    patience: int | None = None
    keep_best: int = 1
    non_finite: str = "stop"
    max_skipped: int = 10
    freeze: tuple[str, ...] = ()
    panels: int = 4
    cache_gb: float = 2.0


# The keys of a config's `training` section: what PaddleSeg has no option for.
_OPTIONS = tuple(f.name for f in fields(TrainingOptions))
SECTION_KEYS = _OPTIONS[_OPTIONS.index("use_ema") :]


def check_section(section: Mapping[str, Any], where: str) -> None:
    """Check the values of a config's `training` section, whose keys are `SECTION_KEYS`.

    Raises:
        UsageError: with the first fault.
    """
    at_least = {"accumulation": 1, "patience": 1, "keep_best": 1, "max_skipped": 1, "panels": 0}
    for key, value in section.items():
        if key in at_least:
            wanted = f"a whole number of at least {at_least[key]}"
            good = type(value) is int and value >= at_least[key]
            good = good or (key == "patience" and value is None)
        elif key == "ema_decay":
            wanted, good = "a number in (0, 1)", _is_number(value) and 0 < value < 1
        elif key == "cache_gb":
            wanted, good = "a number of at least 0", _is_number(value) and value >= 0
        elif key == "non_finite":
            wanted, good = f"one of {', '.join(NON_FINITE)}", value in NON_FINITE
        elif key == "use_ema":
            wanted, good = "true or false", isinstance(value, bool)
        else:
            wanted = "a list of names"
            good = isinstance(value, list) and all(isinstance(v, str) and v for v in value)
        if not good:
            raise UsageError(f"{where}.{key}: must be {wanted}, got {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def section_options(section: Mapping[str, Any]) -> dict[str, Any]:
    """A checked `training` section as arguments of `TrainingOptions`."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in section.items()}
