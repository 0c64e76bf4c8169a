"""Evaluate trained networks: the paper's table 1, with intervals, tests, and a report to look at.

python tools/val.py --run output/msunet_2blocks output/msunet_4blocks --output output/table
python tools/val.py --run output/* --report output/report.html --figure output/figure4.png
python tools/val.py --config configs/unet.yml --model_path output/unet/best_model/model.pdparams
python tools/val.py --dataset data/sclc --predictions forest=qupath/masks --run output/unet
python tools/val.py --summary --config configs/unet.yml configs/msunet_4blocks.yml

The third form and its option names are those of PaddleSeg's tools/val.py. --run takes run folders
of tools/train.py and folders of tools/cross_validate.py, whose folds it joins; --predictions takes
masks that any program wrote. The last form prints the size of networks, trained or not.
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
    add(
        "--predictions",
        nargs="+",
        default=[],
        metavar="NAME=DIR",
        help="ready predictions: DIR of tools/predict.py, or of masks with the images' names",
    )
    add("--dataset", type=Path, help="evaluate on DIR/val.txt in place of the configs'")
    add("--weights", choices=("best", "last"), default="best", help="of runs (default: best)")
    add("--summary", action="store_true", help="print parameters and multiply-adds, and stop")
    _add_output(parser)
    _add_statistics(parser)
    add_inference_options(parser, "--aug_eval")
    args = parser.parse_args(argv)
    _check(parser, args)
    return args


def _add_output(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("output").add_argument
    add(
        "--output",
        type=Path,
        help="write the table here as Markdown, CSV, LaTeX and JSON; with the suffix .md, .csv, "
        ".tex or .json that one file only",
    )
    add(
        "--report",
        type=Path,
        nargs="?",
        const=Path("report.html"),
        metavar="FILE.html",
        help="write one HTML file with table, curves and pictures (default: report.html)",
    )
    add(
        "--figure",
        type=Path,
        nargs="?",
        const=Path("figure4.png"),
        metavar="FILE.png",
        help="write the paper's figure 4: images, truth, predictions (default: figure4.png)",
    )
    add("--images", nargs="+", default=[], metavar="NAME", help="show these images, too")


def _add_statistics(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("statistics").add_argument
    add(
        "--unit",
        choices=("patient", "slide", "patch"),
        help="what intervals and tests take for independent (default: patients where they are "
        "known, else slides, else patches)",
    )
    add("--compare", default="miou", metavar="FIGURE", help="test runs by this (default: miou)")
    add("--level", type=float, default=0.95, help="of the intervals (default: 0.95)")
    add("--resamples", type=int, default=2000, help="of the bootstrap (default: 2000)")
    add("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    add(
        "--tolerance",
        type=float,
        help="of the boundary F-score, in um (px where mpp is not known); default: 0.75%% of the "
        "patch's diagonal",
    )
    add(
        "--skip_checks",
        action="store_true",
        help="do not look for images, copies and patients on both sides of the split",
    )


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if args.summary and not (args.config or args.run):
        parser.error("--summary needs --config FILE ... or --run DIR ...")
    named = args.run or args.predictions or (args.config and args.model_path)
    if not args.summary and not named:
        parser.error("give --run DIR ..., --predictions NAME=DIR, or --config and --model_path")
    if args.model_path and (len(args.config or []) != 1 or args.run):
        parser.error("--model_path goes with one --config, and not with --run")
    if not args.summary and args.run and args.config:
        parser.error("--config does not go with --run, which has its own")
    if not 0.5 <= args.level < 1:
        parser.error(f"--level must be from 0.5 to below 1, got {args.level}")
    if not 100 <= args.resamples <= 100_000:
        parser.error(f"--resamples must be from 100 to 100000, got {args.resamples}")
    if not 0 <= args.seed < 2**32:
        parser.error(f"--seed must be from 0 to 4294967295, got {args.seed}")
    if args.tolerance is not None and not 0 <= args.tolerance < float("inf"):
        parser.error(f"--tolerance must not be negative, got {args.tolerance}")
    for item in args.predictions:
        name, separator, folder = item.partition("=")
        if not (name and separator and folder):
            parser.error(f"--predictions must be NAME=DIR, got {item!r}")
    if args.images and not (args.report or args.figure):
        parser.error("--images needs --report or --figure")


def summarize_configs(args: argparse.Namespace) -> int:
    """Print the sizes of networks."""
    from paddleseg_sclc.training.network_size import format_summary, summarize

    configs = [*(args.config or []), *(str(Path(run) / "config.yml") for run in args.run or [])]
    print(format_summary([summarize(config, args.opts) for config in configs]))
    return 0


def validate(argv: Sequence[str] | None) -> int:
    """Evaluate as the command line says."""
    args = parse_args(argv)
    if args.summary:
        return summarize_configs(args)
    # Paddle takes seconds to load: not for --help or a misspelt option.
    from paddleseg_sclc.report.grids import leak_warnings
    from paddleseg_sclc.report.make import Asked, evaluate_and_write
    from paddleseg_sclc.report.writers import format_text
    from paddleseg_sclc.training.device import set_device

    def make_options(test_config: dict) -> object:
        with cli.usage_errors():
            return inference_options(args, test_config)

    asked = Asked(
        runs=args.run or [],
        files=(args.config[0], args.model_path) if args.config else None,
        predictions=dict(item.split("=", 1) for item in args.predictions),
        make_options=make_options,
        opts=args.opts,
        dataset=args.dataset,
        weights=args.weights,
        output=args.output,
        report=args.report,
        figure=args.figure,
        images=args.images,
        unit=args.unit,
        compare=args.compare,
        level=args.level,
        resamples=args.resamples,
        seed=args.seed,
        tolerance=args.tolerance,
        check_leaks=not args.skip_checks,
    )
    if args.run or args.config:
        print(f"device: {set_device(args.device)}", flush=True)
    table, files = evaluate_and_write(asked)
    print(format_text(table))
    for warning in leak_warnings(table):
        print(f"warning: {warning}", file=sys.stderr)
    for kind, paths in files.items():
        print(f"{kind}: {', '.join(map(str, paths))}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return cli.run(validate, argv)


if __name__ == "__main__":
    sys.exit(main())
