"""The training loop: what stock `core.train` does, and what it cannot.

Beyond stock: any metric chooses the best model, checkpoints are whole or not there, a run can be
stopped by Ctrl-C or SIGTERM and resumed exactly, a batch may be larger than the dataset or than
the memory, bad numbers do not ruin the model, and the history is kept as CSV.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paddle
from paddle import nn

from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.evaluation import evaluate
from paddleseg_sclc.inference.engine import Predictor
from paddleseg_sclc.inference.options import InferenceOptions
from paddleseg_sclc.training import parallel
from paddleseg_sclc.training.checkpoint import (
    OPTIMIZER,
    read_arrays,
    resume_average,
    resume_weights,
    save_checkpoint,
)
from paddleseg_sclc.training.data import make_loader, sample_files
from paddleseg_sclc.training.ema import WeightAverage
from paddleseg_sclc.training.interrupt import stop_requests
from paddleseg_sclc.training.log import LogWindow, NoLog, format_duration
from paddleseg_sclc.training.options import TrainingOptions
from paddleseg_sclc.training.panels import show_panels
from paddleseg_sclc.training.run_folder import HISTORY, History, RunFolder
from paddleseg_sclc.training.selection import Selection
from paddleseg_sclc.training.step import TrainingStep

VALIDATION_METRICS = ("miou", "accuracy", "kappa", "dice")
_VDL_NAMES = {"miou": "mIoU", "accuracy": "Acc", "kappa": "Kappa", "dice": "Dice"}


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
        resume: checkpoint to go on from.

    Attributes:
        selection: the best validations so far.
        exhausted: whether the run ended because no better one came.
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
        resume: Path | None = None,
    ) -> None:
        self.train_dataset = train_dataset
        self.run = run
        self.options = options
        self.val_dataset = val_dataset
        self.inference = inference
        self.selection = Selection(options.keep_best, options.patience)
        self.exhausted = False
        self._skipped = 0
        self._start = 0
        self._resumed = resume
        # Weights come before the optimiser, which at level O2 makes its own copies of them.
        state = resume_weights(resume, model) if resume else None
        parallel.share_weights(model)
        self.average = WeightAverage(model, options.ema_decay) if options.use_ema else None
        if resume and self.average is not None:
            resume_average(resume, self.average.model)
        ignore_index = getattr(train_dataset, "ignore_index", 255)
        self.step = TrainingStep(model, optimizer, losses, options, ignore_index)
        if state is not None:
            self._load_state(state)

    def train(self) -> int:
        """Train to the last iteration, or until Ctrl-C, SIGTERM or the end of patience.

        Returns:
            Iterations done; fewer than asked for if stopped.

        Raises:
            SclcError: the loss is no longer finite, or something cannot be read or written.
        """
        # The optimiser names its state when it first steps; names that start afresh are those of
        # the checkpoint, whatever this process has trained before.
        with paddle.utils.unique_name.guard():
            if self._resumed is not None:
                self.step.optimizer.set_state_dict(read_arrays(self._resumed / OPTIMIZER))
            return self._train(self._start)

    def _train(self, iteration: int) -> int:
        options = self.options
        columns = ["iteration", "lr", "loss", "seconds", *VALIDATION_METRICS]
        self._history: Any = (
            History(self.run.path / HISTORY, columns, iteration)
            if parallel.is_writer()
            else NoLog()
        )
        self._seed(iteration)
        batches = make_loader(
            self.train_dataset,
            options.batch_size // parallel.world_size(),
            options.iters,
            options.seed,
            iteration,
            options.num_workers,
        )
        with (
            contextlib.closing(batches),
            self._open_vdl() as self._vdl,
            stop_requests() as stop,
        ):
            log = LogWindow(time.monotonic())
            for batch in batches:
                log.loaded()
                rate = self.step.optimizer.get_lr()
                result = self.step(batch, stop.requested)
                iteration += 1
                if result.finite:
                    self._skipped = 0
                    log.add(result.loss)
                    if self.average is not None:
                        self.average.update(iteration)
                else:
                    self._refuse_batch(result.loss, iteration)
                    log.skip_to(time.monotonic())
                self.step.step_schedule(result)
                if log.filled and (
                    iteration % options.log_iters == 0 or iteration == options.iters
                ):
                    self._log(iteration, rate, log)
                    log = LogWindow(time.monotonic())
                if self._end_of_iteration(iteration, result.stop, log):
                    break
        return iteration

    def _end_of_iteration(self, iteration: int, stop: bool, log: LogWindow) -> bool:
        """Validate and save where it is time; returns whether this was the last iteration."""
        last = iteration == self.options.iters or stop
        if iteration % self.options.save_interval == 0 or last:
            if not stop:
                last = self._validate(iteration) or last
            self._save(iteration)
            self._seed(iteration)
            log.skip_to(time.monotonic())
        return last

    def _seed(self, iteration: int) -> None:
        # Drawn afresh at every checkpoint, so that a resumed run draws what the undisturbed one
        # does (dropout; the samples and transforms have seeds of their own).
        seed = self.options.seed * 1_000_003 + iteration
        paddle.seed(seed * parallel.world_size() + parallel.rank())

    @property
    def _average_model(self) -> nn.Layer | None:
        return self.average.model if self.average is not None else None

    def _load_state(self, state: dict[str, Any]) -> None:
        self._start = int(state["iteration"])
        self._skipped = int(state["skipped"])
        self.selection.load_state(state["selection"])
        if self.step.scaler is not None and state.get("scaler"):
            self.step.scaler.load_state_dict(state["scaler"])

    def _refuse_batch(self, loss: float, iteration: int) -> None:
        """Skip a batch that is no number, or end the run with a record of it."""
        self._skipped += 1
        files = sample_files(self.train_dataset, self.options, iteration - 1)
        what = f"iteration {iteration}: loss and gradients must be finite, got a loss of {loss}"
        if self.options.non_finite == "skip" and self._skipped <= self.options.max_skipped:
            if parallel.is_writer():
                print(f"skipped: {what}; batch: {', '.join(files)}", flush=True)
            return
        folder = self.run.path / f"non_finite_iter_{iteration}"
        if parallel.is_writer():
            state = {**self._state(iteration - 1), "files": files, "loss": str(loss)}
            self._write(folder, state)
        raise SclcError(
            f"{what} on {', '.join(files)}; the model before it, which this batch has not changed, "
            f"and these names are in {folder}; look at the images, lower --learning_rate (and, "
            "with fp16, try bf16 or fp32), then go on with --resume_model auto"
        )

    def _log(self, iteration: int, rate: float, log: LogWindow) -> None:
        if not parallel.is_writer():
            return
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

    def _validate(self, iteration: int) -> bool:
        """Validate in the first process; returns whether the patience is at its end."""
        if self.val_dataset is None:
            return False
        if parallel.is_writer():
            self._validate_here(iteration)
        (ended,) = parallel.sum_over_processes(
            float(parallel.is_writer() and self.selection.exhausted)
        )
        self.exhausted = ended > 0
        return self.exhausted

    def _validate_here(self, iteration: int) -> None:
        model = self._average_model or self.step.model
        predictor = Predictor(model, self.inference)
        with self.step.auto_cast():
            result = evaluate(predictor, self.val_dataset)
            if self.options.use_vdl:
                show_panels(self._vdl, predictor, self.val_dataset, self.options.panels, iteration)
        names = dict.fromkeys((*VALIDATION_METRICS, self.options.best_metric))
        figures = {name: float(value) for name, value in result.figures(names).items()}
        better, kept = self.selection.add(figures[self.options.best_metric], iteration)
        state = {"iteration": iteration, "best_metric": self.options.best_metric, **figures}
        state = {k: v if v == v else None for k, v in state.items()}
        if better:
            save_checkpoint(self.run.best_model, model, None, state)
        if kept and self.options.keep_best > 1:
            save_checkpoint(self.run.best_iteration(iteration), model, None, state)
            self.run.keep_best_iterations(i for _, i in self.selection.best)
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

    def _state(self, iteration: int) -> dict[str, Any]:
        scaler = self.step.scaler
        return {
            "iteration": iteration,
            "seed": self.options.seed,
            "best_metric": self.options.best_metric,
            "selection": self.selection.state(),
            "skipped": self._skipped,
            "scaler": _plain(scaler.state_dict()) if scaler is not None else None,
        }

    def _write(self, folder: Path, state: dict[str, Any]) -> None:
        save_checkpoint(folder, self.step.model, self.step.optimizer, state, self._average_model)

    def _save(self, iteration: int) -> None:
        if parallel.is_writer():
            self._write(self.run.checkpoint(iteration), self._state(iteration))
            self.run.remove_old_checkpoints(max(self.options.keep_checkpoint_max, 1))
        parallel.barrier()

    @contextlib.contextmanager
    def _open_vdl(self) -> Iterator[Any]:
        if not self.options.use_vdl or not parallel.is_writer():
            yield NoLog()
            return
        from visualdl import LogWriter  # slow to import, and not always wanted

        with LogWriter(str(self.run.path)) as writer:
            yield writer


def _plain(state: dict[str, Any]) -> dict[str, float]:
    """A GradScaler's state as JSON values."""
    return {k: float(v) if hasattr(v, "numpy") else v for k, v in state.items()}
