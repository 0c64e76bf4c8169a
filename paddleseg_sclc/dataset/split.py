"""Which patches train and which validate.

Two protocols. `paper`: all patches, copies included, are shuffled and one in 31 validates; copies
of one patch, and patches of one patient, then stand on both sides, and figures come out too good.
`patients`: whole patients go to k folds, alike in number of patches and in how much of them is
tumour; a fold validates and the others train.

A split is a CSV file that can be read, edited and used again.
"""

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.files import atomic_path

Side = Literal["train", "val"]
# The paper's ratio of 30:1.
PAPER_PARTS = 31
STRATA = 4
NEITHER = "-"
_COLUMNS = ("patch", "patient", "fold")


@dataclass(frozen=True)
class Patch:
    """What a split has to know of a patch.

    Attributes:
        name: its own.
        patient: whom it is of, or the slide where that is not known.
        tumour_share: part of its pixels that is tumour, 0 to 1.
    """

    name: str
    patient: str
    tumour_share: float = 0.0


@dataclass(frozen=True)
class Member:
    """A patch's place in a split.

    Attributes:
        patch: its name.
        patient: whom it is of.
        fold: it validates when this fold does, else it trains; None: it always trains.
        used: False leaves it out of both sides.
    """

    patch: str
    patient: str
    fold: int | None
    used: bool = True


@dataclass(frozen=True)
class Split:
    """Patches and their folds, in the order of the file."""

    members: tuple[Member, ...]

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds that can validate, in order."""
        return tuple(sorted({m.fold for m in self.members if m.used and m.fold is not None}))

    def sides(self, fold: int = 0) -> dict[str, Side]:
        """Each used patch's side when `fold` validates."""
        return {m.patch: "val" if m.fold == fold else "train" for m in self.members if m.used}

    def straddlers(self, fold: int = 0) -> list[str]:
        """Patients with patches on both sides, whom the network so gets to know."""
        sides = self.sides(fold)
        seen = defaultdict(set)
        for member in self.members:
            if member.used:
                seen[member.patient].add(sides[member.patch])
        return sorted(patient for patient, both in seen.items() if len(both) > 1)


def split_paper(patches: Iterable[Patch], seed: int = 0, val_count: int | None = None) -> Split:
    """The paper's protocol: one patch in 31, drawn from all, validates (fold 0).

    Args:
        patches: all, augmented copies included. Their order does not matter.
        seed: of the draw.
        val_count: how many validate, in place of n // 31.

    Raises:
        UsageError: that would leave a side empty.
    """
    ordered = _ordered(patches)
    count = len(ordered) // PAPER_PARTS if val_count is None else val_count
    if not 0 < count < len(ordered):
        raise UsageError(
            f"--val-count: validation must have from 1 to {len(ordered) - 1} patches of "
            f"{len(ordered)}, got {count}"
            + ("; one in 31 is none here, pass a number" if val_count is None else "")
        )
    chosen = np.random.default_rng(seed).permutation(len(ordered))[:count]
    drawn = set(chosen.tolist())
    return Split(
        tuple(
            Member(patch.name, patch.patient, 0 if index in drawn else None)
            for index, patch in enumerate(ordered)
        )
    )


def split_patients(patches: Iterable[Patch], folds: int = 5, seed: int = 0) -> Split:
    """Split whole patients into folds alike in patches and tumour.

    Patches are put into strata by their share of tumour; then patients, largest first, go one by
    one to the fold that still lacks most of what they bring.

    Args:
        patches: originals only: copies follow them. Their order does not matter.
        folds: how many.
        seed: of the order among patients with equally many patches.

    Raises:
        UsageError: fewer than two folds, or more than there are patients.
    """
    ordered = _ordered(patches)
    patients = sorted({patch.patient for patch in ordered})
    if not 2 <= folds <= len(patients):
        raise UsageError(
            f"--folds: must be from 2 to the number of patients, {len(patients)}, got {folds}"
            + ("" if len(patients) > 1 else "; validation needs a second patient")
        )
    stratum = _strata([patch.tumour_share for patch in ordered], folds)
    row_of = {patient: row for row, patient in enumerate(patients)}
    # A column a stratum, then all patches, then all tumour: each is to be spread evenly.
    brings = np.zeros((len(patients), stratum.max() + 3))
    for patch, s in zip(ordered, stratum, strict=True):
        brings[row_of[patch.patient], [s, -2, -1]] += 1, 1, patch.tumour_share
    brings /= np.maximum(brings.sum(axis=0), 1e-12)
    fold_of = _dealt(brings, folds, np.random.default_rng(seed))
    return Split(tuple(Member(p.name, p.patient, int(fold_of[row_of[p.patient]])) for p in ordered))


def _ordered(patches: Iterable[Patch]) -> list[Patch]:
    ordered = sorted(patches, key=lambda patch: patch.name)
    twice = [name for name, count in Counter(p.name for p in ordered).items() if count > 1]
    if twice:
        raise ValueError(f"split: names of patches must differ, got {twice[0]} twice")
    return ordered


def _strata(shares: Sequence[float], folds: int) -> NDArray[np.int64]:
    """(n,) stratum of each patch: 0 without tumour, then equal parts by rank.

    There are no more strata than leave enough patches in each to go round the folds.
    """
    values = np.asarray(shares)
    stratum = np.zeros(len(values), np.int64)
    some = np.flatnonzero(values > 0)
    parts = max(1, min(STRATA - 1, len(some) // folds))
    rank = np.argsort(np.argsort(values[some], kind="stable"), kind="stable")
    stratum[some] = rank * parts // max(len(some), 1) + (len(some) < len(values))
    return stratum


def _dealt(brings: NDArray, folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The fold of each patient.

    Args:
        brings: (patients, quantities) a patient's part of all there is of each quantity.
        folds: how many; each gets a patient at least.
        rng: breaks ties.
    """
    held = np.zeros((folds, brings.shape[1]))
    fold_of = np.full(len(brings), -1)
    shuffled = rng.permutation(len(brings))
    by_size = shuffled[np.argsort(-brings.sum(axis=1)[shuffled], kind="stable")]
    for left, patient in zip(range(len(brings), 0, -1), by_size, strict=True):
        empty = np.flatnonzero(np.bincount(fold_of[fold_of >= 0], minlength=folds) == 0)
        candidates = empty if len(empty) >= left else np.arange(folds)
        cost = ((held[candidates] + brings[patient]) ** 2 - held[candidates] ** 2).sum(axis=1)
        best = candidates[np.flatnonzero(cost <= cost.min() + 1e-12)]
        fold_of[patient] = rng.choice(best)
        held[fold_of[patient]] += brings[patient]
    return fold_of


def write_split(path: str | os.PathLike[str], split: Split) -> None:
    """Write a split: `patch,patient,fold` a line.

    An empty fold always trains, `-` is on neither side.

    Raises:
        SclcError: the file cannot be written.
    """
    with (
        atomic_path(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for member in split.members:
            fold = NEITHER if not member.used else "" if member.fold is None else member.fold
            writer.writerow((member.patch, member.patient, fold))


def read_split(path: str | os.PathLike[str]) -> Split:
    """Read a split, maybe edited by hand.

    Raises:
        SclcError: it cannot be read, has other columns, a fold that is no number, or a patch twice.
    """
    path = Path(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise SclcError(f"{path}: a split must be a UTF-8 CSV file: {reason}") from error
    if not rows or tuple(cell.strip() for cell in rows[0]) != _COLUMNS:
        got = ",".join(rows[0])[:80] if rows else "nothing"
        raise SclcError(f"{path}: the first line must be {','.join(_COLUMNS)}, got {got!r}")
    members: dict[str, Member] = {}
    for number, row in enumerate(rows[1:], start=2):
        member = _parse_row(path, number, row)
        if member.patch in members:
            raise SclcError(f"{path}: line {number}: a patch must stand once, got {member.patch} "
                            "again; remove a line")  # fmt: skip
        members[member.patch] = member
    return Split(tuple(members.values()))


def _parse_row(path: Path, number: int, row: list[str]) -> Member:
    cells = [cell.strip() for cell in row]
    if len(cells) != len(_COLUMNS) or not cells[0]:
        raise SclcError(
            f"{path}: line {number} must be patch,patient,fold, got {','.join(row)[:80]!r}"
        )
    patch, patient, fold = cells
    if fold == NEITHER:
        return Member(patch, patient, None, used=False)
    if fold and not (fold.isascii() and fold.isdecimal() and len(fold) <= 6):
        raise SclcError(
            f"{path}: line {number}: fold must be a number, empty (always trains) or {NEITHER} "
            f"(on neither side), got {fold[:40]!r}"
        )
    return Member(patch, patient, int(fold) if fold else None)


def fitted(split: Split, patches: Iterable[Patch], where: object) -> Split:
    """A split read from a file, checked against the patches that there are.

    Args:
        split: as read.
        patches: those of the dataset.
        where: the file, for messages.

    Returns:
        The split, patients as the dataset has them.

    Raises:
        SclcError: a patch has no line, or a line no patch.
    """
    patient_of: Mapping[str, str] = {patch.name: patch.patient for patch in patches}
    missing = sorted(set(patient_of) - {member.patch for member in split.members})
    if missing:
        raise SclcError(
            f"{where}: every patch must have a line, but {', '.join(missing[:5])} "
            f"({len(missing)} in all) has none; add it, with {NEITHER} for neither side"
        )
    unknown = [member.patch for member in split.members if member.patch not in patient_of]
    if unknown:
        raise SclcError(
            f"{where}: every line must name a patch, but {', '.join(unknown[:5])} "
            f"({len(unknown)} in all) is none; remove it"
        )
    return Split(tuple(Member(m.patch, patient_of[m.patch], m.fold, m.used) for m in split.members))
