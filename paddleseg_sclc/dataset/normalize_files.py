"""Stain normalisation of files: images, folders of images, and slides.

DIR/stain_target.json  method, options and target
DIR/fits.json          with what settings, and the fit of each slide and each folder of images
DIR/...                the files, as PNG or pyramidal TIFF, in the folders they were in
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddleseg_sclc.dataset.fit_images import fit_images
from paddleseg_sclc.dataset.normalize import fit_slide, normalize_slide
from paddleseg_sclc.dataset.normalize_items import Item
from paddleseg_sclc.dataset.paddleseg_format import STAIN_TARGET, read_image, write_png
from paddleseg_sclc.dataset.parallel import run_tasks
from paddleseg_sclc.errors import SclcError, TissueError, UsageError
from paddleseg_sclc.files import make_folder
from paddleseg_sclc.slides.reader import open_slide
from paddleseg_sclc.slides.tile_codec import Compression
from paddleseg_sclc.stain import Outcome, StainNormalizer
from paddleseg_sclc.stain.storage import read_json, write_json

FITS = "fits.json"

# Told what is done, how much of it, and of how much.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class NormalizeOptions:
    """How to normalise files.

    Attributes:
        normalizer: method, options and target. If it is fitted, its fit is used for all.
        median_target: the median of the files' fits becomes the target.
        per_patch: fit each image by itself. A slide is fitted as a whole all the same.
        overwrite: do again what is there already.
        mpp: micrometres a level-0 pixel, in place of what slides say.
        compression: of slides that are written.
        quality: of their JPEG.
        jobs: processes for images, threads for a slide.
    """

    normalizer: StainNormalizer
    median_target: bool = False
    per_patch: bool = False
    overwrite: bool = False
    mpp: float | None = None
    compression: Compression = "jpeg"
    quality: int = 90
    jobs: int = 1


@dataclass
class Normalized:
    """What became of the files.

    Attributes:
        normalizer: with the target, fitted if all files have one fit.
        outcomes: how many were normalised how.
        skipped: how many were there already.
        problems: a line for each file that was left out.
        notes: a line for each fit that was refused.
    """

    normalizer: StainNormalizer
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    skipped: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def normalize_files(
    items: Sequence[Item], output: Path, options: NormalizeOptions, progress: Progress
) -> Normalized:
    """Normalise files; what is there already is left alone.

    Raises:
        UsageError: the folder holds the results of other settings.
        SclcError: it cannot be written to, or no file could be fitted for a median target.
    """
    make_folder(output)
    run = _Run(items, output, options, progress)
    run.find_fits()
    run.choose_target()
    run.normalize()
    return run.result


class _Run:
    """One run over all files: fits first, then the target, then the files."""

    def __init__(
        self, items: Sequence[Item], output: Path, options: NormalizeOptions, progress: Progress
    ) -> None:
        self.items, self.output, self.options, self.progress = items, output, options, progress
        self.result = Normalized(options.normalizer)
        # Of each source that was not refused.
        self.fits: dict[str, Any] = {}

    def find_fits(self) -> None:
        """Read the fits of an earlier run, make those that are missing, and note them all."""
        settings = self._settings()
        self.fits = self._earlier_fits(settings)
        members = defaultdict(list)
        for item in self.items:
            members[item.source].append(item)
        if self.options.normalizer.source is None:
            for done, (source, own) in enumerate(members.items()):
                self.progress("fitting", done, len(members))
                needed = own[0].slide or not self.options.per_patch or self.options.median_target
                if needed and source not in self.fits:
                    self._fit(source, own)
        figures = {name: fit.to_dict() for name, fit in self.fits.items()}
        write_json(self.output / FITS, {"settings": settings, "fits": figures})

    def choose_target(self) -> None:
        """Settle the target, and write it."""
        if self.options.median_target:
            if not self.fits:
                reasons = [*self.result.notes, *self.result.problems, ""]
                raise SclcError(f"--target median: no file could be fitted: {reasons[0]}")
            self.result.normalizer = self.options.normalizer.with_median_target(
                list(self.fits.values())
            )
        normalizer = self.result.normalizer
        unfitted = type(normalizer)(**normalizer.options(), target=normalizer.target)
        unfitted.save(self.output / STAIN_TARGET)

    def normalize(self) -> None:
        """Normalise what is not there yet."""
        todo = [item for item in self.items if self.options.overwrite or not item.done]
        self.result.skipped = len(self.items) - len(todo)
        self._normalize_images([item for item in todo if not item.slide])
        for item in todo:
            if item.slide:
                self._normalize_slide(item)
        if len(self.fits) == 1:
            self.result.normalizer = self._normalizer_of(next(iter(self.fits)))

    def _settings(self) -> dict[str, Any]:
        """All that results depend on, as JSON."""
        return {
            "normalizer": self.options.normalizer.to_dict(),
            "median_of": sorted({item.source for item in self.items})
            if self.options.median_target
            else None,
            "per_patch": self.options.per_patch,
        }

    def _earlier_fits(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        path = self.output / FITS
        if self.options.overwrite or not path.is_file():
            return {}
        earlier = read_json(path)
        if not isinstance(earlier, dict) or earlier.get("settings") != settings:
            raise UsageError(
                f"{self.output}: holds files that were normalised with other settings; choose "
                "another --output, or pass --overwrite"
            )
        read = self.options.normalizer.fit_type.from_dict
        fits = earlier.get("fits")
        if not isinstance(fits, dict):
            raise SclcError(f"{path}: must hold fits; remove the file, or pass --overwrite")
        return {name: read(fit, f"{path}: {name}") for name, fit in fits.items()}

    def _fit(self, source: str, items: Sequence[Item]) -> None:
        """Fit a slide, or the images of a folder together."""
        normalizer = self.options.normalizer
        try:
            if items[0].slide:
                with open_slide(items[0].path, self.options.mpp) as slide:
                    self.fits[source] = fit_slide(slide, normalizer).source
            else:
                paths = [item.path for item in items]
                fit, note = fit_images(paths, normalizer, source, self.options.jobs)
                self.fits[source] = fit
                self.result.notes += [note] if note else []
        except TissueError as error:
            # Images stay as they are; a copy of a slide would be no use.
            (self.result.problems if items[0].slide else self.result.notes).append(str(error))
        except SclcError as error:
            self.result.problems.append(str(error))

    def _normalizer_of(self, source: str) -> StainNormalizer:
        """The normaliser, fitted to a source if that has a fit."""
        fit = self.fits.get(source)
        return self.result.normalizer if fit is None else self.result.normalizer.with_source(fit)

    def _normalize_images(self, items: Sequence[Item]) -> None:
        per_patch = self.options.per_patch
        tasks = [_ImageTask(i, self._normalizer_of(i.source), per_patch) for i in items]
        for done, (place, outcome) in enumerate(
            run_tasks(_normalize_image, tasks, self.options.jobs if len(tasks) > 8 else 1)
        ):
            self.progress("images", done + 1, len(tasks))
            if isinstance(outcome, SclcError):
                self.result.problems.append(_line_about(items[place].path, outcome))
            else:
                self.result.outcomes[outcome] += 1

    def _normalize_slide(self, item: Item) -> None:
        normalizer = self._normalizer_of(item.source)
        if normalizer.source is None:  # why, stands among the problems
            return
        try:
            with open_slide(item.path, self.options.mpp) as slide:
                normalize_slide(
                    slide,
                    normalizer,
                    item.output,
                    compression=self.options.compression,
                    quality=self.options.quality,
                    threads=self.options.jobs,
                    progress=lambda done, total: self.progress(item.path.name, done, total),
                )
            self.result.outcomes[Outcome.GIVEN_FIT] += 1
        except SclcError as error:
            self.result.problems.append(_line_about(item.path, error))


@dataclass(frozen=True)
class _ImageTask:
    item: Item
    normalizer: StainNormalizer
    per_patch: bool


def _normalize_image(task: _ImageTask) -> Outcome:
    """Read, normalise and write one image; in a process of its own."""
    by = task.normalizer
    normalize = by.transform_by_own_fit if task.per_patch else by.transform_by_given_fit
    image, outcome = normalize(read_image(task.item.path))
    write_png(task.item.output, image)
    return outcome


def _line_about(path: Path, error: SclcError) -> str:
    text = str(error)
    return text if str(path) in text else f"{path}: {text}"
