"""Stains of a training set: the normaliser and its target, and the fit of each slide.

A slide is fitted once, and all its patches are normalised by that fit: fitting each patch by itself
increases the spread of hematoxylin between patches.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddleseg_sclc import __version__
from paddleseg_sclc.dataset.ledger import Ledger, fingerprint
from paddleseg_sclc.dataset.normalize import fit_slide
from paddleseg_sclc.dataset.sources import SlideSource
from paddleseg_sclc.dataset.stain_target import make_normalizer
from paddleseg_sclc.errors import SclcError, TissueError
from paddleseg_sclc.slides.reader import OPENSLIDE_VERSION, open_slide
from paddleseg_sclc.stain import METHODS, StainNormalizer
from paddleseg_sclc.stain.targets import BUILT_IN

MEDIAN = "median"


@dataclass(frozen=True)
class StainOptions:
    """How colours are normalised.

    Attributes:
        method: one of `stain.METHODS`.
        target: a built-in target, an image, a slide, a saved normaliser (JSON), or `median`: the
            median of the slides' own fits.
        per_patch: fit each patch by itself, and by its slide where that fails.
    """

    method: str = "vahadane"
    target: str = BUILT_IN[0]
    per_patch: bool = False


@dataclass(frozen=True)
class StainPlan:
    """What a slide's patches are normalised with.

    Attributes:
        normalizer: `StainNormalizer.to_dict()`, its source the slide's fit, or None where the slide
            could not be fitted: the patches keep their colours then.
        per_patch: fit each patch by itself first.
    """

    normalizer: Mapping[str, Any]
    per_patch: bool = False


@dataclass(frozen=True)
class StainTask:
    """Which slide to fit.

    Attributes:
        source: the slide.
        output: the dataset folder.
        mpp: micrometres a level-0 pixel in place of what the slide says.
        normalizer: `StainNormalizer.to_dict()`.
    """

    source: SlideSource
    output: Path
    mpp: float | None
    normalizer: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Of the task in the ledger."""
        return f"stain {self.source.name}"

    def key(self) -> dict[str, Any]:
        """All that the fit depends on; the target is not of that."""
        return {
            "slide": fingerprint(self.source.path),
            "mpp": self.mpp,
            "method": self.normalizer["method"],
            "options": self.normalizer["options"],
            "versions": {"paddleseg_sclc": __version__, "openslide": OPENSLIDE_VERSION},
        }


@dataclass(frozen=True)
class StainResult:
    """The stains of a slide.

    Attributes:
        fit: as `to_dict` of a fit gives it; None where the slide shows too little tissue.
        reason: why not, in one line.
    """

    fit: Mapping[str, Any] | None
    reason: str = ""


def fit_stain(task: StainTask) -> StainResult:
    """Fit one slide, or find that it was.

    Raises:
        SclcError: the slide cannot be read.
    """
    ledger, key = Ledger(task.output), task.key()
    record = ledger.finished(task.name, key)
    if record is None:
        normalizer = StainNormalizer.from_dict(dict(task.normalizer))
        with open_slide(task.source.path, task.mpp) as slide:
            try:
                found = {"fit": fit_slide(slide, normalizer).source.to_dict(), "reason": ""}
            except TissueError as error:
                found = {"fit": None, "reason": str(error)}
        record = ledger.finish(task.name, key, [], found)
    return StainResult(**record.result)


def start_normalizer(options: StainOptions) -> StainNormalizer:
    """The normaliser with its target; under `median` the target is still to come.

    Raises:
        UsageError: there is no such target.
        SclcError: the target cannot be read, or shows too little tissue.
    """
    if options.target == MEDIAN:
        return METHODS[options.method]()
    return make_normalizer(options.target, options.method)


def with_median_target(normalizer: StainNormalizer, results: list[StainResult]) -> StainNormalizer:
    """The normaliser with the median of the slides' fits as its target.

    Raises:
        SclcError: no slide could be fitted.
    """
    fits = [normalizer.fit_type.from_dict(dict(r.fit)) for r in results if r.fit is not None]
    if not fits:
        raise SclcError("--stain-target median: some slide must show stained tissue, but none does")
    return normalizer.with_median_target(fits)


def plan_for(normalizer: StainNormalizer, result: StainResult, per_patch: bool) -> StainPlan:
    """What the patches of one slide are normalised with."""
    return StainPlan({**normalizer.to_dict(), "source": result.fit}, per_patch)
