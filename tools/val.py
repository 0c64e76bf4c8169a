"""Measure trained networks on their validation sets: the paper's table 1.

python tools/val.py --run output/msunet_2blocks output/msunet_4blocks
python tools/val.py --config configs/unet.yml --model_path output/unet/best_model/model.pdparams
python tools/val.py --summary --config configs/unet.yml configs/msunet_4blocks.yml

The second form and its option names are those of PaddleSeg's tools/val.py; the third prints the
size of networks, trained or not.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from paddleseg_sclc import cli
from paddleseg_sclc.inference.options import add_inference_options, inference_options


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    cli.add_trained_options(parser, several=True)
    add("--dataset", type=Path, help="validate on DIR/val.txt in place of the config's")
    add("--output", type=Path, help="write the figures as JSON here")
    add("--summary", action="store_true", help="print parameters and multiply-adds, and stop")
    add_inference_options(parser, "--aug_eval")
    args = parser.parse_args(argv)
    if args.summary and not (args.config or args.run):
        parser.error("--summary needs --config FILE ... or --run DIR ...")
    if not args.run and not args.summary and not (args.config and args.model_path):
        parser.error("give --run DIR ..., or --config FILE and --model_path FILE")
    if args.model_path and len(args.config or []) != 1:
        parser.error("--model_path goes with one --config")
    return args


def validate(argv: Sequence[str] | None) -> int:
    """Validate as the command line says."""
    args = parse_args(argv)
    from paddleseg_sclc.training.device import set_device
    from paddleseg_sclc.training.trained import find_trained
    from paddleseg_sclc.training.validation import (
        format_summary,
        format_table,
        summarize,
        validate_trained,
        write_figures,
    )

    if args.summary:
        configs = [*(args.config or []), *(str(Path(run) / "config.yml") for run in args.run or [])]
        print(format_summary([summarize(config, args.opts) for config in configs]))
        return 0
    networks = [find_trained(run, None, None, _opts(args)) for run in args.run or []] or [
        find_trained(None, args.config[0], args.model_path, _opts(args))
    ]
    print(f"device: {set_device(args.device)}", flush=True)
    results = []
    for trained in networks:
        with cli.usage_errors():
            options = inference_options(args, trained.config.test_config)
        results.append(validate_trained(trained, options))
    print(format_table(results))
    if args.output:
        write_figures(args.output, results)
        print(f"figures: {args.output}")
    return 0


def _opts(args: argparse.Namespace) -> list[str]:
    """Overrides of the config, with those of --dataset."""
    if args.dataset is None:
        return list(args.opts or [])
    root = args.dataset
    places = [f"val_dataset.dataset_root={root}", f"val_dataset.val_path={root / 'val.txt'}"]
    return [*(args.opts or []), *places]


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return cli.run(validate, argv)


if __name__ == "__main__":
    sys.exit(main())
