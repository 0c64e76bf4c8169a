"""What a preparation tells its user: a table of slides, and totals."""

import statistics
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from paddleseg_sclc.dataset.prepare import Prepared
from paddleseg_sclc.dataset.provenance import Slides
from paddleseg_sclc.dataset.slide_task import SlideResult
from paddleseg_sclc.dataset.sources import SlideSource


def slide_table(slides: Slides, dry_run: bool) -> str:
    """A table with a row for each slide, and a last one for all."""
    head = ("slide", "patient", "annotations", "patches", "tumour", "um/px", "")
    rows = [head, *(_cells(source, result, dry_run) for source, result in slides)]
    annotations = sum(result.annotations for _, result in slides)
    patches = sum(int(row[3]) for row in rows[1:])
    rows.append((f"{len(slides)} slides", "", str(annotations), str(patches), "", "", ""))
    return format_table(rows)


def totals(prepared: Prepared, output: Path, dry_run: bool) -> list[str]:
    """Lines on the dataset as a whole."""
    if dry_run:
        return [f"dry run: nothing was written to {output}"]
    sides = list(prepared.side_of.values())
    originals = {row.name for _, result in prepared.slides for row in result.rows}
    copies = sum(name not in originals for name in prepared.side_of)
    return [
        f"{output}: {len(originals)} patches, {copies} augmented copies in the lists; "
        f"{sides.count('train')} to train on, {sides.count('val')} to validate on"
    ]


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first two to the left, others to the right; the head ruled off."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
            blanks = " " * (width - _width(cell))
            left = index < 2 or index == len(row) - 1
            cells.append(cell + blanks if left else blanks + cell)
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * max(map(_width, lines)))
    return "\n".join(lines)


def _cells(source: SlideSource, result: SlideResult, dry_run: bool) -> tuple[str, ...]:
    rows = result.rows
    tumour = f"{statistics.mean(row.tumour_share for row in rows):.0%}" if rows else ""
    mpp = ""
    if rows:
        x = statistics.median(row.mpp_x for row in rows)
        y = statistics.median(row.mpp_y for row in rows)
        mpp = " x ".join(dict.fromkeys((f"{x:.2f}", f"{y:.2f}")))
    state = "unchanged" if result.reused else "to do" if dry_run else "made"
    if result.problems:
        state += f", {len(result.problems)} left out"
    count = len(rows) if result.reused or not dry_run else result.planned
    return source.path.name, source.patient, str(result.annotations), str(count), tumour, mpp, state


def _width(text: str) -> int:
    """Columns on a terminal: characters of East Asian scripts take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
