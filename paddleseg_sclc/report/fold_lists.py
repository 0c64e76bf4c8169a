"""The folds of a cross-validation: the dataset's own, or drawn by patient."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paddleseg_sclc.dataset.paddleseg_format import (
    TRAIN_LIST,
    VAL_LIST,
    Sample,
    read_list,
    read_mask,
    write_list,
)
from paddleseg_sclc.dataset.sides import DEFAULT_FOLDS, FOLDS, SPLIT
from paddleseg_sclc.dataset.split import Patch, split_patients, write_split
from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.metrics.figures import TUMOUR
from paddleseg_sclc.report.provenance import Provenance, read_provenance


@dataclass(frozen=True)
class FoldLists:
    """The lists of each fold.

    Attributes:
        folders: each with train.txt and val.txt.
        by_patient: False where patients are not known, so that patches were split.
    """

    folders: Sequence[Path]
    by_patient: bool


def find_folds(root: Path, folds: int | None, output: Path, seed: int = 0) -> FoldLists:
    """The dataset's folds, or folds drawn by patient and written to `output`.

    Args:
        root: dataset of tools/prepare_dataset.py --all-folds, which has folds, or of
            tools/import_patches.py, whose groups are split.
        folds: how many; None for the dataset's, else five or as many as there are patients.
        output: for the lists, where the dataset has none; the same call writes the same.
        seed: of the draw.

    Raises:
        UsageError: the dataset has another number of folds, or too few patients.
        SclcError: the dataset has copies but no folds, or cannot be read.
    """
    provenance = read_provenance(root)
    own = sorted(
        (f for f in (root / FOLDS).glob("fold*") if f.name[4:].isdigit()),
        key=lambda folder: int(folder.name[4:]),
    )
    if own:
        if folds not in (None, len(own)):
            raise UsageError(
                f"--folds {folds}: {root} has {len(own)} folds of its own; leave --folds out, or "
                f"prepare it again with --all-folds --folds {folds}"
            )
        _check_disjoint(own, root)
        known = all(provenance.of(s.image).patient for s in read_list(own[0] / VAL_LIST, root))
        return FoldLists(own, known)
    samples = [
        sample
        for name in (TRAIN_LIST, VAL_LIST)
        if (root / name).is_file() or name == TRAIN_LIST
        for sample in read_list(root / name, root)
    ]
    _refuse_copies(samples, provenance, root)
    return _draw(samples, provenance, root, folds, output, seed)


def _check_disjoint(folders: Sequence[Path], root: Path) -> None:
    seen: dict[Path, str] = {}
    for folder in folders:
        for sample in read_list(folder / VAL_LIST, root):
            if seen.setdefault(sample.image, folder.name) != folder.name:
                raise SclcError(
                    f"{folder / VAL_LIST}: an image must validate in one fold only, but "
                    f"{sample.image.name} does in {seen[sample.image]}, too; prepare the dataset "
                    "again with --all-folds"
                )


def _refuse_copies(samples: Sequence[Sample], provenance: Provenance, root: Path) -> None:
    copies = [s for s in samples if provenance.of(s.image).original not in (None, s.image.stem)]
    if copies:
        raise SclcError(
            f"{root}: has augmented copies ({copies[0].image.name}), made for one split; prepare "
            "it again with --protocol patient --all-folds, which makes the lists of every fold"
        )


def _draw(
    samples: Sequence[Sample],
    provenance: Provenance,
    root: Path,
    folds: int | None,
    output: Path,
    seed: int,
) -> FoldLists:
    origins = {sample.image.stem: provenance.of(sample.image) for sample in samples}
    by_patient = all(origin.patient for origin in origins.values())
    patches = [
        Patch(
            sample.image.stem,
            (by_patient and origins[sample.image.stem].patient) or sample.image.stem,
            float(np.mean(read_mask(sample.mask) == TUMOUR)),
        )
        for sample in samples
    ]
    units = len({patch.patient for patch in patches})
    split = split_patients(patches, folds or min(DEFAULT_FOLDS, units), seed)
    folders = []
    for fold in split.folds:
        sides = split.sides(fold)
        folder = output / f"fold{fold}"
        for name, side in ((TRAIN_LIST, "train"), (VAL_LIST, "val")):
            write_list(folder / name, root, [s for s in samples if sides[s.image.stem] == side])
        folders.append(folder)
    write_split(output / SPLIT, split)
    return FoldLists(folders, by_patient)
