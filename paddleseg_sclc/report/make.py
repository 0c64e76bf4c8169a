"""The whole way of tools/val.py: from what is asked for to the files."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paddleseg_sclc.errors import UsageError
from paddleseg_sclc.report.comparison import Table, make_table
from paddleseg_sclc.report.entries import Entry, EntryFinder, Weights
from paddleseg_sclc.report.figure4 import write_figure
from paddleseg_sclc.report.page import write_page
from paddleseg_sclc.report.pictures import Choice, choose_images
from paddleseg_sclc.report.results import MakeOptions, Measuring, measure_entries
from paddleseg_sclc.report.statistics import ALL
from paddleseg_sclc.report.writers import output_files, write_table


@dataclass(frozen=True)
class Asked:
    """What tools/val.py is asked for; see its options.

    Attributes:
        make_options: a config's `test_config` -> how to put images through the network.
        runs: run folders, and folders of cross-validations.
        files: a config and its weights.
        predictions: name -> folder of ready predictions.
        opts: over the configs' values.
        dataset: in place of the configs'.
        weights: `best` or `last`.
        output: folder or file of the table.
        report: HTML file.
        figure: PNG file.
        images: names of images to show.
        unit: of the bootstrap.
        compare: the figure that runs are compared by.
        level: of the intervals.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        tolerance: of the boundary F-score.
        check_leaks: look for what is on both sides of the split.
    """

    make_options: MakeOptions
    runs: Sequence[str] = ()
    files: tuple[str, str] | None = None
    predictions: Mapping[str, str] = field(default_factory=dict)
    opts: Sequence[str] | None = None
    dataset: Path | None = None
    weights: Weights = "best"
    output: Path | None = None
    report: Path | None = None
    figure: Path | None = None
    images: Sequence[str] = ()
    unit: str | None = None
    compare: str = "miou"
    level: float = 0.95
    resamples: int = 2000
    seed: int = 0
    tolerance: float | None = None
    check_leaks: bool = True


def evaluate_and_write(asked: Asked) -> tuple[Table, dict[str, list[Path]]]:
    """Evaluate, and write the files asked for.

    Returns:
        The table, and the files by what they are: `table`, `figure`, `report`.

    Raises:
        UsageError: what is asked for contradicts itself.
        SclcError: data or weights cannot be used, or a file cannot be written.
    """
    _check(asked)
    finder = EntryFinder(asked.opts, asked.dataset, asked.weights)
    entries = _entries(asked, finder)
    with tempfile.TemporaryDirectory(prefix="sclc_val_") as scratch:
        keep = Path(scratch) if asked.report or asked.figure else None
        how = Measuring(asked.make_options, asked.tolerance, asked.check_leaks, keep)
        results = measure_entries(entries, finder, how)
        choices: Sequence[Choice] = choose_images(results, asked.images) if keep else ()
        table = make_table(
            results, asked.unit, asked.compare, asked.level, asked.resamples, asked.seed
        )
        return table, _write(asked, table, choices)


def _check(asked: Asked) -> None:
    if asked.compare not in ALL:
        raise UsageError(f"--compare: must be one of {', '.join(ALL)}, got {asked.compare!r}")
    if asked.output is not None:
        output_files(asked.output)
    for option, path, suffix in (
        ("report", asked.report, ".html"),
        ("figure", asked.figure, ".png"),
    ):
        if path is not None and path.suffix.lower() != suffix:
            raise UsageError(f"--{option}: must end with {suffix}, got {path}")


def _entries(asked: Asked, finder: EntryFinder) -> list[Entry]:
    entries = [finder.run(run) for run in dict.fromkeys(asked.runs)]
    if asked.files is not None:
        entries.append(finder.files(*asked.files))
    like = entries[0].parts[0] if entries and len(entries[0].parts) == 1 else None
    return entries + [
        finder.predictions(name, Path(folder), like) for name, folder in asked.predictions.items()
    ]


def _write(asked: Asked, table: Table, choices: Sequence[Choice]) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    if asked.output is not None:
        files["table"] = write_table(table, asked.output)
    if asked.figure is not None:
        write_figure(asked.figure, table, choices)
        files["figure"] = [asked.figure]
    if asked.report is not None:
        write_page(asked.report, table, choices)
        files["report"] = [asked.report]
    return files
