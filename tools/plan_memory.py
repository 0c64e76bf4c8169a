"""Say how much memory training takes, and which setting fits a card.

python tools/plan_memory.py --config configs/msunet_4blocks.yml --memory 24GB
python tools/plan_memory.py --config configs/msunet_4blocks.yml --measure --device gpu

The first builds the network in its full width and computes the rest from two small steps on the
CPU (a minute or so, and about 2 GB for the largest network). The second takes two real steps of
the config's batch on the device and prints the peak.
"""

import argparse
import re
import sys
from collections.abc import Sequence

from paddleseg_sclc import cli

_UNITS = {"MB": 1e6, "GB": 1e9, "MiB": 2**20, "GiB": 2**30}


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--config", required=True, help="the config (YAML)")
    add("--memory", type=parse_size, default=24e9, help="of the card: 24GB (default), 11GiB ...")
    add("--reserve", type=parse_size, default=1.5e9, help="kept free for the driver and for cuDNN")
    add("--batch_size", type=int, help="images an iteration (default: the config's)")
    add("--size", type=int, nargs=2, metavar=("H", "W"), help="of an image (default: the config's)")
    add("--use_ema", action="store_true", help="count averaged weights as well")
    add("--measure", action="store_true", help="take real steps and print the peak instead")
    add("--device", help="with --measure: cpu or gpu (default: a GPU if there is one)")
    add("--opts", nargs="+", help="override any value of the config: key.subkey=value")
    args = parser.parse_args(argv)
    if args.batch_size is not None and args.batch_size < 1:
        parser.error(f"--batch_size must be at least 1, got {args.batch_size}")
    if args.size and min(args.size) < 16:
        parser.error(f"--size must be at least 16 by 16, got {args.size[0]} by {args.size[1]}")
    return args


def parse_size(text: str) -> float:
    """Bytes from `24GB`, `800MB`, `11GiB` or `500MiB`."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(MB|GB|MiB|GiB)", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be a number with MB, GB, MiB or GiB, as in 24GB"
        )
    return float(match[1]) * _UNITS[match[2]]


def plan(argv: Sequence[str] | None) -> int:
    """Plan as the command line says."""
    args = parse_args(argv)
    from paddleseg_sclc.training.config import load_config
    from paddleseg_sclc.training.device import set_device
    from paddleseg_sclc.training.plan_table import format_plans, measure_config, plan_config

    config = load_config(args.config, batch_size=args.batch_size, opts=args.opts)
    if args.measure:
        print(f"device: {set_device(args.device)}", flush=True)
        print(measure_config(config, args.size))
        return 0
    set_device("cpu")
    plans = plan_config(config, args.memory - args.reserve, args.size, args.use_ema)
    print(format_plans(plans, config, args.memory, args.reserve))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return cli.run(plan, argv)


if __name__ == "__main__":
    sys.exit(main())
