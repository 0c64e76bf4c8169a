#!/usr/bin/env python
"""List what programs take from annotation files without a word, and mend it.

python tools/check_annotations.py case_07.ndpi case_07.xml
python tools/check_annotations.py case_07.ndpi case_07.xml --repair mended/case_07.xml
python tools/check_annotations.py --size 100000 80000 a.xml b.xml --repair mended/

Points outside the slide, too few points, outlines that cross themselves, copies, unknown and unused
groups, decimal commas, wrong Order. A mended copy says what was changed in it; with several files
--repair names a folder. The exit code is 1 if there are errors.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from paddleseg_sclc import cli
from paddleseg_sclc.annotations.check import check_annotations
from paddleseg_sclc.annotations.formats import (
    detect_format,
    format_of,
    read_annotations,
    write_annotations,
)
from paddleseg_sclc.annotations.parsing import read_bytes
from paddleseg_sclc.annotations.repair import repair_annotations
from paddleseg_sclc.dataset.canvas import Canvas
from paddleseg_sclc.errors import SclcError


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        usage="%(prog)s [-h] (SLIDE | --size W H) ANNOTATION... [--repair OUT]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="the slide, then its annotation files")
    add("--size", type=int, nargs=2, metavar=("W", "H"), help="in place of the slide, its pixels")
    add("--repair", type=Path, metavar="OUT", help="write a mended copy: a file, or a folder")
    args = parser.parse_args(argv)
    if args.size is not None and min(args.size) < 1:
        parser.error(f"--size: must be > 0, got {args.size[0]} {args.size[1]}")
    args.slide = None if args.size else args.files.pop(0)
    if not args.files:
        parser.error("an annotation file must follow the slide")
    return args


def _check(path: Path, canvas: Canvas, repair: Path | None) -> bool:
    """Print what is found in a file; returns whether there are errors."""
    annotations = read_annotations(path, canvas.frame, lenient=True)
    size = canvas.width, canvas.height
    findings = check_annotations(annotations, size)
    print(f"{path}: {len(annotations)} annotations, {len(annotations.groups)} groups")
    table = [(f.severity, f.code, f.where, f.message) for f in findings]
    widths = [max((len(row[column]) for row in table), default=0) for column in range(3)]
    for *cells, message in table:
        shown = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        print(f"  {shown}  {message}")
    if not table:
        print("  nothing found")
    if repair is not None:
        mended, changes = repair_annotations(annotations, size)
        if len(annotations) and not len(mended):
            raise SclcError(
                f"{path}: a mended copy must keep an annotation, but none can be kept; is it of "
                "this slide?"
            )
        kind = detect_format(read_bytes(path), path) if repair.suffix == path.suffix else None
        lost = write_annotations(repair, mended, kind or format_of(repair), canvas.frame)
        print(f"{repair}: {len(mended)} annotations, {len(changes)} changes")
        for change in [*changes, *map(str, lost)]:
            print(f"  {change}")
    return any(finding.severity == "error" for finding in findings)


def _main(argv: Sequence[str] | None) -> int:
    args = parse_args(argv)
    canvas = Canvas(*args.size) if args.size else Canvas.of_slide(args.slide)
    folder = args.repair is not None and (len(args.files) > 1 or args.repair.is_dir())
    failed = False
    for path in args.files:
        repair = args.repair / path.name if folder else args.repair
        try:
            if repair is not None and repair.exists() and repair.samefile(path):
                raise SclcError(f"{repair}: a mended copy must not replace its file; rename it")
            failed |= _check(path, canvas, repair)
        except SclcError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = True
    return 1 if failed else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit code."""
    return cli.run(_main, argv)


if __name__ == "__main__":
    sys.exit(main())
