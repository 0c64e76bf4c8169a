"""Train and validate networks on every fold of a dataset, split by patient.

python tools/cross_validate.py --config configs/unet.yml configs/msunet_2blocks.yml --folds 5
python tools/val.py --run output/cv/unet output/cv/msunet_2blocks --report

The dataset is the configs', or that of --dataset. One made by tools/prepare_dataset.py needs
--all-folds, which makes the lists; of one made by tools/import_patches.py the groups are split. The
same command goes on where it was stopped. Names of other options are those of tools/train.py.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paddleseg_sclc import cli


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--config", nargs="+", required=True, help="configs (YAML) of the networks")
    add("--folds", type=int, help="how many (default: the dataset's own, else 5)")
    add("--dataset", type=Path, help="dataset folder, in place of the configs'")
    add("--save_dir", type=Path, default=Path("output/cv"), help="default: %(default)s")
    add("--iters", type=int, help="iterations of each run")
    add("--batch_size", type=int, help="images an iteration")
    add("--learning_rate", type=float, help="initial learning rate")
    add("--save_interval", type=int, default=1000, help="iterations between validations")
    add("--keep_checkpoint_max", type=int, default=1, help="checkpoints to keep, the newest")
    add("--log_iters", type=int, default=10, help="iterations between log lines")
    add("--num_workers", type=int, default=0, help="processes that load data")
    add("--seed", type=int, default=0, help="of folds, weights and samples (default: 0)")
    add("--device", help="cpu or gpu (default: a GPU if there is one)")
    add("--precision", default="fp32", choices=["fp32", "fp16", "bf16"], help="on a GPU")
    add("--opts", nargs="+", help="override any value of the configs: key.subkey=value")
    args = parser.parse_args(argv)
    for name in ("iters", "batch_size", "save_interval", "keep_checkpoint_max", "log_iters"):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    if args.folds is not None and args.folds < 2:
        parser.error(f"--folds must be at least 2, got {args.folds}")
    if args.num_workers < 0:
        parser.error(f"--num_workers must not be negative, got {args.num_workers}")
    if not 0 <= args.seed < 2**32:
        parser.error(f"--seed must be from 0 to 4294967295, got {args.seed}")
    if args.learning_rate is not None and not 0 < args.learning_rate < float("inf"):
        parser.error(f"--learning_rate must be positive, got {args.learning_rate}")
    return args


def run(argv: Sequence[str] | None) -> int:
    """Cross-validate as the command line says; 130 if stopped."""
    args = parse_args(argv)
    # Paddle takes seconds to load: not for --help or a misspelt option.
    from paddleseg_sclc.report.cross_validation import Plan, cross_validate
    from paddleseg_sclc.training.config import load_config
    from paddleseg_sclc.training.device import set_device
    from paddleseg_sclc.training.loop import TrainingOptions

    def load(path: str, places: Sequence[str]) -> Any:
        overrides = [*(args.opts or []), *places]
        return load_config(path, args.learning_rate, args.batch_size, args.iters, overrides)

    def make_training(config: Any) -> TrainingOptions:
        return TrainingOptions(
            iters=config.iters,
            batch_size=config.batch_size,
            seed=args.seed,
            save_interval=args.save_interval,
            log_iters=args.log_iters,
            num_workers=args.num_workers,
            keep_checkpoint_max=args.keep_checkpoint_max,
            best_metric=config.dic.get("best_metric", "miou"),
            precision=args.precision,
        )

    device = set_device(args.device)
    print(f"device: {device}", flush=True)
    plan = Plan(
        args.config, args.save_dir, load, make_training, device, args.dataset, args.folds, args.seed
    )
    if not cross_validate(plan):
        return 130
    folders = " ".join(str(args.save_dir / Path(config).stem) for config in args.config)
    print(f"join the folds: python tools/val.py --run {folders} --report")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return cli.run(run, argv)


if __name__ == "__main__":
    sys.exit(main())
