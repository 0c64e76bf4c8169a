#!/usr/bin/env python
"""Convert annotations between formats, to a mask, or a mask to outlines.

python tools/convert_annotations.py case_07.geojson case_07.xml
python tools/convert_annotations.py case_07.ndpi.ndpa case_07.xml --slide case_07.ndpi
python tools/convert_annotations.py case_07.xml --slide case_07.ndpi --downsample 4 -o mask.tif
python tools/convert_annotations.py mask.tif case_07.geojson --slide case_07.ndpi

Reads ASAP XML, QuPath GeoJSON, Hamamatsu NDPA and Aperio ImageScope XML, by content; writes them by
the name's suffix (.xml is ASAP's) or --format. A name in .tif is a mask: tiled, LZW, pyramidal.
By default a mask is the paper's: `Annotation Group 0` where it is in use, else every annotation, is
255. --labels says otherwise, in YAML:

    labels: {Tumour: 255, Necrosis: 0}   # group, or name where the file has no groups
    order: [Tumour, Necrosis]            # optional: drawing order, the last one wins
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from paddleseg_sclc import cli
from paddleseg_sclc.annotations.formats import (
    FORMATS,
    format_of,
    read_annotations,
    write_annotations,
)
from paddleseg_sclc.annotations.labels import read_labels
from paddleseg_sclc.dataset.canvas import Canvas
from paddleseg_sclc.dataset.masks import outline_mask, write_mask
from paddleseg_sclc.errors import SclcError, UsageError

TIFF = (".tif", ".tiff")
MASKS = (*TIFF, ".png")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("input", type=Path, help="annotation file, or mask (.tif, .png)")
    add("output", type=Path, nargs="?", help="file to write: .xml, .geojson, .ndpa or .tif")
    add("-o", "--output", dest="named_output", type=Path, metavar="OUT", help="the same")
    add("--format", choices=FORMATS, help="of the output, in place of its suffix")
    over = parser.add_mutually_exclusive_group()
    over.add_argument(
        "--slide", type=Path, help="the slide: its size, scale and place on the glass"
    )
    over.add_argument("--size", type=int, nargs=2, metavar=("W", "H"), help="in its place, pixels")
    add(
        "--slide-mpp", type=float, metavar="M", help="um a level-0 pixel, if the slide does not say"
    )
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument("--downsample", type=float, metavar="D", help="level-0 pixels a mask pixel")
    scale.add_argument("--mpp", type=float, metavar="M", help="in its place, um a mask pixel")
    add("--labels", type=Path, help="YAML: values of groups or names, and drawing order")
    add("--rule", choices=("asap", "centre"), default="asap", help="default %(default)s")
    add("--even-odd", action="store_true", help="fill by even-odd, with --rule centre")
    add("--holes", choices=("keyhole", "group"), default="keyhole",
        help="in ASAP XML: cut into the outline, or a group of their own")  # fmt: skip
    args = parser.parse_args(argv)
    if (args.output is None) == (args.named_output is None):
        parser.error("OUT must be given once, behind IN or with -o")
    if args.even_odd and args.rule != "centre":
        parser.error("--even-odd: must come with --rule centre; ASAP goes by winding number")
    args.output = args.output or args.named_output
    for name in ("slide_mpp", "downsample", "mpp"):
        value = getattr(args, name)
        if value is not None and not 0 < value < 1e6:
            parser.error(f"--{name.replace('_', '-')}: must be > 0, got {value:g}")
    if args.size and min(args.size) < 1:
        parser.error(f"--size: must be > 0, got {args.size[0]} {args.size[1]}")
    return args


def _canvas(args: argparse.Namespace) -> Canvas | None:
    if args.slide is not None:
        return Canvas.of_slide(args.slide, args.slide_mpp)
    if args.size is None:
        return None
    return Canvas(*args.size, (args.slide_mpp, args.slide_mpp) if args.slide_mpp else None)


def _to_mask(args: argparse.Namespace) -> None:
    canvas = _canvas(args)
    if canvas is None:
        raise UsageError("a mask needs the slide's size; pass --slide or --size W H")
    labels = read_labels(args.labels) if args.labels else None
    annotations = read_annotations(args.input, canvas.frame)
    for finding in annotations.findings:
        print(f"{args.input}: {finding}", file=sys.stderr)
    if not len(annotations):
        raise SclcError(f"{args.input}: must hold annotations, got none")
    grid = canvas.grid(args.downsample, args.mpp)
    with tqdm(total=grid.height, desc="mask", unit="row", disable=None, leave=False) as bar:
        mask = write_mask(
            args.output, annotations, grid, labels, args.rule, canvas.mpp,
            winding="evenodd" if args.even_odd else "nonzero",
            progress=lambda done, _: bar.update(done - bar.n),
        )  # fmt: skip
    total = mask.width * mask.height
    shares = ", ".join(f"{v}: {n} px ({n / total:.2%})" for v, n in mask.pixels.items())
    print(f"{args.output}: {mask.width} x {mask.height} px, {shares or 'nothing drawn'}")
    if not any(mask.pixels.values()):
        print(f"{args.output}: the mask is empty; check --labels and --slide", file=sys.stderr)


def _to_annotations(args: argparse.Namespace) -> None:
    kind = args.format or format_of(args.output)
    canvas = _canvas(args)
    frame = canvas.frame if canvas else None
    if args.input.suffix.lower() in MASKS:
        labels = read_labels(args.labels) if args.labels else None
        rule = "asap" if kind == "asap" else "centre"
        annotations = outline_mask(args.input, canvas, args.downsample, labels, rule)
    else:
        if args.labels or args.downsample or args.mpp:
            raise UsageError("--labels, --downsample, --mpp: are for masks; name OUT .tif")
        annotations = read_annotations(args.input, frame)
    for finding in annotations.findings:
        print(f"{args.input}: {finding}", file=sys.stderr)
    lost = write_annotations(args.output, annotations, kind, frame, args.holes)
    for finding in lost:
        print(f"{args.output}: {finding}", file=sys.stderr)
    points = sum(len(annotation.points) for annotation in annotations)
    print(
        f"{args.output}: {len(annotations)} annotations, {points} points, "
        f"{len(annotations.groups)} groups ({kind})"
    )


def _main(argv: Sequence[str] | None) -> int:
    args = parse_args(argv)
    if args.output.exists() and args.input.exists() and args.output.samefile(args.input):
        raise UsageError(f"{args.output}: OUT must not be IN; choose another name")
    if args.format is None and args.output.suffix.lower() in TIFF:
        _to_mask(args)
    else:
        _to_annotations(args)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit code."""
    return cli.run(_main, argv)


if __name__ == "__main__":
    sys.exit(main())
