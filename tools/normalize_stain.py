"""Normalise the stains of H&E images and whole slides.

python tools/normalize_stain.py data/patches data/slides/case_07.ndpi --output data/normalized

Images become PNG, slides pyramidal TIFF. A slide is fitted as a whole, and so is a folder of
images, which are taken to be of one slide: give each slide's patches a folder of their own, or pass
--per-patch. The same command goes on where it was stopped.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from paddleseg_sclc import cli
from paddleseg_sclc.dataset.normalize_files import Normalized, NormalizeOptions, normalize_files
from paddleseg_sclc.dataset.normalize_items import Item, find_items
from paddleseg_sclc.dataset.parallel import default_jobs
from paddleseg_sclc.dataset.stain_sheet import write_stain_sheet
from paddleseg_sclc.dataset.stain_target import make_normalizer
from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.stain import METHODS, StainNormalizer

MEDIAN = "median"
PREVIEW = "stain_preview.png"


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("inputs", nargs="+", type=Path, metavar="INPUT", help="image, slide, or folder of them")
    add("--output", type=Path, required=True, help="folder to write to")
    add(
        "--target",
        default="warwick",
        help="what to normalise to: warwick, an image, a slide, a JSON of an earlier run, or "
        "`median`, of all the inputs (default %(default)s)",
    )
    add("--method", choices=METHODS, default="vahadane", help="(default %(default)s)")
    add("--fit", type=Path, help="JSON of --save-fit: use its fit, method and target for all")
    add("--save-fit", type=Path, metavar="FILE", help="write the fit; needs one slide or folder")
    add(
        "--per-patch",
        action="store_true",
        help="fit each image by itself, and by --fit where that is impossible",
    )
    add("--preview", action="store_true", help=f"write {PREVIEW}: before, after, H, E")
    add("--overwrite", action="store_true", help="do again what is there already")
    add("--mpp", type=float, help="micrometres a level-0 pixel, in place of what slides say")
    add(
        "--compression",
        choices=("jpeg", "deflate", "lzw"),
        default="jpeg",
        help="of slides (default %(default)s)",
    )
    add("--quality", type=int, default=90, help="of their JPEG, 1 to 100 (default %(default)s)")
    add("--jobs", type=int, default=default_jobs(), help="processes (default %(default)s)")
    args = parser.parse_args(argv)
    for name, most in (("quality", 100), ("jobs", 256)):
        if not 1 <= getattr(args, name) <= most:
            parser.error(f"--{name}: must be from 1 to {most}, got {getattr(args, name)}")
    if args.mpp is not None and not 0.05 <= args.mpp <= 50:
        parser.error(f"--mpp: must be from 0.05 to 50, got {args.mpp}")
    return args


def choose_normalizer(args: argparse.Namespace) -> StainNormalizer:
    """Return the normaliser that the command line asks for."""
    if args.fit is None:
        target = "warwick" if args.target == MEDIAN else args.target
        return make_normalizer(target, args.method, args.mpp)
    saved = StainNormalizer.load(args.fit)
    if saved.source is None:
        raise UsageError(f"{args.fit}: must hold a fit, got a target only; pass it as --target")
    return saved


def report(items: Sequence[Item], done: Normalized, output: Path) -> None:
    """Print what became of the files, and on stderr what was refused or left out."""
    for note in done.notes:
        print(f"not fitted: {note}", file=sys.stderr)
    for problem in done.problems:
        print(f"error: {problem}", file=sys.stderr)
    parts = [f"{count} {outcome.value}" for outcome, count in sorted(done.outcomes.items())]
    if done.skipped:
        parts.append(f"{done.skipped} were there already")
    if len(items) > sum(done.outcomes.values()) + done.skipped:
        parts.append(f"{len(items) - sum(done.outcomes.values()) - done.skipped} left out")
    print(f"{output}: {len(items)} files: " + ", ".join(parts))


def run(argv: Sequence[str] | None) -> int:
    """Normalise as the command line says; 1 if something was left out."""
    args = parse_args(argv)
    items = find_items(args.inputs, args.output)
    if args.save_fit is not None and len({item.source for item in items}) > 1:
        raise UsageError("--save-fit: needs one slide or one folder of images, got several")
    options = NormalizeOptions(
        choose_normalizer(args),
        median_target=args.target == MEDIAN and args.fit is None,
        per_patch=args.per_patch,
        overwrite=args.overwrite,
        mpp=args.mpp,
        compression=args.compression,
        quality=args.quality,
        jobs=args.jobs,
    )
    bar = tqdm(disable=None, leave=False)

    def progress(what: str, done: int, total: int) -> None:
        bar.total, bar.n = total, done
        bar.set_description(what)

    with bar:
        normalized = normalize_files(items, args.output, options, progress)
    report(items, normalized, args.output)
    if args.save_fit is not None:
        if normalized.normalizer.source is None:
            raise SclcError(f"{args.save_fit}: not written: there is no fit to save")
        normalized.normalizer.save(args.save_fit)
    if args.preview:
        write_stain_sheet(args.output / PREVIEW, items, normalized.normalizer)
    return 1 if normalized.problems else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return cli.run(run, argv)


if __name__ == "__main__":
    sys.exit(main())
