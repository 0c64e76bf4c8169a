"""The table as text, Markdown, CSV, LaTeX and JSON."""

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prettytable import PrettyTable, TableStyle

import paddleseg_sclc
from paddleseg_sclc.errors import UsageError
from paddleseg_sclc.files import atomic_path
from paddleseg_sclc.metrics import compute
from paddleseg_sclc.report.columns import (
    PAPER_COLUMNS,
    averaged_columns,
    columns,
)
from paddleseg_sclc.report.comparison import Row, Table
from paddleseg_sclc.report.grids import (
    Grid,
    check_scopes,
    check_summaries,
    grids,
    leak_warnings,
    remarks,
)
from paddleseg_sclc.report.latex import format_latex
from paddleseg_sclc.report.statistics import figures_of_image

BASE_NAME = "table"


def format_text(table: Table) -> str:
    """For a terminal."""
    blocks = []
    for grid in grids(table):
        pretty = _pretty(grid, grid.cells)
        blocks.append(f"{grid.title}\n{pretty.get_string()}")
    blocks.append("\n".join(remarks(table)))
    checks = check_scopes(table)
    return "\n\n".join([*blocks, *(["\n".join(checks)] if checks else [])])


def format_markdown(table: Table) -> str:
    """For a README or an issue."""
    blocks = []
    for grid in grids(table):
        cells = [[c.replace("|", "\\|").replace("\n", "<br>") for c in row] for row in grid.cells]
        pretty = _pretty(grid, cells)
        pretty.set_style(TableStyle.MARKDOWN)
        blocks.append(f"### {grid.title}\n\n{pretty.get_string()}")
    blocks.append("\n".join(f"- {line}" for line in [*remarks(table), *check_summaries(table)]))
    return "\n\n".join(blocks) + "\n"


def _pretty(grid: Grid, cells: Sequence[Sequence[str]]) -> PrettyTable:
    own = len(grid.headers) - grid.paper
    headers = [h if i < own else f"paper: {h}" for i, h in enumerate(grid.headers)]
    pretty = PrettyTable(headers, align="r")
    pretty.align[headers[0]] = "l"
    pretty.add_rows([list(line) for line in cells])
    return pretty


def format_csv(table: Table) -> str:
    """A line a row, in full precision: each figure, its limits, and the paper's figures."""
    lines = [_csv_line(table, row) for row in table.rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _csv_line(table: Table, row: Row) -> dict[str, Any]:
    result = row.result
    line: dict[str, Any] = {
        "name": result.name,
        "split": result.protocol,
        "images": len(result.evaluation.images),
        "unit": table.unit,
        "units": row.units,
        "parameters": result.parameters,
        "macs_256": result.macs,
        "length_unit": result.length_unit,
        "seconds_per_image": _number(result.evaluation.seconds),
    }
    for column in (*columns(table), *averaged_columns(table)):
        for part, value in asdict(row.figures[column.key]).items():
            line[column.key if part == "value" else f"{column.key}_{part}"] = _number(value)
    for paper in PAPER_COLUMNS:
        line[f"paper_{paper.header.lower()}"] = paper.value(result.paper) if result.paper else ""
    return line


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else ""


def format_json(table: Table) -> str:
    """Everything: figures, limits, confusion matrices, every image; undefined ones are null."""
    content = {
        "paddleseg_sclc": paddleseg_sclc.__version__,
        "unit": table.unit,
        "level": table.level,
        "resamples": table.resamples,
        "length_unit": table.length_unit,
        "runs": [_run(row) for row in table.rows],
        "compared": table.compared,
        "comparisons": [asdict(item) for item in table.comparisons],
        "remarks": remarks(table),
        "warnings": leak_warnings(table),
    }
    return json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _run(row: Row) -> dict[str, Any]:
    result = row.result
    evaluation = result.evaluation
    limits = {key: [figure.low, figure.high] for key, figure in row.figures.items()}
    return {
        "name": result.name,
        "weights": list(result.sources),
        "split": result.protocol,
        "parameters": result.parameters,
        "macs_256": result.macs,
        "seconds_per_image": evaluation.seconds,
        "units": row.units,
        "confusion_matrix": evaluation.matrix,
        **evaluation.figures(),
        **{key: figure.value for key, figure in row.figures.items()},
        "auroc": evaluation.histogram.auroc(),
        "average_precision": evaluation.histogram.average_precision(),
        "intervals": limits,
        "folds": [compute(part.matrix, ["miou", "accuracy", "kappa"]) for part in result.parts],
        "paper": asdict(result.paper) if result.paper else None,
        "notes": list(result.notes),
        "data_checks": [leaks.summary() for leaks in result.leaks],
        "images": [
            {
                "image": image.name,
                "patient": origin.patient,
                "slide": origin.slide,
                "confusion_matrix": image.matrix,
                **figures_of_image(image),
            }
            for image, origin in zip(evaluation.images, result.origins, strict=True)
        ],
    }


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


FORMATS: dict[str, Callable[[Table], str]] = {
    ".md": format_markdown,
    ".csv": format_csv,
    ".tex": format_latex,
    ".json": format_json,
}


def output_files(output: Path) -> list[Path]:
    """What `--output` names: one file, by its suffix, or table.* in a folder.

    Raises:
        UsageError: the suffix is of another kind.
    """
    if output.suffix in FORMATS:
        return [output]
    if output.suffix and not output.is_dir() and output.suffix.lower() in _OTHER_SUFFIXES:
        raise UsageError(
            f"--output {output}: must be a folder, or a file that ends with "
            f"{', '.join(FORMATS)}; the report is --report FILE.html"
        )
    return [output / f"{BASE_NAME}{suffix}" for suffix in FORMATS]


_OTHER_SUFFIXES = (".html", ".htm", ".txt", ".xlsx", ".pdf", ".png", ".yml", ".yaml")


def write_table(table: Table, output: Path) -> list[Path]:
    """Write the table in every format that `output` names; returns the files.

    Raises:
        UsageError: see `output_files`.
        SclcError: a file cannot be written.
    """
    files = output_files(output)
    for path in files:
        with atomic_path(path) as temporary:
            temporary.write_text(FORMATS[path.suffix](table), encoding="utf-8")
    return files
