"""The columns of the table, the same in every format."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from paddleseg_sclc.report.comparison import Figure, Row, Table
from paddleseg_sclc.report.paper import PaperRow
from paddleseg_sclc.report.statistics import AVERAGED, POOLED, averaged

UNDEFINED = "-"


@dataclass(frozen=True)
class Column:
    """A column of figures.

    Attributes:
        key: of the figure, pooled.
        header: as table 1 has it, where it has it.
        digits: after the point.
    """

    key: str
    header: str
    digits: int = 4


def columns(table: Table) -> list[Column]:
    """The columns of pooled figures, in order."""
    length = {"um": "µm", "px": "px"}[table.length_unit]
    headers = {
        "miou": "mIOU",
        "accuracy": "Accuracy",
        "kappa": "Kappa",
        "tumour_dice": "Dice",
        "sensitivity": "Sensitivity",
        "specificity": "Specificity",
        "precision": "Precision",
        "boundary_f": "Boundary F",
        "hd95": f"HD95 ({length})",
        "calibration_error": "ECE",
    }
    return [Column(key, headers[key], 1 if key == "hd95" else 4) for key in POOLED]


def averaged_columns(table: Table) -> list[Column]:
    """The columns of figures averaged over images."""
    return [
        Column(averaged(c.key), c.header, c.digits) for c in columns(table) if c.key in AVERAGED
    ]


@dataclass(frozen=True)
class PaperColumn:
    """A column of the paper's own figures.

    Attributes:
        header: as table 1 has it.
        value: of a row, as printed there.
    """

    header: str
    value: Callable[[PaperRow], str]


PAPER_COLUMNS = (
    PaperColumn("Params", lambda row: row.parameters),
    PaperColumn("mIOU", lambda row: f"{row.miou:.4f}"),
    PaperColumn("Accuracy", lambda row: f"{row.accuracy:.4f}"),
    PaperColumn("Kappa", lambda row: f"{row.kappa:.4f}"),
)


def shown(value: float, digits: int) -> str:
    """A figure as text; a dash where it is undefined."""
    return f"{value:.{digits}f}" if math.isfinite(value) else UNDEFINED


def shown_interval(figure: Figure, digits: int) -> str:
    """An interval as text; empty where there is none."""
    if not (math.isfinite(figure.low) and math.isfinite(figure.high)):
        return ""
    return f"{figure.low:.{digits}f} to {figure.high:.{digits}f}"


def size_cells(row: Row) -> tuple[str, str]:
    """Parameters as table 1 has them, and multiply-adds."""
    result = row.result
    if result.parameters is None or result.macs is None:
        return UNDEFINED, UNDEFINED
    return f"{result.parameters / 1e6:.2f}M", f"{result.macs / 1e9:.2f}G"


def seconds_cell(row: Row) -> str:
    """Seconds a patch."""
    seconds = row.result.evaluation.seconds
    return f"{seconds:.3g}" if seconds else UNDEFINED


def paper_cells(row: Row) -> list[str]:
    """The paper's figures of such a network; dashes where it has none."""
    paper = row.result.paper
    return [column.value(paper) if paper else UNDEFINED for column in PAPER_COLUMNS]


def has_paper(table: Table) -> bool:
    """Whether any row has a counterpart in the paper."""
    return any(row.result.paper for row in table.rows)


def split_cell(row: Row) -> str:
    """The protocol of the split that a row was evaluated by."""
    return row.result.protocol or UNDEFINED


def comparison_lines(table: Table) -> list[tuple[str, str, str, str, str]]:
    """Pair, difference, interval, p and corrected p of each comparison, as text."""
    lines = []
    for item in table.comparisons:
        pair = f"{item.first} vs {item.second}"
        test = item.test
        if test is None:
            lines.append((pair, UNDEFINED, "other images", UNDEFINED, UNDEFINED))
            continue
        limits = shown_interval(Figure(test.difference, test.low, test.high), 4)
        p, corrected = shown(test.p, 4), shown(item.corrected_p, 4)
        difference = f"{test.difference:+.4f}" if math.isfinite(test.difference) else UNDEFINED
        lines.append((pair, difference, limits or UNDEFINED, p, corrected))
    return lines


def comparison_note(table: Table) -> str:
    """How the comparisons were made."""
    tests = [item.test for item in table.comparisons if item.test]
    note = (
        f"Difference of {table.compared}, first minus second, on the same images; paired "
        f"permutation test that swaps both networks' results of whole units ({table.unit}), Holm's "
        f"correction over {len(tests)} {'test' if len(tests) == 1 else 'tests'}."
    )
    least = max((test.least_p for test in tests), default=0.0)
    if least > 0.05:
        note += f" So few units cannot give a p below {least:.3g}, however large the difference."
    return note
