"""Train a network from a config.

python tools/train.py --config configs/msunet_4blocks.yml --do_eval --use_vdl
python tools/train.py --config configs/msunet_4blocks.yml --do_eval --resume_model auto
python -m paddle.distributed.launch --gpus 0,1,2,3 tools/train.py --config ... --num_workers 4

Option names and meaning are those of PaddleSeg's tools/train.py; only the batch size counts the
images of all processes together. docs/training.md says more.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from paddleseg_sclc import cli


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--config", required=True, help="the config (YAML)")
    add("--save_dir", help="run folder (default: output/NAME OF THE CONFIG)")
    add("--do_eval", action="store_true", help="validate at every checkpoint, keep the best model")
    add("--best_metric", help="metric that chooses the best model: miou (default), kappa, dice ...")
    add("--resume_model", help="checkpoint folder RUN/iter_N to go on from, or `auto`: the newest")
    add("--pretrained", help="start from these weights: a run folder or a .pdparams file")
    add("--iters", type=int, help="iterations of the whole run")
    add("--batch_size", type=int, help="images an iteration, of all processes")
    add("--accumulation", type=int, help="compute a batch in so many parts, for less memory")
    add("--learning_rate", type=float, help="initial learning rate")
    add("--save_interval", type=int, default=1000, help="iterations between checkpoints")
    add("--keep_checkpoint_max", type=int, default=5, help="checkpoints to keep, the newest")
    add("--log_iters", type=int, default=10, help="iterations between log lines")
    add("--num_workers", type=int, default=0, help="processes that load data")
    add("--seed", type=int, help="of weights, sample order and transforms (default: 0)")
    add("--device", help="cpu or gpu (default: a GPU if there is one)")
    add("--precision", default="fp32", choices=["fp32", "fp16", "bf16"], help="on a GPU")
    add("--amp_level", default="O1", choices=["O1", "O2"], help="with fp16 and bf16")
    add("--deterministic", action="store_true", help="same bits every time on a GPU too; slow")
    add("--use_vdl", action="store_true", help="write a VisualDL log")
    add("--use_ema", action="store_true", help="validate and keep averaged weights")
    add("--patience", type=int, help="end after so many validations without a better one")
    add("--opts", nargs="+", help="override any value of the config: key.subkey=value")
    args = parser.parse_args(argv)
    at_least_1 = ("iters", "batch_size", "save_interval", "keep_checkpoint_max", "log_iters")
    for name in (*at_least_1, "accumulation", "patience"):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    if args.num_workers < 0:
        parser.error(f"--num_workers must not be negative, got {args.num_workers}")
    if args.learning_rate is not None and not 0 < args.learning_rate < float("inf"):
        parser.error(f"--learning_rate must be positive, got {args.learning_rate}")
    if args.patience is not None and not args.do_eval:
        parser.error("--patience counts validations; add --do_eval")
    return args


def train(argv: Sequence[str] | None) -> int:
    """Train as the command line says."""
    args = parse_args(argv)
    # Paddle takes seconds to load: not for --help or a misspelt option.
    from paddleseg_sclc.training.config import load_config
    from paddleseg_sclc.training.device import set_device, tune
    from paddleseg_sclc.training.options import TrainingOptions, section_options
    from paddleseg_sclc.training.run_folder import RunFolder
    from paddleseg_sclc.training.start import run_training

    overrides = list(args.opts or [])
    if args.best_metric:
        overrides.append(f"best_metric={args.best_metric}")
    training = {
        name: value
        for name in ("accumulation", "use_ema", "patience")
        if (value := getattr(args, name))
    }
    config = load_config(
        args.config, args.learning_rate, args.batch_size, args.iters, overrides or None, training
    )
    device = set_device(args.device)
    tune(device, args.deterministic)
    print(f"device: {device}", flush=True)
    if device.startswith("cpu") and args.precision != "fp32":
        print(f"--precision {args.precision} changes nothing on a CPU", flush=True)
    options = TrainingOptions(
        iters=config.iters,
        batch_size=config.batch_size,
        seed=args.seed if args.seed is not None else config.dic.get("seed", 0),
        save_interval=args.save_interval,
        log_iters=args.log_iters,
        num_workers=args.num_workers,
        keep_checkpoint_max=args.keep_checkpoint_max,
        best_metric=config.dic.get("best_metric", "miou"),
        precision=args.precision,
        amp_level=args.amp_level,
        use_vdl=args.use_vdl,
        **section_options(config.dic.get("training", {})),
    )
    run = RunFolder(args.save_dir or Path("output") / Path(args.config).stem)
    done = run_training(
        config, run, options, device, args.do_eval, args.resume_model, args.pretrained
    )
    return 0 if done >= options.iters else 130


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return cli.run(train, argv)


if __name__ == "__main__":
    sys.exit(main())
