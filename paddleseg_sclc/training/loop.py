"""The training loop: what stock `core.train` does, and what it cannot.

Beyond stock: any metric chooses the best model, checkpoints are whole or not there, a run can be
stopped by Ctrl-C or SIGTERM and resumed exactly, a batch may be larger than the dataset, and the
history is kept as CSV.
"""

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paddle
from paddle import Tensor, nn

from paddleseg_sclc.compat import compute_losses
from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.evaluation import evaluate
from paddleseg_sclc.inference.engine import Predictor
from paddleseg_sclc.inference.options import InferenceOptions
from paddleseg_sclc.training.checkpoint import resume_checkpoint, save_checkpoint
from paddleseg_sclc.training.data import make_loader
from paddleseg_sclc.training.interrupt import stop_requests
from paddleseg_sclc.training.log import LogWindow, NoLog, format_duration
from paddleseg_sclc.training.run_folder import HISTORY, History, RunFolder

VALIDATION_METRICS = ("miou", "accuracy", "kappa", "dice")
_VDL_NAMES = {"miou": "mIoU", "accuracy": "Acc", "kappa": "Kappa", "dice": "Dice"}


@dataclass(frozen=True)
class TrainingOptions:
    """What PaddleSeg's `tools/train.py` takes as options; the same names and meaning.

    Attributes:
        iters: iterations of the whole run.
        batch_size: images an iteration.
        seed: of the sample stream.
        save_interval: iterations from one checkpoint (and validation) to the next.
        log_iters: iterations from one log line to the next.
        num_workers: processes that load data; 0 loads in this one.
        keep_checkpoint_max: how many checkpoints to keep, the newest.
        best_metric: name of the metric that chooses the best model.
        precision: `fp32`, `fp16` or `bf16`; the latter two change nothing on a CPU.
        amp_level: `O1` or `O2`, with fp16 and bf16.
        use_vdl: write a VisualDL log.
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


@dataclass
class Best:
    """The best validation so far.

    Attributes:
        score: of the chosen metric; None before the first validation that defines it.
        iteration: when it was.
    """

    score: float | None = None
    iteration: int = 0


class Trainer:
    """One training run.

    Args:
        model: the network.
        optimizer: with a learning rate schedule.
        losses: `types` and `coef`, as PaddleSeg builds them.
        train_dataset: a PaddleSeg dataset in mode `train`.
        run: where everything goes; started already.
        options: see there.
        val_dataset: a PaddleSeg dataset in mode `val`; None trains without validation.
        inference: how validation images are put through the network.
    """

    def __init__(
        self,
        model: nn.Layer,
        optimizer: Any,
        losses: dict[str, list],
        train_dataset: Any,
        run: RunFolder,
        options: TrainingOptions,
        val_dataset: Any = None,
        inference: InferenceOptions | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.losses = losses
        self.train_dataset = train_dataset
        self.run = run
        self.options = options
        self.val_dataset = val_dataset
        self.inference = inference
        self.best = Best()
        self.scaler = (
            paddle.amp.GradScaler(init_loss_scaling=1024) if options.precision == "fp16" else None
        )
        if options.precision != "fp32" and options.amp_level == "O2":
            self.model, self.optimizer = paddle.amp.decorate(
                models=model,
                optimizers=optimizer,
                level="O2",
                dtype=_amp_dtype(options.precision),
                save_dtype="float32",
            )

    def train(self, resume: Path | None = None) -> int:
        """Train to the last iteration, or until Ctrl-C or SIGTERM.

        Args:
            resume: checkpoint to go on from.

        Returns:
            Iterations done; fewer than asked for if stopped.

        Raises:
            SclcError: the loss is no longer finite, or something cannot be read or written.
        """
        # The optimiser names its state when it first steps; names that start afresh are those of
        # the checkpoint, whatever this process has trained before.
        with paddle.utils.unique_name.guard():
            return self._train(resume)

    def _train(self, resume: Path | None) -> int:
        options = self.options
        iteration = self._resume(resume) if resume else 0
        columns = ["iteration", "lr", "loss", "seconds", *VALIDATION_METRICS]
        self._history = History(self.run.path / HISTORY, columns, iteration)
        self._seed(iteration)
        loader = make_loader(
            self.train_dataset,
            options.batch_size,
            options.iters,
            options.seed,
            iteration,
            options.num_workers,
        )
        with self._open_vdl() as self._vdl, stop_requests() as stop:
            log = LogWindow(time.monotonic())
            for batch in loader:
                log.loaded()
                rate = self.optimizer.get_lr()
                loss = self._step(batch, iteration)
                iteration += 1
                log.add(loss)
                if iteration % options.log_iters == 0 or iteration == options.iters:
                    self._log(iteration, rate, log)
                    log = LogWindow(time.monotonic())
                last = iteration == options.iters or stop.requested
                if iteration % options.save_interval == 0 or last:
                    if not stop.requested:
                        self._validate(iteration)
                    self._save(iteration)
                    self._seed(iteration)
                    log.skip_to(time.monotonic())
                if last:
                    break
        return iteration

    def _seed(self, iteration: int) -> None:
        # Drawn afresh at every checkpoint, so that a resumed run draws what the undisturbed one
        # does (dropout; the samples and transforms have seeds of their own).
        paddle.seed(self.options.seed * 1_000_003 + iteration)

    def _resume(self, folder: Path) -> int:
        state = resume_checkpoint(folder, self.model, self.optimizer)
        self.best = Best(**state["best"])
        if self.scaler is not None and state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])
        return int(state["iteration"])

    def _step(self, batch: dict[str, Tensor], iteration: int) -> float:
        """One update of the weights; returns the loss before it."""
        self.model.train()
        labels = batch["label"].astype("int64")
        edges = batch["edge"].astype("int64") if "edge" in batch else None
        with self._auto_cast():
            logits = self.model(batch["img"])
            if hasattr(self.model, "loss_computation"):
                loss_list = self.model.loss_computation(logits, self.losses, batch)
            else:
                loss_list = compute_losses(logits, labels, edges, self.losses)
            loss = sum(loss_list[1:], start=loss_list[0])
        value = float(loss)
        if not math.isfinite(value):
            raise SclcError(
                f"iteration {iteration + 1}: the loss must be finite, got {value}; lower "
                "--learning_rate (and, with fp16, try bf16 or fp32), then go on from the last "
                "checkpoint with --resume_model auto"
            )
        if self.scaler is not None:
            scaled = self.scaler.scale(loss)
            scaled.backward()
            self.scaler.minimize(self.optimizer, scaled)
        else:
            loss.backward()
            self.optimizer.step()
        self.optimizer.clear_grad()
        schedule = self.optimizer._learning_rate
        if isinstance(schedule, paddle.optimizer.lr.ReduceOnPlateau):
            schedule.step(value)
        elif isinstance(schedule, paddle.optimizer.lr.LRScheduler):
            schedule.step()
        return value

    def _auto_cast(self) -> Any:
        if self.options.precision == "fp32":
            return contextlib.nullcontext()
        return paddle.amp.auto_cast(
            level=self.options.amp_level, dtype=_amp_dtype(self.options.precision)
        )

    def _log(self, iteration: int, rate: float, log: LogWindow) -> None:
        remaining = (self.options.iters - iteration) * log.seconds
        print(
            f"[TRAIN] iter {iteration}/{self.options.iters}  loss {log.loss:.4f}  lr {rate:.6f}  "
            f"{log.seconds:.2f} s/iter (data {log.data_seconds:.2f})  "
            f"ETA {format_duration(remaining)}",
            flush=True,
        )
        self._history.append(
            {
                "iteration": iteration,
                "lr": repr(float(rate)),
                "loss": repr(log.loss),
                "seconds": f"{log.seconds:.4f}",
            }
        )
        self._vdl.add_scalar("Train/loss", log.loss, iteration)
        self._vdl.add_scalar("Train/lr", rate, iteration)
        self._vdl.add_scalar("Train/batch_cost", log.seconds, iteration)
        self._vdl.add_scalar("Train/reader_cost", log.data_seconds, iteration)

    def _validate(self, iteration: int) -> None:
        if self.val_dataset is None:
            return
        result = evaluate(Predictor(self.model, self.inference), self.val_dataset)
        names = dict.fromkeys((*VALIDATION_METRICS, self.options.best_metric))
        figures = {name: float(value) for name, value in result.figures(names).items()}
        score = figures[self.options.best_metric]
        better = math.isfinite(score) and (self.best.score is None or score > self.best.score)
        if better:
            self.best = Best(score, iteration)
            state = {"iteration": iteration, "best_metric": self.options.best_metric, **figures}
            save_checkpoint(self.run.best_model, self.model, None, state)
        print(
            f"[EVAL]  iter {iteration}  "
            + "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
            + (f"  best {self.options.best_metric} so far" if better else ""),
            flush=True,
        )
        row = {name: repr(figures[name]) for name in VALIDATION_METRICS}
        self._history.append({"iteration": iteration, **row})
        for name in VALIDATION_METRICS:
            self._vdl.add_scalar(f"Evaluate/{_VDL_NAMES[name]}", figures[name], iteration)

    def _save(self, iteration: int) -> None:
        state = {
            "iteration": iteration,
            "seed": self.options.seed,
            "best_metric": self.options.best_metric,
            "best": {"score": self.best.score, "iteration": self.best.iteration},
            "scaler": _plain(self.scaler.state_dict()) if self.scaler is not None else None,
        }
        save_checkpoint(self.run.checkpoint(iteration), self.model, self.optimizer, state)
        self.run.remove_old_checkpoints(max(self.options.keep_checkpoint_max, 1))

    @contextlib.contextmanager
    def _open_vdl(self) -> Iterator[Any]:
        if not self.options.use_vdl:
            yield NoLog()
            return
        from visualdl import LogWriter  # slow to import, and not always wanted

        with LogWriter(str(self.run.path)) as writer:
            yield writer


def _amp_dtype(precision: str) -> str:
    return {"fp16": "float16", "bf16": "bfloat16"}[precision]


def _plain(state: dict[str, Any]) -> dict[str, float]:
    """A GradScaler's state as JSON values."""
    return {k: float(v) if hasattr(v, "numpy") else v for k, v in state.items()}
