"""The report's charts, as inline SVG by matplotlib.

Runs are told apart by colour (Okabe and Ito's, for any colour vision), by line and by marker, so
that a chart can be read in grey, too.
"""

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paddleseg_sclc.report.comparison import Row, Table
from paddleseg_sclc.report.statistics import figures_of_image
from paddleseg_sclc.training.run_folder import HISTORY, read_history

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_LINES = ("-", "--", "-.", (0, (1, 0.6)))
_MARKERS = "osD^vPX"
_WIDTH, _HEIGHT, _LEGEND_LINE = 4.7, 3.3, 0.21
# More points than pixels of a chart do not show.
_POINTS = 300


def style(index: int) -> dict[str, Any]:
    """Colour, line and marker of the run at a place of the table."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": _LINES[index % len(_LINES)],
        "marker": _MARKERS[index % len(_MARKERS)],
    }


def draw(name: str, labels: int, plot: Callable[[Any], None]) -> str:
    """Draw one chart.

    Args:
        name: of the chart; also makes its ids differ from those of other charts on the page.
        labels: lines of its legend, which goes below it.
        plot: draws on the axes.

    Returns:
        An `<svg>` element that scales with the page.
    """
    legend = _LEGEND_LINE * labels
    with matplotlib.rc_context({"svg.hashsalt": name, "font.size": 9, "svg.fonttype": "path"}):
        figure = Figure(figsize=(_WIDTH, _HEIGHT + legend), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        axes.grid(True, color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        plot(axes)
        if labels:
            figure.legend(loc="outside lower left", frameon=False, fontsize=8, ncols=1)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Title": name})
    svg = out.getvalue()
    # The ids of groups count up in every chart, and nothing refers to them.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg[svg.index("<svg") :])
    return svg.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)


def short(name: str, length: int = 44) -> str:
    """A name that fits a legend."""
    return name if len(name) <= length else "…" + name[-length + 1 :]


def learning_curves(table: Table) -> dict[str, str]:
    """Loss and validation mIoU over iterations, of all runs; none without histories."""
    charts = {}
    for title, column, label in (
        ("Training loss", "loss", "loss"),
        ("mIoU on the validation set", "miou", "mIoU"),
    ):
        lines = [
            (index, row.result.name, *curve)
            for index, row in enumerate(table.rows)
            for curve in _curves(row, column)
        ]
        if not lines:
            continue

        def plot(
            axes: Any,
            lines: Sequence[tuple] = tuple(lines),
            column: str = column,
            label: str = label,
        ) -> None:
            seen: set[str] = set()
            for index, name, x, y in lines:
                look = style(index)
                if column == "loss":
                    look["marker"] = ""
                axes.plot(
                    x, y, **look, markersize=4, linewidth=1.5,
                    label=None if name in seen else short(name),
                )  # fmt: skip
                seen.add(name)
            axes.set(xlabel="iteration", ylabel=label)

        charts[title] = draw(title, len({name for _, name, *_ in lines}), plot)
    return charts


def _curves(row: Row, column: str) -> list[tuple[list[int], list[float]]]:
    curves = []
    for run in row.result.runs:
        path = Path(run) / HISTORY
        rows = read_history(path) if path.is_file() else []
        points = [(int(r["iteration"]), float(r[column])) for r in rows if r.get(column)]
        if points:
            x, y = zip(*points, strict=True)
            curves.append((list(x), list(y)))
    return curves


def probability_curves(table: Table) -> dict[str, str]:
    """ROC, precision-recall and reliability; none where no run gives probabilities."""
    rows = [
        (index, row)
        for index, row in enumerate(table.rows)
        if row.result.evaluation.histogram.counts.any()
    ]
    if not rows:
        return {}

    def roc(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        for index, row in rows:
            histogram = row.result.evaluation.histogram
            label = f"{short(row.result.name, 32)}, area {histogram.auroc():.4f}"
            _line(axes, *histogram.roc(), index, label)
        axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.01, 1), ylim=(0, 1.01))

    def precision_recall(axes: Any) -> None:
        for index, row in rows:
            histogram = row.result.evaluation.histogram
            label = (
                f"{short(row.result.name, 24)}, av. precision {histogram.average_precision():.4f}"
            )
            _line(axes, *histogram.precision_recall(), index, label)
        axes.set(xlabel="sensitivity (recall)", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01))

    def reliability(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        for index, row in rows:
            parts = [
                i.calibration for i in row.result.evaluation.images if i.calibration is not None
            ]
            pixels, probs, tumour = np.sum(parts, axis=0)
            some = pixels > 0
            error = row.figures["calibration_error"].value
            axes.plot(
                probs[some] / pixels[some], tumour[some] / pixels[some], **style(index),
                markersize=4, linewidth=1.5, label=f"{short(row.result.name, 32)}, ECE {error:.4f}",
            )  # fmt: skip
        axes.set(xlabel="predicted probability of tumour", ylabel="share of tumour")

    titles = {"ROC": roc, "Precision and recall": precision_recall, "Reliability": reliability}
    return {title: draw(title, len(rows), plot) for title, plot in titles.items()}


def _line(axes: Any, x: NDArray, y: NDArray, index: int, label: str) -> None:
    look = style(index) | {"marker": ""}
    if not x.size:
        axes.plot([], [], **look, label=label)
        return
    keep = _thinned(x, y)
    axes.plot(x[keep], y[keep], **look, linewidth=1.5, label=label)


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of points about evenly far along a curve, the first and last among them."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    wanted = np.linspace(0, along[-1], _POINTS)
    return np.unique(np.searchsorted(along, wanted).clip(0, len(x) - 1))


def image_strip(table: Table) -> str:
    """Draw mIoU of every image, sorted by its mean over the runs; a marker a run."""
    scores: dict[str, dict[int, float]] = {}
    for index, row in enumerate(table.rows):
        for key, image in zip(row.result.images, row.result.evaluation.images, strict=True):
            scores.setdefault(key, {})[index] = figures_of_image(image)["miou"]
    order = sorted(scores, key=lambda key: float(np.nanmean([*scores[key].values(), -1e-9])))

    def plot(axes: Any) -> None:
        for index, row in enumerate(table.rows):
            points = [
                (x, scores[key][index]) for x, key in enumerate(order, 1) if index in scores[key]
            ]
            look = style(index) | {"linestyle": ""}
            x, y = zip(*points, strict=True)
            size = 5 if len(order) <= 60 else 2.5
            axes.plot(x, y, **look, markersize=size, alpha=0.8, label=short(row.result.name))
        axes.set(xlabel="images, from worst to best", ylabel="mIoU of the image", ylim=(0, 1.02))
        axes.xaxis.get_major_locator().set_params(integer=True)

    title = "mIoU of every image"
    return draw(title, len(table.rows), plot)
