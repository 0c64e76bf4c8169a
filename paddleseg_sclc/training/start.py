"""From a checked config to a finished training run."""

import sys
from pathlib import Path
from typing import Any

import paddle

from paddleseg_sclc.errors import UsageError
from paddleseg_sclc.inference.options import InferenceOptions
from paddleseg_sclc.training.config import Builder, check_data
from paddleseg_sclc.training.loop import Trainer, TrainingOptions
from paddleseg_sclc.training.run_folder import RunFolder


def run_training(
    config: Any,
    run: RunFolder,
    options: TrainingOptions,
    device: str,
    do_eval: bool = True,
    resume: str | None = None,
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

    Returns:
        Iterations done.

    Raises:
        UsageError, SclcError: see the parts.
    """
    if paddle.distributed.get_world_size() > 1:
        raise UsageError(
            "training by several processes is not supported yet; start one process, on one GPU"
        )
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
    run.start(config.dic, options.seed, device, resuming=resume is not None)
    print(f"run folder: {run.path}", flush=True)
    trainer = Trainer(
        builder.model,
        builder.optimizer,
        builder.loss,
        builder.train_dataset,
        run,
        options,
        builder.val_dataset if do_eval else None,
        inference,
    )
    if checkpoint is not None:
        print(f"resuming from {checkpoint}", flush=True)
    done = trainer.train(checkpoint)
    if done < options.iters:
        print(f"stopped after iteration {done}; go on with --resume_model auto", flush=True)
    elif trainer.best.score is not None:
        print(
            f"best {options.best_metric} {trainer.best.score:.4f} at iteration "
            f"{trainer.best.iteration}: {run.best_model}",
            flush=True,
        )
    return done


def _find_checkpoint(run: RunFolder, resume: str | None) -> Path | None:
    if resume is None:
        if run.config.exists():
            raise UsageError(
                f"{run.path}: holds a run already; go on with it by --resume_model auto, or "
                "choose another --save_dir"
            )
        return None
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
