"""Derive the figures of the built-in target `warwick`.

    python benchmarks/derive_warwick_target.py IMAGE

IMAGE is the H&E image that the paper's authors normalise to (678 x 678, in their repository).
Writes paddleseg_sclc/stain/warwick.json: what each method, with its default options, finds on
every one of its pixels.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

import paddleseg_sclc.stain
from paddleseg_sclc.cli import run
from paddleseg_sclc.stain import METHODS
from paddleseg_sclc.stain.histogram import histogram_of
from paddleseg_sclc.stain.storage import write_json


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path)
    package = Path(paddleseg_sclc.stain.__file__).parent
    parser.add_argument("--output", type=Path, default=package / "warwick.json")
    return parser.parse_args(argv)


def derive(image: np.ndarray) -> dict[str, dict[str, list]]:
    """Return the figures of `image` (RGB uint8) by method."""
    histogram = histogram_of([image], max_pixels=None)
    # The image itself is the target that is not looked up: there is no other yet.
    return {name: kind(target=image).fit_of(histogram).to_dict() for name, kind in METHODS.items()}


def _main(argv: Sequence[str] | None) -> int:
    args = parse_args(argv)
    with Image.open(args.image) as image:
        figures = derive(np.asarray(image.convert("RGB")))
    write_json(args.output, figures)
    print(f"wrote {args.output}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; see the module's docstring."""
    return run(_main, argv)


if __name__ == "__main__":
    sys.exit(main())
