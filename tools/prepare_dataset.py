"""Make a PaddleSeg dataset from annotated slides.

python tools/prepare_dataset.py --slides data/slides --output data/sclc

Finds the annotation beside each slide (ASAP XML, GeoJSON, NDPA, ImageScope XML), cuts patches and
masks, augments, splits, and writes images/, masks/, train.txt, val.txt, manifest.csv, split.csv and
previews/. The same command goes on where it was stopped, and does again only what has changed.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from paddleseg_sclc import cli
from paddleseg_sclc.dataset.augment import VARIANTS, AugmentOptions
from paddleseg_sclc.dataset.extract import CutOptions
from paddleseg_sclc.dataset.parallel import default_jobs
from paddleseg_sclc.dataset.prepare import Prepared, PrepareOptions, prepare
from paddleseg_sclc.dataset.sides import SplitOptions
from paddleseg_sclc.dataset.stain_task import StainOptions
from paddleseg_sclc.dataset.summary import slide_table, totals
from paddleseg_sclc.stain import METHODS


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--slides", type=Path, required=True, help="folder of slides (with subfolders), or one")
    add("--output", type=Path, required=True, help="dataset folder, new or of an earlier run")
    add("--annotations", type=Path, help="folder of annotations, if not beside the slides")
    add(
        "--labels",
        type=Path,
        help="YAML: group or name -> 0 or 255 (default: labels.yml in "
        "--slides, else `Annotation Group 0`, else every annotation)",
    )
    add("--patients", type=Path, help="CSV with columns slide,patient; else a slide is a patient")
    add("--mpp", type=float, help="micrometres a level-0 pixel, in place of what the slides say")
    add("--jobs", type=int, default=default_jobs(), help="processes (default %(default)s)")
    add("--seed", type=int, default=0, help="of every draw (default %(default)s)")
    add("--dry-run", action="store_true", help="say what would be done; write nothing")
    _add_cutting(parser)
    _add_stain(parser)
    _add_augmentation(parser)
    _add_split(parser)
    args = parser.parse_args(argv)
    _check(parser, args)
    return args


def _add_cutting(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("patches").add_argument
    add(
        "--mode",
        choices=("boxes", "grid"),
        default="boxes",
        help="a box around each annotation, as in the paper, or tiles (default %(default)s)",
    )
    add("--size", type=int, default=CutOptions.size, help="side of a patch (default %(default)s)")
    add(
        "--border",
        type=int,
        default=CutOptions.border,
        help="boxes: level-0 pixels around the annotation (default %(default)s)",
    )
    add("--keep-aspect", action="store_true", help="boxes: pad instead of stretching")
    add(
        "--tile-mpp",
        type=float,
        default=CutOptions.tile_mpp,
        help="grid: micrometres a pixel (default %(default)s)",
    )
    add(
        "--min-annotated",
        type=float,
        default=CutOptions.min_annotated,
        help="grid: least annotated part of a tile (default: any pixel)",
    )
    add(
        "--free-ratio",
        type=float,
        default=CutOptions.free_ratio,
        help="grid: tiles of annotation-free tissue per annotated tile (default %(default)s); they "
        "count as background, so all tumour of a slide must be annotated",
    )
    add(
        "--min-tissue",
        type=float,
        default=CutOptions.min_tissue,
        help="grid: least part of a free tile that is tissue (default %(default)s)",
    )
    add(
        "--rule",
        choices=("asap", "centre"),
        default=CutOptions.rule,
        help="which pixels lie within an outline (default %(default)s)",
    )


def _add_stain(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("stain").add_argument
    add(
        "--stain",
        choices=(*METHODS, "none"),
        default=StainOptions.method,
        help="bring all slides to one staining, each by its own fit (default %(default)s)",
    )
    add(
        "--stain-target",
        default=StainOptions.target,
        metavar="T",
        help="warwick (the paper's), median (of the slides), an image, a slide, or a saved fit "
        "(default %(default)s)",
    )
    add("--stain-per-patch", action="store_true", help="fit each patch by itself")


def _add_augmentation(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("augmentation").add_argument
    add(
        "--augment",
        nargs="+",
        choices=VARIANTS,
        default=list(VARIANTS),
        metavar="VARIANT",
        help=f"copies to make of each patch: {', '.join(VARIANTS)} (default: all four)",
    )
    add("--no-augment", action="store_true", help="make no copies")
    add(
        "--fill",
        choices=("background", "ignore"),
        default="background",
        help="what the mask says of the black that a rotation or shift uncovers "
        "(default %(default)s, the paper's)",
    )


def _add_split(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("split").add_argument
    add(
        "--protocol",
        choices=("patient", "paper"),
        default="patient",
        help="split by patient, then augment the training side; or augment, then split 30:1, as "
        "the paper did, which leaks (default %(default)s)",
    )
    add("--folds", type=int, help="patient: folds to split into (default 5, or the patients)")
    add("--fold", type=int, default=0, help="patient: the one that validates (default 0)")
    add("--all-folds", action="store_true", help="patient: write the lists of every fold too")
    add("--val-count", type=int, help="paper: patches to validate on (default: one in 31)")
    add("--split", type=Path, help="a split.csv, maybe edited, in place of a draw")


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    for name, low, high in (
        ("size", 16, 8192),
        ("border", 0, 100_000),
        ("tile_mpp", 0.05, 50),
        ("jobs", 1, 256),
        ("min_annotated", 0, 1),
        ("free_ratio", 0, 100),
        ("min_tissue", 0, 1),
        ("seed", 0, 2**32 - 1),
    ):
        value = getattr(args, name)
        if not low <= value <= high:
            option = name.replace("_", "-")
            parser.error(f"--{option}: must be from {low} to {high}, got {value}")


def options_from(args: argparse.Namespace) -> PrepareOptions:
    """Gather what the command line says."""
    fill = 255 if args.fill == "ignore" else 0
    augment = AugmentOptions(tuple(args.augment), seed=args.seed, mask_fill=fill)
    stain = StainOptions(args.stain, args.stain_target, args.stain_per_patch)
    return PrepareOptions(
        slides=args.slides,
        output=args.output,
        annotations=args.annotations,
        labels=args.labels,
        patients=args.patients,
        mpp=args.mpp,
        cut=CutOptions(
            mode=args.mode,
            size=args.size,
            border=args.border,
            keep_aspect=args.keep_aspect,
            tile_mpp=args.tile_mpp,
            min_annotated=args.min_annotated,
            free_ratio=args.free_ratio,
            min_tissue=args.min_tissue,
            rule=args.rule,
            seed=args.seed,
        ),
        stain=None if args.stain == "none" else stain,
        augment=None if args.no_augment else augment,
        split=SplitOptions(
            args.protocol,
            args.folds,
            args.fold,
            args.all_folds,
            args.val_count,
            args.split,
            args.seed,
        ),
        jobs=args.jobs,
        dry_run=args.dry_run,
    )


def report(args: argparse.Namespace, prepared: Prepared) -> None:
    """Print the table and the totals, and on stderr warnings and what was left out."""
    if prepared.labels is not None:
        print(f"labels: {prepared.labels}")
    print(slide_table(prepared.slides, args.dry_run))
    for line in totals(prepared, args.output, args.dry_run):
        print(line)
    notes = sum(len(result.notes) for _, result in prepared.slides)
    if notes:
        print(f"remarks on annotations: {notes}; tools/check_annotations.py shows them")
    for warning in prepared.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for problem in prepared.problems:
        print(f"error: {problem}", file=sys.stderr)
    if prepared.problems:
        print(f"{len(prepared.problems)} left out; all else is done", file=sys.stderr)


def run(argv: Sequence[str] | None) -> int:
    """Prepare as the command line says; 1 if something was left out."""
    args = parse_args(argv)
    bar = tqdm(unit="slide", disable=None, leave=False)

    def progress(what: str, done: int, total: int) -> None:
        bar.total, bar.n = total, done
        bar.set_description(what)

    with bar:
        prepared = prepare(options_from(args), progress)
    report(args, prepared)
    return 1 if prepared.problems else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return cli.run(run, argv)


if __name__ == "__main__":
    sys.exit(main())
