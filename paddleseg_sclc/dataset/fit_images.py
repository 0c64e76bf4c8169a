"""One stain fit for images that belong together: the patches of a slide."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddleseg_sclc.dataset.paddleseg_format import read_image
from paddleseg_sclc.dataset.parallel import run_tasks
from paddleseg_sclc.errors import SclcError, TissueError
from paddleseg_sclc.stain import ColorHistogram, StainNormalizer

# Of more images, so many, evenly spaced, are fitted.
_FIT_IMAGES = 512
_IMAGES_A_TASK = 16


@dataclass(frozen=True)
class _CountTask:
    paths: tuple[Path, ...]
    judge: StainNormalizer | None


def fit_images(
    paths: Sequence[Path], normalizer: StainNormalizer, where: str, jobs: int = 1
) -> tuple[Any, str | None]:
    """Fit images together; where too much of them is no H&E, those that can be fitted.

    Args:
        paths: one image or more. What cannot be read is passed over.
        normalizer: method and options.
        where: what to call the images in a message.
        jobs: processes.

    Returns:
        The fit, and what to tell the user of it.

    Raises:
        TissueError: none of them shows enough of both stains.
    """
    histogram, _ = _count_colors(paths, None, jobs)
    try:
        return normalizer.fit_of(histogram, where), None
    except TissueError:
        histogram, count = _count_colors(paths, normalizer, jobs)
        if count == 0:
            raise
    return normalizer.fit_of(histogram, where), (
        f"{where}: its images together, too much of which is no H&E; the {count} that can be "
        "fitted by themselves were fitted together instead"
    )


def _count_colors(
    paths: Sequence[Path], judge: StainNormalizer | None, jobs: int
) -> tuple[ColorHistogram, int]:
    """Count the colours of the images that the judge can fit, of all without one; how many."""
    count = min(len(paths), _FIT_IMAGES)
    chosen = [paths[index * len(paths) // count] for index in range(count)]
    tasks = [
        _CountTask(tuple(chosen[i : i + _IMAGES_A_TASK]), judge)
        for i in range(0, count, _IMAGES_A_TASK)
    ]
    histogram, images = ColorHistogram(), 0
    for _, counted in run_tasks(_count_images, tasks, jobs):
        if isinstance(counted, SclcError):
            raise counted
        histogram.merge(counted[0])
        images += counted[1]
    return histogram, images


def _count_images(task: _CountTask) -> tuple[ColorHistogram, int]:
    """An image that cannot be read is met again by whoever uses it."""
    histogram, images = ColorHistogram(), 0
    for path in task.paths:
        one = ColorHistogram()
        try:
            one.add(read_image(path))
            if task.judge is not None:
                task.judge.fit_of(one)
        except SclcError:
            continue
        histogram.merge(one)
        images += 1
    return histogram, images
