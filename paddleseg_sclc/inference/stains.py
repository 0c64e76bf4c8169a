"""Images to predict, brought to the colours of the patches that the network was trained on.

The run folder alone says how: `stain_target.json` has method, options and target, `dataset.json`
whether each patch was fitted by itself. As in training, the patches of a slide share a fit: the
images of a folder are taken to be of one slide, unless a fit is given.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.dataset.fit_images import fit_images
from paddleseg_sclc.dataset.paddleseg_format import INFO, STAIN_TARGET, read_info
from paddleseg_sclc.errors import SclcError, TissueError, UsageError
from paddleseg_sclc.stain import StainNormalizer

# `training`: as the run was trained; `none`: as they are; `per_patch`: each by its own fit.
WAYS = ("training", "none", "per_patch")
_ALREADY = "normalised already"
# A dataset's images lie one or two folders below its stain_target.json.
_LEVELS_UP = 3


@dataclass(frozen=True)
class TrainingStain:
    """How the patches of a training set were normalised.

    Attributes:
        normalizer: method, options and target; not fitted.
        per_patch: each patch was fitted by itself.
    """

    normalizer: StainNormalizer
    per_patch: bool = False


def read_training_stain(run: Path) -> TrainingStain | None:
    """How the patches of a run were normalised, None if they were not.

    Raises:
        SclcError: the run's files are damaged.
    """
    path = run / STAIN_TARGET
    if not path.is_file():
        return None
    normalizer = StainNormalizer.load(path)
    try:
        stain = read_info(run).get("stain") or {}
        return TrainingStain(normalizer, bool(stain.get("per_patch", False)))
    except (SclcError, AttributeError) as error:
        raise SclcError(
            f"{run / INFO}: must be the JSON of the training set, but reading failed ({error})"
        ) from error


class InputStains:
    """Normalises images as those of a training set were.

    Args:
        stain: how those were.
        paths: all images that are going to be predicted.
        fit: JSON of `tools/normalize_stain.py --save-fit`: the fit of their slide, for all.

    Attributes:
        notes: a line for each folder whose fit was refused.
        outcomes: how many images were normalised how.

    Raises:
        SclcError: the file of the fit cannot be read.
        UsageError: it holds no fit, or one of another method.
    """

    def __init__(
        self, stain: TrainingStain, paths: Iterable[Path], fit: Path | None = None
    ) -> None:
        self.stain = stain
        self.notes: list[str] = []
        self.outcomes: Counter[str] = Counter()
        self._normalizers: dict[Path, StainNormalizer | None] = {}
        folders = defaultdict(list)
        for path in paths:
            folders[path.parent].append(path)
        given = None if fit is None else self._with_fit_of(fit)
        for folder, members in folders.items():
            self._normalizers[folder] = given or self._for_folder(folder, members)

    def __call__(self, path: Path, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """An image in the training set's colours; RGB uint8 (H, W, 3), not changed."""
        normalizer = self._normalizers[path.parent]
        if normalizer is None:
            self.outcomes[_ALREADY] += 1
            return image
        by_own = self.stain.per_patch
        normalize = normalizer.transform_by_own_fit if by_own else normalizer.transform_by_given_fit
        image, outcome = normalize(image)
        self.outcomes[outcome.value] += 1
        return image

    def summary(self) -> str:
        """A line on what became of the images."""
        counts = ", ".join(f"{n} {outcome}" for outcome, n in sorted(self.outcomes.items()))
        return f"stains, as in training ({self.stain.normalizer.method}): {counts or 'no image'}"

    def _with_fit_of(self, path: Path) -> StainNormalizer:
        saved, normalizer = StainNormalizer.load(path), self.stain.normalizer
        if saved.source is None or saved.method != normalizer.method:
            found = "no fit" if saved.source is None else f"one of {saved.method}"
            raise UsageError(f"{path}: must hold a fit by {normalizer.method}, got {found}")
        return normalizer.with_source(saved.source)

    def _for_folder(self, folder: Path, paths: list[Path]) -> StainNormalizer | None:
        """The normaliser of a folder's images; None where that has been done before."""
        normalizer = self.stain.normalizer
        if self._is_normalised(folder):
            return None
        try:
            fit, note = fit_images(paths, normalizer, str(folder))
        except TissueError as error:
            self.notes.append(str(error))
            return normalizer
        self.notes += [note] if note else []
        return normalizer.with_source(fit)

    def _is_normalised(self, folder: Path) -> bool:
        """Whether a folder belongs to a dataset, or an output, of the same target."""
        above = folder.resolve()
        for place in (above, *list(above.parents)[:_LEVELS_UP]):
            path = place / STAIN_TARGET
            if path.is_file() and not (place / "config.yml").exists():  # that is a run folder
                wanted, found = self.stain.normalizer, StainNormalizer.load(path)
                return {**found.to_dict(), "source": None} == {**wanted.to_dict(), "source": None}
        return False
