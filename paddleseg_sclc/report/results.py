"""From entries to results: every network predicts its images, and all that is known is measured."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from paddleseg_sclc.dataset.paddleseg_format import CLASSES, Sample
from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.evaluation import Evaluation, Prediction, measure, predict_dataset
from paddleseg_sclc.inference.engine import Predictor
from paddleseg_sclc.inference.options import InferenceOptions
from paddleseg_sclc.models.summary import count_macs, count_parameters
from paddleseg_sclc.report.entries import Entry, EntryFinder, Part, training_samples
from paddleseg_sclc.report.leaks import LeakCheck, Leaks
from paddleseg_sclc.report.paper import PaperRow, paper_row
from paddleseg_sclc.report.provenance import Origin
from paddleseg_sclc.report.ready import read_ready

IGNORE_INDEX = 255
# A config's test_config -> how to put images through the network.
MakeOptions = Callable[[Any], InferenceOptions]


@dataclass(frozen=True)
class Result:
    """A measured row.

    Attributes:
        name: of the row.
        sources: the weights files, or the folder of predictions.
        runs: run folders, for their learning curves.
        evaluation: of all its images.
        parts: evaluation of each fold; one where there are no folds.
        samples: the images' files, in the evaluation's order.
        origins: of the images, in the same order.
        length_unit: of distances: `um` or `px`.
        protocol: of the split, `patient` or `paper`; None where it is not known.
        parameters: of the network; None for ready predictions.
        macs: multiply-adds of a 256x256 image; None for ready predictions.
        paper: the paper's row of such a network.
        leaks: what was found on both sides, of each part with a training set.
        notes: what a reader must know.
        kept: folder of the predicted classes, `INDEX.png`; None if they were not kept.
    """

    name: str
    sources: Sequence[str]
    runs: Sequence[Path]
    evaluation: Evaluation
    parts: Sequence[Evaluation]
    samples: Sequence[Sample]
    origins: Sequence[Origin]
    length_unit: str
    protocol: str | None
    parameters: int | None
    macs: int | None
    paper: PaperRow | None
    leaks: Sequence[Leaks]
    notes: Sequence[str]
    kept: Path | None

    @property
    def images(self) -> list[str]:
        """Each image's resolved path, by which runs are matched."""
        return [str(sample.image.resolve()) for sample in self.samples]

    @property
    def class_names(self) -> list[str]:
        """Names of the classes."""
        count = len(self.evaluation.matrix)
        return list(CLASSES) if count == len(CLASSES) else [f"class {i}" for i in range(count)]


@dataclass(frozen=True)
class Measuring:
    """How entries are measured.

    Attributes:
        make_options: see `MakeOptions`.
        tolerance: of the boundary F-score, in um or px; None for 0.75 % of the diagonal.
        check_leaks: look for what is on both sides.
        keep: folder to keep predicted classes in; None keeps none.
    """

    make_options: MakeOptions
    tolerance: float | None = None
    check_leaks: bool = True
    keep: Path | None = None


def check_together(entries: Sequence[Entry]) -> None:
    """Check that entries can stand in one table.

    Raises:
        UsageError: they have other classes.
    """
    first = entries[0]
    for entry in entries:
        for part in entry.parts:
            if part.num_classes != first.num_classes:
                raise UsageError(
                    f"{entry.name}: must have as many classes as {first.name}, "
                    f"{first.num_classes}, got {part.num_classes}; compare runs of one labelling"
                )
            model = part.trained.config.dic["model"] if part.trained else {}
            classes = model.get("num_classes", part.num_classes)
            if classes != part.num_classes:
                raise UsageError(
                    f"{entry.name}: its network must have the classes of the data, "
                    f"{part.num_classes}, got {classes}"
                )


def distinct_names(entries: Sequence[Entry]) -> list[Entry]:
    """Entries whose names differ: of those that share one, the folder's path is the name."""
    names = [entry.name for entry in entries]
    renamed = []
    for entry in entries:
        part = entry.parts[0]
        path = part.run or (part.trained.weights if part.trained else None)
        if names.count(entry.name) > 1 and path is not None:
            entry = replace(entry, name=path.as_posix())
        renamed.append(entry)
    return renamed


def measure_entries(entries: Sequence[Entry], finder: EntryFinder, how: Measuring) -> list[Result]:
    """Measure every entry.

    Raises:
        UsageError: the entries cannot be compared.
        SclcError: data or weights cannot be used.
    """
    check_together(entries)
    checker = LeakCheck()
    # One unit of length in the whole table.
    metric = all(
        part.provenance.of(sample.image).mpp
        for entry in entries
        for part in entry.parts
        for sample in part.samples
    )
    return [
        _measure_entry(entry, finder, how, checker if how.check_leaks else None, metric, index)
        for index, entry in enumerate(distinct_names(entries))
    ]


def _measure_entry(
    entry: Entry,
    finder: EntryFinder,
    how: Measuring,
    checker: LeakCheck | None,
    metric: bool,
    index: int,
) -> Result:
    parts: list[Evaluation] = []
    samples: list[Sample] = []
    leaks: list[Leaks] = []
    size: tuple[int | None, int | None] = (None, None)
    keep = how.keep / str(index) if how.keep else None
    for part in entry.parts:
        evaluation, size = _measure_part(part, how, metric, keep, len(samples))
        parts.append(evaluation)
        samples += part.samples
        if checker is not None:
            leaks += _find_leaks(part, finder, checker)
    first = entry.parts[0]
    model = first.trained.config.dic["model"] if first.trained else {}
    notes = list(entry.notes)
    if len(set(samples)) < len(samples):
        raise SclcError(f"{entry.name}: an image must be in one fold only; make the folds again")
    return Result(
        entry.name,
        [str(p.trained.weights if p.trained else p.ready[0].mask.parent) for p in entry.parts],
        [part.run for part in entry.parts if part.run],
        Evaluation.join(parts),
        parts,
        samples,
        [part.provenance.of(sample.image) for part in entry.parts for sample in part.samples],
        "um" if metric else "px",
        first.provenance.protocol,
        *size,
        paper_row(model),
        leaks,
        list(dict.fromkeys(notes)),
        keep,
    )


def _find_leaks(part: Part, finder: EntryFinder, checker: LeakCheck) -> list[Leaks]:
    trained = training_samples(part)
    if trained is None:
        return []
    samples, root = trained
    existing = [sample for sample in samples if sample.image.is_file()]
    if not existing:
        return []
    return [checker.check(existing, part.samples, finder.provenance(root), part.provenance)]


def _measure_part(
    part: Part, how: Measuring, metric: bool, keep: Path | None, first_index: int
) -> tuple[Evaluation, tuple[int | None, int | None]]:
    """The evaluation of one network, and its parameters and multiply-adds."""
    seconds: list[float] = []
    size: tuple[int | None, int | None] = (None, None)
    if part.trained is not None:
        builder = part.trained.build()
        dataset = builder.val_dataset
        predictor = Predictor(builder.model, how.make_options(part.trained.config.test_config))
        predictions = predict_dataset(predictor, dataset, True, seconds.append)
        ignored, names = dataset.ignore_index, [str(files[0]) for files in dataset.file_list]
        size = (count_parameters(builder.model), count_macs(builder.model))
    else:
        predictions = read_ready(part.ready, part.samples, part.num_classes)
        ignored, names = IGNORE_INDEX, [str(sample.image) for sample in part.samples]
    spacing = None
    if metric:
        spacing = {name: part.provenance.of(name).mpp or (1.0, 1.0) for name in names}
    if keep is not None:
        predictions = _keep(predictions, keep, first_index)
    evaluation = measure(predictions, part.num_classes, ignored, spacing, how.tolerance)
    per_image = sum(seconds) / len(seconds) if seconds else 0.0
    return replace(evaluation, seconds=per_image), size


def _keep(predictions: Iterator[Prediction], folder: Path, first: int) -> Iterator[Prediction]:
    """Write the classes of each prediction as it passes."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, item in enumerate(predictions, first):
        cv2.imwrite(str(folder / f"{index}.png"), item.pred.astype(np.uint8))
        yield item
