#!/usr/bin/env python
"""Draw synthetic H&E patches of small cell lung cancer with their masks.

python tools/make_demo_patches.py --output data/demo_patches --patients 12 --patches-per-patient 4

Writes OUTPUT/images/*.png, OUTPUT/masks/*.png (0 other, 255 tumour) and OUTPUT/groups.csv
(patch, patient), ready for tools/import_patches.py. The same seed gives the same bytes.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from paddleseg_sclc import cli
from paddleseg_sclc.demo.patches import PatchPlan, write_patches
from paddleseg_sclc.errors import UsageError


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--patients", type=int, default=12, help="default %(default)s")
    parser.add_argument("--patches-per-patient", type=int, default=4, help="default %(default)s")
    parser.add_argument("--size", type=int, default=256, help="side in pixels, default %(default)s")
    parser.add_argument("--mpp", type=float, default=4.0, help="um a pixel, default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    return parser.parse_args(argv)


def plan_from(args: argparse.Namespace) -> PatchPlan:
    """Check the numbers and gather them."""
    limits = {
        "patients": (1, 9999),
        "patches_per_patient": (1, 9999),
        "size": (16, 8192),
        "mpp": (0.1, 32.0),
        "seed": (0, 2**31 - 1),
    }
    for name, (least, greatest) in limits.items():
        if not least <= getattr(args, name) <= greatest:
            option = "--" + name.replace("_", "-")
            raise UsageError(
                f"{option}: must be from {least} to {greatest}, got {getattr(args, name)}"
            )
    return PatchPlan(args.patients, args.patches_per_patient, args.size, args.mpp, args.seed)


def _main(argv: Sequence[str] | None) -> int:
    args = parse_args(argv)
    plan = plan_from(args)
    start = time.perf_counter()
    names = write_patches(args.output, plan)
    seconds = time.perf_counter() - start
    print(
        f"{args.output}: {len(names)} patches of {plan.patients} patients, "
        f"{plan.size} x {plan.size} px at {plan.mpp:g} um/px, seed {plan.seed}, {seconds:.1f} s"
    )
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit code."""
    return cli.run(_main, argv)


if __name__ == "__main__":
    sys.exit(main())
