"""Make a PaddleSeg dataset from folders of images and masks.

python tools/import_patches.py --images DIR --masks DIR --output data/sclc --groups groups.csv

Masks may be 0/1 or 0/255. Patches of one group (a patient) stay on one side of the split.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from paddleseg_sclc import cli
from paddleseg_sclc.dataset.import_patches import import_patches


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--images", type=Path, required=True, help="folder of images (PNG, JPEG, TIFF, BMP)")
    add("--masks", type=Path, required=True, help="folder of masks with the images' names")
    add("--output", type=Path, required=True, help="dataset folder to make")
    add("--groups", type=Path, help="CSV with columns `patch,patient`; else each patch is one")
    add("--val-fraction", type=float, default=0.2, help="share of the patches to validate on")
    add("--val-groups", nargs="+", help="these groups are the validation set")
    add("--seed", type=int, default=0, help="of the split")
    args = parser.parse_args(argv)
    if not 0 <= args.val_fraction < 1:
        parser.error(f"--val-fraction must be in [0, 1), got {args.val_fraction}")
    return args


def run(argv: Sequence[str] | None) -> int:
    """Import as the command line says."""
    args = parse_args(argv)
    train, val = import_patches(
        args.images,
        args.masks,
        args.output,
        groups=args.groups,
        val_fraction=args.val_fraction,
        val_groups=args.val_groups,
        seed=args.seed,
    )
    print(f"{args.output}: {len(train)} patches to train on, {len(val)} to validate on")
    print("validation: " + ", ".join(sample.image.stem for sample in val))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return cli.run(run, argv)


if __name__ == "__main__":
    sys.exit(main())
