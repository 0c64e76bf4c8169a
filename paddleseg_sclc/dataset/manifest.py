"""The manifest: a row for each patch, which says where it comes from and what it holds."""

import csv
import hashlib
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.files import atomic_path

MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class PatchRow:
    """One patch.

    Attributes:
        name: of its files, without suffix.
        slide: name of the slide within the dataset.
        patient: whom the slide is of.
        origin: `box`, `tile` or `free`; see `regions.py`.
        annotation: index of the annotation it was cut for, in the file's order; None for tiles.
        annotation_name: as the file gives it.
        annotation_group: name of its group.
        also_shown: indices of the other annotations that reach into it, separated by blanks.
        x_l0: left edge in level-0 pixels.
        y_l0: upper edge.
        width_l0: in level-0 pixels.
        height_l0: in level-0 pixels.
        mpp_x: micrometres a pixel of the patch.
        mpp_y: the same down; differs from mpp_x where the box was stretched.
        tumour_share: part of the pixels that is tumour, ignored ones left out.
        ignored_share: part of the pixels that lies beyond the slide or is padding.
        stain: how the colour was normalised: by the fit of its `slide` or its own (`patch`),
            `none` where it was not asked for, `kept` where it was and could not be done.
        variant: name of the augmentation it was made by; empty for an original.
        variant_of: the original's name; empty for an original.
        image_sha256: of the image file.
        mask_sha256: of the mask file.
    """

    name: str
    slide: str
    patient: str
    origin: str
    annotation: int | None
    annotation_name: str
    annotation_group: str
    also_shown: str
    x_l0: float
    y_l0: float
    width_l0: float
    height_l0: float
    mpp_x: float
    mpp_y: float
    tumour_share: float
    ignored_share: float
    stain: str
    variant: str
    variant_of: str
    image_sha256: str
    mask_sha256: str


def write_manifest(root: Path, rows: Iterable[PatchRow], side_of: Mapping[str, str]) -> None:
    """Write manifest.csv.

    Args:
        root: the dataset.
        rows: in the order they are to stand in.
        side_of: name -> `train` or `val`, or empty where a patch is in neither list.
    """
    with (
        atomic_path(root / MANIFEST) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*_COLUMNS, "side"])
        for row in rows:
            values = [_shown(getattr(row, column)) for column in _COLUMNS]
            writer.writerow([*values, side_of.get(row.name, "")])


def read_manifest(root: Path) -> tuple[list[PatchRow], dict[str, str]]:
    """Read manifest.csv: the rows, and each patch's side.

    Raises:
        SclcError: it is missing or not a manifest of this version.
    """
    path = root / MANIFEST
    try:
        with open(path, newline="", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
    except FileNotFoundError:
        raise SclcError(f"{path}: the dataset has no manifest; only datasets made by "
                        "tools/prepare_dataset.py have one") from None  # fmt: skip
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SclcError(f"{path}: a manifest must be UTF-8 CSV ({error})") from error
    try:
        rows = [PatchRow(**{c: _parsed(c, line[c]) for c in _COLUMNS}) for line in table]
        return rows, {line["name"]: line["side"] for line in table}
    except (KeyError, TypeError, ValueError) as error:
        raise SclcError(
            f"{path}: must have the columns of a manifest, got another table ({error!r}); prepare "
            "the dataset again"
        ) from error


def median_mpp(rows: Sequence[PatchRow]) -> tuple[float, float]:
    """The median micrometres a pixel over patches, (x, y): what slides are predicted at.

    Raises:
        ValueError: no patches.
    """
    return (
        statistics.median(row.mpp_x for row in rows),
        statistics.median(row.mpp_y for row in rows),
    )


def sha256_of(path: Path) -> str:
    """Checksum of a file of any size.

    Raises:
        SclcError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    except OSError as error:
        raise SclcError(f"{path}: cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()


_COLUMNS = tuple(field.name for field in fields(PatchRow))
_NUMBERS = (
    "x_l0", "y_l0", "width_l0", "height_l0", "mpp_x", "mpp_y", "tumour_share", "ignored_share",
)  # fmt: skip


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.12g}"  # without the digits that are rounding
    return "" if value is None else str(value)


def _parsed(column: str, text: str) -> Any:
    if column == "annotation":
        return int(text) if text else None
    return float(text) if column in _NUMBERS else text
