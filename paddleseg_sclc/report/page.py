"""The report: one HTML file that opens from disk and asks the network for nothing."""

import base64
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from numpy.typing import NDArray

import paddleseg_sclc
from paddleseg_sclc.files import atomic_path
from paddleseg_sclc.inference.pictures import NOTICE
from paddleseg_sclc.report.charts import image_strip, learning_curves, probability_curves
from paddleseg_sclc.report.columns import shown
from paddleseg_sclc.report.comparison import Row, Table
from paddleseg_sclc.report.grids import PAPER_BLOCK, Grid, grids, remarks
from paddleseg_sclc.report.leaks import Leaks
from paddleseg_sclc.report.pictures import Choice, draw_panels
from paddleseg_sclc.report.statistics import figures_of_image

TEMPLATE = "page.html"
_MAX_LISTED = 300


def write_page(path: Path, table: Table, choices: Sequence[Choice]) -> None:
    """Write the report.

    Args:
        path: an HTML file; replaced if it is there.
        table: what it shows.
        choices: images with their predictions.

    Raises:
        SclcError: an image cannot be read, or the file not written.
    """
    environment = Environment(
        loader=PackageLoader("paddleseg_sclc.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    text = environment.get_template(TEMPLATE).render(_content(table, choices))
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _breakable(text: str) -> Markup:
    """Let a long name break after its underscores and slashes."""
    return Markup(str(escape(text)).replace("_", "_<wbr>").replace("/", "/<wbr>"))


def _content(table: Table, choices: Sequence[Choice]) -> dict[str, Any]:
    charts = {**learning_curves(table), **probability_curves(table)}
    charts["mIoU of every image"] = image_strip(table)
    return {
        "notice": NOTICE,
        "version": paddleseg_sclc.__version__,
        "made": time.strftime("%Y-%m-%d %H:%M"),
        "level": f"{table.level:.0%}",
        "paper_block": PAPER_BLOCK,
        "grids": grids(table),
        "charts": {title: Markup(svg) for title, svg in charts.items()},
        "confusion": [_confusion(row) for row in table.rows],
        "checks": _checks(table),
        "pictures": [_picture(choice) for choice in choices],
        "images": _image_list(table),
        "remarks": remarks(table),
    }


def _checks(table: Table) -> list[tuple[str, Leaks]]:
    """What was found on both sides, and of which runs: those on the same data share it."""
    names: dict[Leaks, list[str]] = {}
    for row in table.rows:
        for leaks in row.result.leaks:
            names.setdefault(leaks, []).append(row.result.name)
    return [(", ".join(dict.fromkeys(of)), leaks) for leaks, of in names.items()]


def _confusion(row: Row) -> dict[str, Any]:
    """A confusion matrix: counts, and the share of each label's pixels."""
    matrix = row.result.evaluation.matrix
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    return {
        "name": row.result.name,
        "classes": row.result.class_names,
        "cells": [
            [
                (f"{int(n):,}", f"{share:.1%}", round(float(share), 3))
                for n, share in zip(*line, strict=True)
            ]
            for line in zip(matrix, shares, strict=True)
        ],
    }


def _picture(choice: Choice) -> dict[str, Any]:
    panels = draw_panels(choice)
    runs = zip(choice.runs, panels.predictions, panels.errors, strict=True)
    return {
        "why": choice.why,
        "name": choice.sample.image.stem,
        "image": _jpeg(panels.image),
        "truth": _png(panels.truth),
        "runs": [
            (item.run, shown(item.miou, 4), _png(prediction), _jpeg(errors))
            for item, prediction, errors in runs
        ],
    }


def _image_list(table: Table) -> Grid:
    """List the mIoU of every image and run, worst first."""
    scores: dict[str, dict[str, float]] = {}
    for row in table.rows:
        for key, image in zip(row.result.images, row.result.evaluation.images, strict=True):
            scores.setdefault(key, {})[row.result.name] = figures_of_image(image)["miou"]
    names = [row.result.name for row in table.rows]
    ordered = sorted(
        scores, key=lambda key: min((v for v in scores[key].values() if v == v), default=2.0)
    )
    lines = [
        [Path(key).stem, *(shown(scores[key].get(name, float("nan")), 4) for name in names)]
        for key in ordered[:_MAX_LISTED]
    ]
    of = f"the worst {_MAX_LISTED} of {len(scores)}" if len(scores) > _MAX_LISTED else "all"
    return Grid(f"mIoU of {of} images", ["Image", *names], lines)


def _png(pixels: NDArray[np.uint8]) -> str:
    return _data("png", ".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _jpeg(pixels: NDArray[np.uint8]) -> str:
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return _data("jpeg", ".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])


def _data(kind: str, suffix: str, pixels: NDArray[np.uint8], options: list[int]) -> str:
    encoded = base64.b64encode(cv2.imencode(suffix, pixels, options)[1].tobytes()).decode("ascii")
    return f"data:image/{kind};base64,{encoded}"
