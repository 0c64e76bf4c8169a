"""What a dataset is made from and with: the options of a preparation, and dataset.json."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import paddleseg_sclc
from paddleseg_sclc.dataset.augment import AugmentOptions
from paddleseg_sclc.dataset.extract import CutOptions
from paddleseg_sclc.dataset.manifest import PatchRow, median_mpp
from paddleseg_sclc.dataset.parallel import default_jobs
from paddleseg_sclc.dataset.sides import SplitOptions
from paddleseg_sclc.dataset.slide_task import SlideResult
from paddleseg_sclc.dataset.sources import SlideSource
from paddleseg_sclc.dataset.stain_task import StainOptions
from paddleseg_sclc.slides.reader import OPENSLIDE_VERSION

# Each slide that could be used, and what became of it.
Slides = tuple[tuple[SlideSource, SlideResult], ...]
_PACKAGES = ("numpy", "opencv-python", "opencv-python-headless", "pillow", "imagecodecs")


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
        stain: how colours are normalised; None for not at all.
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
    stain: StainOptions | None = field(default_factory=StainOptions)
    augment: AugmentOptions | None = field(default_factory=AugmentOptions)
    split: SplitOptions = field(default_factory=SplitOptions)
    jobs: int = field(default_factory=default_jobs)
    dry_run: bool = False


def provenance(
    options: PrepareOptions, slides: Slides, rows: Sequence[PatchRow], sides: Mapping[str, str]
) -> dict[str, Any]:
    """What dataset.json says, beside the classes: no paths and no times, which differ by machine.

    Args:
        options: of the preparation.
        slides: that were used.
        rows: of all patches, copies included.
        sides: name -> `train` or `val`.
    """
    originals = [row for row in rows if not row.variant]
    training = [row for row in originals if sides.get(row.name) == "train"]
    return {
        "made_by": "tools/prepare_dataset.py",
        "versions": versions(),
        "median_mpp": list(median_mpp(training or originals)),
        "patches": {
            "originals": len(originals),
            "copies": len(rows) - len(originals),
            "train": sum(side == "train" for side in sides.values()),
            "val": sum(side == "val" for side in sides.values()),
        },
        "cut": asdict(options.cut),
        "stain": None if options.stain is None else asdict(options.stain),
        "augment": None if options.augment is None else asdict(options.augment),
        "split": {
            **asdict(options.split),
            "file": None if options.split.file is None else options.split.file.name,
        },
        "slides": [
            {**result.info, "annotations": result.annotations, "patches": len(result.rows)}
            for _, result in slides
        ],
    }


def versions() -> dict[str, str]:
    """Name -> version."""
    found = {"paddleseg_sclc": paddleseg_sclc.__version__, "openslide": OPENSLIDE_VERSION}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
