"""The tables as headers and cells, the same in every format.

A cell with an interval is two lines, the figure and below it the interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paddleseg_sclc.metrics import compute
from paddleseg_sclc.report.columns import (
    PAPER_COLUMNS,
    Column,
    averaged_columns,
    columns,
    comparison_lines,
    comparison_note,
    has_paper,
    paper_cells,
    seconds_cell,
    shown,
    shown_interval,
    size_cells,
    split_cell,
)
from paddleseg_sclc.report.comparison import Row, Table
from paddleseg_sclc.report.paper import CONTRADICTIONS
from paddleseg_sclc.report.statistics import averaged

# Above the columns of the paper's own figures.
PAPER_BLOCK = "as printed in the paper"
_TABLE_1 = ("miou", "accuracy", "kappa")


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        title: what it shows.
        headers: of its columns.
        cells: its lines; a cell may have two lines.
        paper: how many of its last columns are the paper's own figures.
    """

    title: str
    headers: Sequence[str]
    cells: Sequence[Sequence[str]]
    paper: int = 0


def grids(table: Table) -> list[Grid]:
    """All tables, in the order of the report."""
    further = [c for c in columns(table) if c.key not in _TABLE_1]
    found = [
        table_1(table),
        _figure_grid("Beyond table 1, pooled over all pixels", table, further),
        _figure_grid("Averaged over images", table, averaged_columns(table)),
    ]
    if table.comparisons:
        found.append(_comparison_grid(table))
    found += [_fold_grid(row) for row in table.rows if len(row.result.parts) > 1]
    return [*found, _class_grid(table)]


def table_1(table: Table) -> Grid:
    """The columns of the paper's table 1, the paper's own figures last."""
    figures = [c for c in columns(table) if c.key in _TABLE_1]
    paper = PAPER_COLUMNS if has_paper(table) else ()
    headers = ["Network", "Split", "Params", "MACs", *(c.header for c in figures), "s/patch"]
    cells = [
        [
            row.result.name,
            split_cell(row),
            *size_cells(row),
            *_figure_cells(row, figures),
            seconds_cell(row),
            *(paper_cells(row) if paper else ()),
        ]
        for row in table.rows
    ]
    title = "Table 1, pooled over all pixels"
    return Grid(title, [*headers, *(c.header for c in paper)], cells, len(paper))


def _figure_grid(title: str, table: Table, chosen: Sequence[Column]) -> Grid:
    cells = [[row.result.name, *_figure_cells(row, chosen)] for row in table.rows]
    return Grid(title, ["Network", *(c.header for c in chosen)], cells)


def _figure_cells(row: Row, chosen: Sequence[Column]) -> list[str]:
    cells = []
    for column in chosen:
        figure = row.figures[column.key]
        interval = shown_interval(figure, min(column.digits, 3))
        value = shown(figure.value, column.digits)
        cells.append(f"{value}\n{interval}" if interval else value)
    return cells


def _comparison_grid(table: Table) -> Grid:
    headers = ["Networks", "Difference", f"{table.level:.0%} interval", "p", "p (Holm)"]
    lines = [list(line) for line in comparison_lines(table)]
    return Grid(f"Differences of {figure_name(table.compared)}", headers, lines)


def figure_name(key: str) -> str:
    """A figure's key in words."""
    pooled = not key.startswith(averaged(""))
    name = key.removeprefix(averaged("")).replace("_", " ").replace("miou", "mIoU")
    return f"{name}, {'pooled' if pooled else 'averaged over images'}"


def _fold_grid(row: Row) -> Grid:
    keys = {"mIOU": "miou", "Accuracy": "accuracy", "Kappa": "kappa", "Dice": "tumour_dice"}
    values = np.array([list(_scalars(p.matrix, keys.values())) for p in row.result.parts])
    cells = [
        [f"fold {i}", str(len(part.images)), *(shown(float(v), 4) for v in line)]
        for i, (part, line) in enumerate(zip(row.result.parts, values, strict=True))
    ]
    spread = zip(values.mean(axis=0), values.std(axis=0, ddof=1), strict=True)
    cells.append(["mean ± standard deviation", "", *(f"{m:.4f} ± {s:.4f}" for m, s in spread)])
    return Grid(f"Folds of {row.result.name}", ["Fold", "Images", *keys], cells)


def _scalars(matrix: Any, keys: Any) -> list[float]:
    return [float(value) for value in compute(matrix, keys).values()]


def _class_grid(table: Table) -> Grid:
    keys = {"IoU": "class_iou", "Precision": "class_precision", "Recall": "class_recall"}
    cells = []
    for row in table.rows:
        figures: dict[str, Any] = compute(row.result.evaluation.matrix, keys.values())
        for index, name in enumerate(row.result.class_names):
            values = [shown(float(figures[key][index]), 4) for key in keys.values()]
            cells.append([row.result.name, name, *values])
    return Grid("Classes, pooled over all pixels", ["Network", "Class", *keys], cells)


def remarks(table: Table) -> list[str]:
    """What a reader must know: method, runs, the paper's own contradictions."""
    lines = table.method()
    if table.comparisons:
        lines.append(comparison_note(table))
    for row in table.rows:
        images = len(row.result.evaluation.images)
        sources = ", ".join(row.result.sources)
        lines.append(f"{row.result.name}: {images} images; {sources}")
        lines += [f"{row.result.name}: {note}" for note in row.result.notes]
    if has_paper(table):
        lines.append(
            f'Columns "{PAPER_BLOCK}" are the paper\'s table 1, measured on other images; the row '
            "is that of the same kind of network, whatever its width here."
        )
        lines += CONTRADICTIONS
    return lines


def leak_warnings(table: Table) -> list[str]:
    """What stands on both sides of the split, a line each with the run's name."""
    return [
        f"{row.result.name}: {line}"
        for row in table.rows
        for line in dict.fromkeys(line for leaks in row.result.leaks for line in leaks.lines())
    ]


def check_scopes(table: Table) -> list[str]:
    """What was looked for, and whether something was found: `leak_warnings` says what."""
    return [
        f"{row.result.name}: {leaks.scope()}: "
        + ("found, see the warnings" if leaks.any else "nothing is on both sides")
        for row in table.rows
        for leaks in row.result.leaks
    ]


def check_summaries(table: Table) -> list[str]:
    """What was looked for on both sides of the split, a line a run."""
    return [
        f"{row.result.name}: {summary}"
        for row in table.rows
        for summary in dict.fromkeys(leaks.summary() for leaks in row.result.leaks)
    ]
