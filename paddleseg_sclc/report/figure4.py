"""The paper's figure 4: a column a patch; image, truth, and the prediction of each run below."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.files import atomic_path
from paddleseg_sclc.inference.pictures import NOTICE
from paddleseg_sclc.report.comparison import Table
from paddleseg_sclc.report.pictures import Choice, draw_panels

_INCH = 2.2
_DPI = 150


def write_figure(path: Path, table: Table, choices: Sequence[Choice]) -> None:
    """Write figure 4 as a PNG.

    Raises:
        SclcError: there is nothing to show, or the file cannot be written.
    """
    if not choices:
        raise SclcError(f"{path}: there is no image to show: no figure of any image is defined")
    names = [row.result.name for row in table.rows]
    rows = ["image", "truth", *names]
    figure = Figure(figsize=(_INCH * len(choices) + 0.4, _INCH * len(rows) + 0.5))
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), len(choices), squeeze=False)
    for column, choice in enumerate(choices):
        panels = draw_panels(choice, side=round(_INCH * _DPI))
        by_run = dict(zip([item.run for item in choice.runs], panels.predictions, strict=True))
        pictures = [panels.image, panels.truth, *(by_run.get(name) for name in names)]
        for ax, picture in zip(axes[:, column], pictures, strict=True):
            ax.set(xticks=[], yticks=[])
            if picture is None:
                ax.text(0.5, 0.5, "not evaluated", ha="center", va="center", fontsize=8)
            else:
                ax.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="none")
        axes[0, column].set_title(
            f"{choice.why}\n{_short(choice.sample.image.stem, 36)}", fontsize=7
        )
    for ax, name in zip(axes[:, 0], rows, strict=True):
        ax.set_ylabel(_short(name), fontsize=9)
    figure.text(0.5, 0.008, NOTICE, ha="center", fontsize=8)
    figure.tight_layout(rect=(0, 0.02, 1, 1), pad=0.4)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, metadata={"Comment": NOTICE})


def _short(name: str, length: int = 26) -> str:
    return name if len(name) <= length else "…" + name[-length + 1 :]
