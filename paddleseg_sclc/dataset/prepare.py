"""The whole way: from a folder of annotated slides to a PaddleSeg dataset.

DIR/images, masks         the patches, and their augmented copies
DIR/train.txt, val.txt    PaddleSeg's lists
DIR/manifest.csv          a row a patch: where it comes from, scale, share of tumour, checksums
DIR/dataset.json          classes, slides, options, versions, median scale of the training patches
DIR/split.csv             which patch is on which side; can be edited and given back with --split
DIR/folds                 the lists of each fold, with --all-folds
DIR/stain_target.json     what the colours were normalised to, if they were
DIR/previews              a sheet a slide: its patches with the outlines of their masks
DIR/.prepared             what is finished, for the next run of the same command

The same slides, annotations and options give the same bytes, interrupted or not.
"""

import shutil
from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from paddleseg_sclc.annotations.labels import LabelMap, read_labels
from paddleseg_sclc.dataset.augment import AugmentOptions
from paddleseg_sclc.dataset.extract import CutOptions, check_labels
from paddleseg_sclc.dataset.ledger import Ledger
from paddleseg_sclc.dataset.manifest import MANIFEST, PatchRow, median_mpp, write_manifest
from paddleseg_sclc.dataset.paddleseg_format import INFO, TRAIN_LIST, VAL_LIST, write_info
from paddleseg_sclc.dataset.parallel import default_jobs, run_tasks
from paddleseg_sclc.dataset.sides import (
    FOLDS,
    SPLIT,
    SplitOptions,
    check_options,
    side_of_each,
    split_all,
    split_originals,
    warnings_of,
    write_sides,
)
from paddleseg_sclc.dataset.slide_task import SlideResult, SlideTask, prepare_slide
from paddleseg_sclc.dataset.sources import SlideSource, find_slides, read_patients
from paddleseg_sclc.dataset.split import write_split
from paddleseg_sclc.dataset.variant_task import VariantTask, make_variants
from paddleseg_sclc.dataset.versions import versions
from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.slides.levels import checked_mpp

LABELS = "labels.yml"
Task = TypeVar("Task", SlideTask, VariantTask)
Result = TypeVar("Result")
# Each slide that gave patches, and what became of it.
Slides = tuple[tuple[SlideSource, SlideResult], ...]

# Called with what is being done, tasks done and tasks in all.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PrepareOptions:
    """What to make of which slides.

    Attributes:
        slides: folder of slides, or one slide.
        output: dataset folder, new or of an earlier run.
        annotations: where the annotations lie, if not beside the slides.
        labels: label file; None for `labels.yml` in the folder of slides, else the paper's.
        patients: CSV of slide and patient; None takes each slide as a patient.
        mpp: micrometres a level-0 pixel in place of what the slides say.
        cut: how patches are cut.
        augment: which copies are made; None for none.
        split: how patches are split.
        jobs: processes.
        dry_run: plan only; nothing is written.
    """

    slides: Path
    output: Path
    annotations: Path | None = None
    labels: Path | None = None
    patients: Path | None = None
    mpp: float | None = None
    cut: CutOptions = field(default_factory=CutOptions)
    augment: AugmentOptions | None = field(default_factory=AugmentOptions)
    split: SplitOptions = field(default_factory=SplitOptions)
    jobs: int = field(default_factory=default_jobs)
    dry_run: bool = False


@dataclass(frozen=True)
class Prepared:
    """What became of a preparation.

    Attributes:
        slides: each slide that could be used, and its result.
        side_of: name -> `train` or `val`; copies included; empty in a dry run.
        problems: what kept slides or annotations out, a line each.
        warnings: what the user should know of the split.
        labels: the label file that was used.
    """

    slides: Slides
    side_of: Mapping[str, str]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    labels: Path | None


def prepare(options: PrepareOptions, progress: Progress | None = None) -> Prepared:
    """Make the dataset, or bring it up to date.

    Slides and annotations that cannot be used are left out, and named in the result.

    Args:
        options: what to make of which slides.
        progress: told how far the work is.

    Raises:
        UsageError: the options contradict one another, or the output folder holds other files.
        SclcError: no slide could be used, or the dataset cannot be written.
    """
    labels_file = _labels_file(options)
    labels = None if labels_file is None else read_labels(labels_file)
    check_labels(labels)
    if options.mpp is not None:
        checked_mpp(options.mpp)
    patients = {} if options.patients is None else read_patients(options.patients)
    sources, found = find_slides(options.slides, options.annotations, patients)
    check_options(options.split, len({source.patient for source in sources}))
    run = _Run(options, progress or (lambda *_: None))
    problems = [problem.message for problem in found]
    if options.dry_run:
        slides, more = run.cut(sources, labels)
        return Prepared(slides, {}, (*problems, *more), (), labels_file)
    with Ledger(options.output).locked():
        slides, more = run.cut(sources, labels)
        if not any(result.rows for _, result in slides):
            reasons = "".join(f"\n  {problem}" for problem in (*problems, *more)[:20])
            raise SclcError(f"{options.slides}: no slide gave a patch:{reasons}")
        side_of, warnings = run.finish(slides)
    return Prepared(slides, side_of, (*problems, *more), tuple(warnings), labels_file)


def _labels_file(options: PrepareOptions) -> Path | None:
    if options.labels is not None:
        return options.labels
    folder = options.slides if options.slides.is_dir() else options.slides.parent
    return folder / LABELS if (folder / LABELS).is_file() else None


class _Run:
    """One preparation at work."""

    def __init__(self, options: PrepareOptions, progress: Progress) -> None:
        self._options, self._progress = options, progress
        self._root = options.output
        self._ledger = Ledger(options.output)
        self._kept: list[str] = []

    def cut(
        self, sources: Sequence[SlideSource], labels: LabelMap | None
    ) -> tuple[Slides, list[str]]:
        """Cut the patches of all slides; returns them and what went wrong."""
        options = self._options
        tasks = [
            SlideTask(source, self._root, options.cut, labels, options.mpp, options.dry_run)
            for source in sources
        ]
        slides: list[tuple[SlideSource, SlideResult]] = []
        problems: list[str] = []
        for task, result in zip(tasks, self._results("cut", prepare_slide, tasks), strict=True):
            if isinstance(result, SclcError):
                problems.append(_line_about(task.source.path, result))
            else:
                problems += result.problems
                slides.append((task.source, result))
        return tuple(slides), problems

    def finish(self, slides: Slides) -> tuple[Mapping[str, str], list[str]]:
        """Split, make copies, write lists and manifest; returns each patch's side, and warnings."""
        options = self._options.split
        originals = [row for _, result in slides for row in result.rows]
        if options.protocol == "paper":
            rows = self._with_copies(slides, {row.name for row in originals})
            split = split_all(rows, options)
        else:
            split = split_originals(originals, options)
            used = split.sides(options.fold)
            rows = self._with_copies(
                slides, {n for n, side in used.items() if side == "train" or options.all_folds}
            )
        sides = side_of_each(rows, split, options.protocol, options.fold)
        write_split(self._root / SPLIT, split)
        write_sides(self._root, self._root, rows, sides)
        shutil.rmtree(self._root / FOLDS, ignore_errors=True)
        for fold in split.folds if options.all_folds else ():
            of_fold = side_of_each(rows, split, options.protocol, fold)
            write_sides(self._root / FOLDS / f"fold{fold}", self._root, rows, of_fold)
        write_manifest(self._root, rows, sides)
        write_info(self._root, self._provenance(slides, rows, sides))
        self._ledger.drop_others(self._kept)
        return sides, warnings_of(split, options)

    def _with_copies(self, slides: Slides, chosen: Container[str]) -> list[PatchRow]:
        """All originals, each followed by its copies if it is one of `chosen`."""
        originals = [row for _, result in slides for row in result.rows]
        augment = self._options.augment
        if augment is None:
            return originals
        tasks = []
        for source, result in slides:
            rows = tuple(row for row in result.rows if row.name in chosen)
            if rows:
                tasks.append(VariantTask(source.name, self._root, rows, augment))
        copies = defaultdict(list)
        for made in self._results("augment", make_variants, tasks):
            if isinstance(made, SclcError):
                raise made
            for row in made:
                copies[row.variant_of].append(row)
        return [row for original in originals for row in (original, *copies[original.name])]

    def _results(
        self, what: str, work: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> list[Result | SclcError]:
        """What became of each task. Lists that no longer hold are withdrawn before any work."""
        results: dict[int, Result | SclcError] = {}
        pending = []
        for place, task in enumerate(tasks):
            if self._is_finished(task):
                results[place] = work(task)
            else:
                pending.append(place)
        if pending and not self._options.dry_run:
            for name in (TRAIN_LIST, VAL_LIST, MANIFEST, INFO):
                (self._root / name).unlink(missing_ok=True)
        self._progress(what, len(results), len(tasks))
        todo = [tasks[place] for place in pending]
        for index, result in run_tasks(work, todo, self._options.jobs):
            results[pending[index]] = result
            self._progress(what, len(results), len(tasks))
        self._kept += [t.name for i, t in enumerate(tasks) if not isinstance(results[i], SclcError)]
        return [results[place] for place in range(len(tasks))]

    def _is_finished(self, task: SlideTask | VariantTask) -> bool:
        try:
            return self._ledger.finished(task.name, task.key()) is not None
        except SclcError:
            return False

    def _provenance(
        self, slides: Slides, rows: Sequence[PatchRow], sides: Mapping[str, str]
    ) -> dict[str, Any]:
        """What dataset.json says."""
        options = self._options
        training = [r for r in rows if not r.variant and sides.get(r.name) == "train"]
        return {
            "made_by": "tools/prepare_dataset.py",
            "versions": versions(),
            "median_mpp": list(median_mpp(training or [row for row in rows if not row.variant])),
            "patches": {
                "originals": sum(not row.variant for row in rows),
                "copies": sum(bool(row.variant) for row in rows),
                "train": sum(side == "train" for side in sides.values()),
                "val": sum(side == "val" for side in sides.values()),
            },
            "cut": asdict(options.cut),
            "augment": None if options.augment is None else asdict(options.augment),
            "split": {**asdict(options.split), "file": str(options.split.file or "") or None},
            "slides": [
                {**result.info, "annotations": result.annotations, "patches": len(result.rows)}
                for _, result in slides
            ],
        }


def _line_about(path: Path, error: SclcError) -> str:
    """The error, with the slide it is about if it does not say."""
    text = str(error)
    return text if path.stem in text else f"{path}: {text}"
