"""Whom each image of a dataset is of, and how large its pixels are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from paddleseg_sclc.dataset.manifest import MANIFEST, read_manifest
from paddleseg_sclc.dataset.paddleseg_format import read_info
from paddleseg_sclc.errors import UsageError

Unit = Literal["patient", "slide", "patch"]
UNITS: tuple[Unit, ...] = get_args(Unit)
UNIT_PLURALS = {"patient": "patients", "slide": "slides", "patch": "patches"}


@dataclass(frozen=True)
class Origin:
    """Where an image comes from.

    Attributes:
        patient: None where it is not known.
        slide: None where it is not known.
        mpp: micrometres a pixel, (down, across); None where it is not known.
        original: the patch that it is an augmented copy of, or its own name.
    """

    patient: str | None = None
    slide: str | None = None
    mpp: tuple[float, float] | None = None
    original: str | None = None


@dataclass(frozen=True)
class Provenance:
    """What a dataset's manifest.csv, or else its dataset.json, says of its images.

    Attributes:
        origins: name of the patch (its file's stem) -> origin.
        protocol: `patient` or `paper`; None where it is not known.
    """

    origins: Mapping[str, Origin]
    protocol: str | None = None

    def of(self, image: str | Path) -> Origin:
        """The origin of an image file; empty where the dataset does not know it."""
        return self.origins.get(Path(image).stem, Origin())


def read_provenance(root: Path) -> Provenance:
    """Read what a dataset folder says of its images; it may say nothing.

    Raises:
        SclcError: a file is there and cannot be read.
    """
    info = read_info(root)
    protocol = (
        info.get("split", {}).get("protocol") if isinstance(info.get("split"), dict) else None
    )
    if (root / MANIFEST).is_file():
        rows, _ = read_manifest(root)
        return Provenance(
            {
                row.name: Origin(
                    row.patient, row.slide, (row.mpp_y, row.mpp_x), row.variant_of or row.name
                )
                for row in rows
            },
            protocol,
        )
    groups = info.get("groups")
    if not isinstance(groups, dict):
        return Provenance({}, protocol)
    # Without a groups file each patch is its own group, which says nothing of patients.
    known = any(name != group for name, group in groups.items())
    return Provenance(
        {name: Origin(str(group) if known else None) for name, group in groups.items()},
        protocol or ("patient" if known else None),
    )


def choose_unit(origins: Sequence[Origin], wanted: str | None = None) -> Unit:
    """What is drawn by the bootstrap: patients where all are known, else slides, else patches.

    Raises:
        UsageError: the unit asked for is not known of every image.
    """
    known: dict[Unit, bool] = {
        "patient": all(origin.patient for origin in origins),
        "slide": all(origin.slide for origin in origins),
        "patch": True,
    }
    for unit in UNITS:
        if wanted == unit and not known[unit]:
            raise UsageError(
                f"--unit {unit}: the {unit} of every image must be known, but is not; give the "
                "dataset a manifest.csv (tools/prepare_dataset.py) or groups "
                "(tools/import_patches.py --groups), or pass --unit patch"
            )
    return next(u for u in UNITS if known[u] and wanted in (None, u))


def unit_of(origin: Origin, unit: Unit, image: str) -> str:
    """The name of an image's unit; copies of one patch are one patch."""
    name = {"patient": origin.patient, "slide": origin.slide, "patch": origin.original}[unit]
    return name or Path(image).stem
