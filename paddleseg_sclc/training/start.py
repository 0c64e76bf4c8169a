"""From a checked config to a finished training run."""

import sys
from pathlib import Path
from typing import Any

import paddle

from paddleseg_sclc.errors import UsageError
from paddleseg_sclc.inference.options import InferenceOptions
from paddleseg_sclc.training import parallel
from paddleseg_sclc.training.cache import cached
from paddleseg_sclc.training.checkpoint import clean_up
from paddleseg_sclc.training.config import Builder, check_data
from paddleseg_sclc.training.loop import Trainer
from paddleseg_sclc.training.options import TrainingOptions
from paddleseg_sclc.training.parameters import load_pretrained
from paddleseg_sclc.training.run_folder import RunFolder


def run_training(
    config: Any,
    run: RunFolder,
    options: TrainingOptions,
    device: str,
    do_eval: bool = True,
    resume: str | None = None,
    pretrained: str | None = None,
) -> int:
    """Check the data, build everything, train.

    Args:
        config: a checked PaddleSeg config.
        run: where the run goes.
        options: of the loop.
        device: what `set_device` returned, for the record.
        do_eval: validate at every checkpoint.
        resume: a checkpoint folder, or `auto` for the newest whole one of the run (which may be
            none: the run then starts).
        pretrained: a run folder or a file of weights to start from, where nothing is resumed.

    Returns:
        Iterations done; all that were asked for where the run ended of itself.

    Raises:
        UsageError, SclcError: see the parts.
    """
    _check_shares(options)
    parallel.start()
    checkpoint = _find_checkpoint(run, resume)
    if do_eval and "val_dataset" not in config.dic:
        raise UsageError("--do_eval: the config must have a val_dataset; add one or leave it out")
    try:
        inference = InferenceOptions.from_config(config.test_config)
    except ValueError as error:
        raise UsageError(str(error)) from error
    check_data(config.dic, ["train_dataset", "val_dataset"] if do_eval else ["train_dataset"])
    paddle.seed(options.seed)
    builder = Builder(config)
    if parallel.is_writer():
        run.start(config.dic, options.seed, device, resuming=resume is not None)
        print(f"run folder: {run.path}", flush=True)
    model = builder.model
    if pretrained and checkpoint is None:
        print(f"pretrained: {load_pretrained(model, Path(pretrained), builder.num_classes)}")
    train_dataset = builder.train_dataset
    if options.cache_gb:
        train_dataset = cached(train_dataset, options.cache_gb)
    if checkpoint is not None:
        print(f"resuming from {checkpoint}", flush=True)
    trainer = Trainer(
        model,
        builder.optimizer,
        builder.loss,
        train_dataset,
        run,
        options,
        builder.val_dataset if do_eval else None,
        inference,
        checkpoint,
    )
    done = trainer.train()
    _print_end(trainer, done)
    return options.iters if trainer.exhausted else done


def _print_end(trainer: Trainer, done: int) -> None:
    options, selection = trainer.options, trainer.selection
    if not parallel.is_writer():
        return
    if trainer.exhausted:
        print(
            f"ended after iteration {done}: no better {options.best_metric} in "
            f"{selection.waited} validations",
            flush=True,
        )
    elif done < options.iters:
        print(f"stopped after iteration {done}; go on with --resume_model auto", flush=True)
    if selection.score is not None and (trainer.exhausted or done == options.iters):
        print(
            f"best {options.best_metric} {selection.score:.4f} at iteration "
            f"{selection.iteration}: {trainer.run.best_model}",
            flush=True,
        )


def _check_shares(options: TrainingOptions) -> None:
    """A batch must fall into equal parts, one a process and, with accumulation, a pass."""
    parts = parallel.world_size() * options.accumulation
    if options.batch_size % parts:
        raise UsageError(
            f"batch_size must be a multiple of {parts} ({parallel.world_size()} processes, "
            f"{options.accumulation} parts each), got {options.batch_size}; it counts the images "
            "of all processes together"
        )


def _find_checkpoint(run: RunFolder, resume: str | None) -> Path | None:
    if resume is None:
        if run.config.exists():
            raise UsageError(
                f"{run.path}: holds a run already; go on with it by --resume_model auto, or "
                "choose another --save_dir"
            )
        return None
    if parallel.is_writer() and run.path.is_dir():
        clean_up(run.path)
    parallel.barrier()
    if resume == "auto":
        checkpoint = run.newest_checkpoint()
        if checkpoint is None:
            print(f"{run.path}: no checkpoint to resume, starting afresh", file=sys.stderr)
        return checkpoint
    if not Path(resume).is_dir():
        raise UsageError(
            f"--resume_model {resume}: must be a checkpoint folder (RUN/iter_N) or auto"
        )
    return Path(resume)
