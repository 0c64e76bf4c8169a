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
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from paddleseg_sclc.annotations.labels import LabelMap, read_labels
from paddleseg_sclc.dataset.extract import check_labels
from paddleseg_sclc.dataset.ledger import Ledger
from paddleseg_sclc.dataset.manifest import MANIFEST, PatchRow, write_manifest
from paddleseg_sclc.dataset.paddleseg_format import (
    INFO,
    STAIN_TARGET,
    TRAIN_LIST,
    VAL_LIST,
    write_info,
)
from paddleseg_sclc.dataset.parallel import run_tasks
from paddleseg_sclc.dataset.provenance import PrepareOptions, Slides, provenance
from paddleseg_sclc.dataset.sides import (
    FOLDS,
    SPLIT,
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
from paddleseg_sclc.dataset.stain_task import (
    MEDIAN,
    StainPlan,
    StainResult,
    StainTask,
    fit_stain,
    plan_for,
    start_normalizer,
    with_median_target,
)
from paddleseg_sclc.dataset.variant_task import VariantTask, make_variants
from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.slides.levels import checked_mpp
from paddleseg_sclc.stain import StainNormalizer

LABELS = "labels.yml"
Task = TypeVar("Task", StainTask, SlideTask, VariantTask)
Result = TypeVar("Result")

# Called with what is being done, tasks done and tasks in all.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Prepared:
    """What became of a preparation.

    Attributes:
        slides: each slide that could be used, and its result.
        side_of: name -> `train` or `val`; copies included; empty in a dry run.
        problems: what kept slides or annotations out, a line each.
        warnings: what the user should know of split and colours.
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
    problems = [problem.message for problem in found]
    if not sources:
        raise _no_patches(options, problems)
    check_options(options.split, len({source.patient for source in sources}))
    run = _Run(options, progress or (lambda *_: None))
    if options.dry_run:
        slides, more = run.cut(sources, labels)
        return Prepared(slides, {}, (*problems, *more), tuple(run.warnings), labels_file)
    with Ledger(options.output).locked():
        slides, more = run.cut(sources, labels)
        if not any(result.rows for _, result in slides):
            raise _no_patches(options, [*problems, *more])
        try:
            side_of = run.finish(slides)
        except UsageError as error:
            if not problems and not more:
                raise
            # Too few patients, maybe because of what was left out.
            raise UsageError(f"{error}; left out were:{_listed([*problems, *more])}") from error
    return Prepared(slides, side_of, (*problems, *more), tuple(run.warnings), labels_file)


def _no_patches(options: PrepareOptions, problems: Sequence[str]) -> SclcError:
    return SclcError(f"{options.slides}: no slide gave a patch:{_listed(problems)}")


def _listed(problems: Sequence[str]) -> str:
    more = f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""
    return "".join(f"\n  {problem}" for problem in problems[:20]) + more


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
        self.normalizer: StainNormalizer | None = None
        self.warnings: list[str] = []

    def cut(
        self, sources: Sequence[SlideSource], labels: LabelMap | None
    ) -> tuple[Slides, list[str]]:
        """Cut the patches of all slides; returns them and what went wrong."""
        options = self._options
        plans, problems = self._stain_plans(sources)
        tasks = [
            SlideTask(
                source, self._root, options.cut, labels, options.mpp, plans[source], options.dry_run
            )
            for source in sources
            if source in plans
        ]
        slides: list[tuple[SlideSource, SlideResult]] = []
        for task, result in zip(tasks, self._results("cut", prepare_slide, tasks), strict=True):
            if isinstance(result, SclcError):
                problems.append(_line_about(task.source.path, result))
            else:
                problems += result.problems
                slides.append((task.source, result))
        return tuple(slides), problems

    def _stain_plans(
        self, sources: Sequence[SlideSource]
    ) -> tuple[dict[SlideSource, StainPlan | None], list[str]]:
        """How each slide's colours are normalised; slides that cannot be read are left out."""
        stain = self._options.stain
        if stain is None:
            return dict.fromkeys(sources), []
        self.normalizer = start_normalizer(stain)
        figures = self.normalizer.to_dict()
        tasks = [StainTask(s, self._root, self._options.mpp, figures) for s in sources]
        if self._options.dry_run and not all(map(self._is_finished, tasks)):
            return dict.fromkeys(sources), []
        results: dict[SlideSource, StainResult] = {}
        problems = []
        for task, result in zip(tasks, self._results("stain", fit_stain, tasks), strict=True):
            if isinstance(result, SclcError):
                problems.append(_line_about(task.source.path, result))
            else:
                results[task.source] = result
                if result.fit is None:
                    self.warnings.append(f"{result.reason}; its patches keep their colours")
        if stain.target == MEDIAN and results:
            self.normalizer = with_median_target(self.normalizer, list(results.values()))
        plans = {s: plan_for(self.normalizer, r, stain.per_patch) for s, r in results.items()}
        return {**plans}, problems

    def finish(self, slides: Slides) -> Mapping[str, str]:
        """Split, make copies, write lists and manifest; returns each patch's side."""
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
        if self.normalizer is None:
            (self._root / STAIN_TARGET).unlink(missing_ok=True)
        else:
            self.normalizer.save(self._root / STAIN_TARGET)
        write_manifest(self._root, rows, sides)
        write_info(self._root, provenance(self._options, slides, rows, sides))
        self._ledger.drop_others(self._kept)
        self.warnings += warnings_of(split, options)
        return sides

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

    def _is_finished(self, task: StainTask | SlideTask | VariantTask) -> bool:
        try:
            return self._ledger.finished(task.name, task.key()) is not None
        except SclcError:
            return False


def _line_about(path: Path, error: SclcError) -> str:
    """The error, with the slide it is about if it does not say."""
    text = str(error)
    return text if path.stem in text else f"{path}: {text}"
