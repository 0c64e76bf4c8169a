"""Train or validate: the two protocols on patches and their copies, and the lists."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from paddleseg_sclc.dataset.manifest import PatchRow
from paddleseg_sclc.dataset.paddleseg_format import (
    IMAGES,
    MASKS,
    TRAIN_LIST,
    VAL_LIST,
    Sample,
    write_list,
)
from paddleseg_sclc.dataset.split import (
    Patch,
    Side,
    Split,
    fitted,
    read_split,
    split_paper,
    split_patients,
)
from paddleseg_sclc.errors import UsageError

Protocol = Literal["patient", "paper"]
SPLIT = "split.csv"
FOLDS = "folds"
DEFAULT_FOLDS = 5


@dataclass(frozen=True)
class SplitOptions:
    """How patches are split.

    Attributes:
        protocol: `patient`: whole patients, originals only, and copies of training patches only;
            `paper`: everything shuffled, copies too.
        folds: patient: how many; None for five, or as many as there are patients if fewer.
        fold: patient: which one validates.
        all_folds: patient: write the lists of every fold, for cross-validation.
        val_count: paper: patches that validate, in place of one in 31.
        file: a split to use instead of drawing one.
        seed: of the draw.
    """

    protocol: Protocol = "patient"
    folds: int | None = None
    fold: int = 0
    all_folds: bool = False
    val_count: int | None = None
    file: Path | None = None
    seed: int = 0


def check_options(options: SplitOptions, patients: int) -> None:
    """Check what can be before the work begins.

    Args:
        options: of the split.
        patients: how many there will be at most.

    Raises:
        UsageError: the options contradict one another, or there are too few patients.
    """
    if options.protocol == "paper":
        if options.folds is not None or options.fold or options.all_folds:
            raise UsageError("--folds, --fold, --all-folds: belong to --protocol patient")
        return
    if options.val_count is not None:
        raise UsageError("--val-count: belongs to --protocol paper; pass --folds")
    if options.file is not None:
        return
    if patients < 2:
        raise UsageError(
            f"--protocol patient: validation needs a second patient, got {patients}; add slides, "
            "name patients by --patients, or pass --protocol paper"
        )
    folds = number_of_folds(options, patients)
    if not 0 <= options.fold < folds <= patients or folds < 2:
        raise UsageError(
            f"--folds, --fold: must be 2 to {patients} folds (the patients) and one of them, got "
            f"{folds} and {options.fold}"
        )


def number_of_folds(options: SplitOptions, patients: int) -> int:
    """The folds asked for, else five, or as many as there are patients."""
    return min(DEFAULT_FOLDS, patients) if options.folds is None else options.folds


def split_originals(rows: Sequence[PatchRow], options: SplitOptions) -> Split:
    """Split by patient.

    Args:
        rows: originals.
        options: of the split.

    Raises:
        UsageError: there are too few patients, or the fold does not validate.
        SclcError: the split file does not fit.
    """
    patches = [Patch(row.name, row.patient, row.tumour_share) for row in rows]
    if options.file is not None:
        split = fitted(read_split(options.file), patches, options.file)
        if options.fold not in split.folds:
            raise UsageError(
                f"{options.file}: fold {options.fold} must have patches, but only folds "
                f"{', '.join(map(str, split.folds)) or '(none)'} do; pass --fold"
            )
        return split
    patients = len({row.patient for row in rows})
    return split_patients(patches, number_of_folds(options, patients), options.seed)


def split_all(rows: Sequence[PatchRow], options: SplitOptions) -> Split:
    """Split as the paper did.

    Args:
        rows: originals and copies.
        options: of the split.

    Raises:
        UsageError: a side would be empty.
        SclcError: the split file does not fit.
    """
    patches = [Patch(row.name, row.patient, row.tumour_share) for row in rows]
    if options.file is not None:
        return fitted(read_split(options.file), patches, options.file)
    return split_paper(patches, options.seed, options.val_count)


def side_of_each(
    rows: Iterable[PatchRow], split: Split, protocol: Protocol, fold: int
) -> dict[str, Side]:
    """Name -> `train` or `val`, for the patches that are on a side.

    Under `patient` a copy is where its original is, but never validates.
    """
    sides = split.sides(fold)
    if protocol == "paper":
        return sides
    found: dict[str, Side] = {}
    for row in rows:
        side = sides.get(row.variant_of or row.name)
        if side is not None and not (row.variant and side == "val"):
            found[row.name] = side
    return found


def warnings_of(split: Split, options: SplitOptions) -> list[str]:
    """What the user must know of this split."""
    straddlers = split.straddlers(options.fold)
    if not straddlers:
        return []
    patients = len({member.patient for member in split.members})
    if options.protocol == "paper":
        return [
            f"--protocol paper leaks: {len(straddlers)} of {patients} patients, and copies of one "
            "patch, are on both sides, so validation figures come out too good; they compare with "
            "the paper's table only. --protocol patient shows how a network does on new patients"
        ]
    return [
        f"the split has patches of {', '.join(straddlers[:5])} ({len(straddlers)} of {patients} "
        "patients) on both sides, so validation figures come out too good"
    ]


def write_sides(
    folder: Path, root: Path, rows: Sequence[PatchRow], sides: Mapping[str, str]
) -> None:
    """Write train.txt and val.txt.

    Args:
        folder: to write them to.
        root: the dataset, which paths are relative to.
        rows: in the order of the lists.
        sides: name -> `train` or `val`.

    Raises:
        UsageError: a list would be empty.
    """
    for name, side in ((TRAIN_LIST, "train"), (VAL_LIST, "val")):
        chosen = [row.name for row in rows if sides.get(row.name) == side]
        if not chosen:
            raise UsageError(f"split: the {side} side must have patches, but has none")
        files = ((f"{IMAGES}/{n}.png", f"{MASKS}/{n}.png") for n in chosen)
        write_list(folder / name, root, (Sample(root / i, root / m) for i, m in files))
