#!/usr/bin/env python
"""Draw synthetic H&E slides of small cell lung cancer as NDPI files with ASAP annotations.

python tools/make_demo_slides.py --output data/demo_slides --slides 12

Writes OUTPUT/patientNN.ndpi, OUTPUT/patientNN.xml beside it, and OUTPUT/labels.yml (tumour 255,
holes 0). 31 slides have 134 tumour annotations, as the paper's have. The same seed gives the same
bytes.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from paddleseg_sclc import cli
from paddleseg_sclc.dataset.parallel import default_jobs, run_tasks
from paddleseg_sclc.demo.slides import SlidePlan, SlideTask, WrittenSlide, write_labels, write_slide
from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.files import make_folder


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--slides", type=int, default=12, help="default %(default)s")
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("W", "H"),
        default=(SlidePlan.width, SlidePlan.height),
        help="of level 0 in pixels of 0.92 um, multiples of 64; default %(default)s",
    )
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    parser.add_argument("--jobs", type=int, default=default_jobs(), help="default %(default)s")
    return parser.parse_args(argv)


def plan_from(args: argparse.Namespace) -> SlidePlan:
    """Check the numbers and gather them."""
    for option, value, least, greatest in (
        ("--slides", args.slides, 1, 999),
        ("--seed", args.seed, 0, 2**31 - 1),
        ("--jobs", args.jobs, 1, 256),
        ("--size", min(args.size), 1024, 32768),
        ("--size", max(args.size), 1024, 32768),
    ):
        if not least <= value <= greatest:
            raise UsageError(f"{option}: must be from {least} to {greatest}, got {value}")
    if any(side % 64 for side in args.size):
        raise UsageError(f"--size: must be multiples of 64, got {args.size[0]} {args.size[1]}")
    return SlidePlan(args.slides, *args.size, seed=args.seed)


def _main(argv: Sequence[str] | None) -> int:
    args = parse_args(argv)
    plan = plan_from(args)
    start = time.perf_counter()
    folder = make_folder(args.output)
    write_labels(folder)
    tasks = [SlideTask(plan, index, folder) for index in range(plan.slides)]
    written: list[WrittenSlide] = []
    bar = tqdm(total=len(tasks), unit="slide", disable=None)
    for _, result in run_tasks(write_slide, tasks, args.jobs):
        if isinstance(result, SclcError):
            raise result
        written.append(result)
        bar.update()
    bar.close()
    tumours, holes = sum(w.tumours for w in written), sum(w.holes for w in written)
    print(
        f"{folder}: {len(written)} slides of {plan.width} x {plan.height} px at {plan.mpp} um/px, "
        f"{tumours} tumour annotations, {holes} holes, {time.perf_counter() - start:.1f} s"
    )
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit code."""
    return cli.run(_main, argv)


if __name__ == "__main__":
    sys.exit(main())
