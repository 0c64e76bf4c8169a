"""The augmented copies of one slide's patches. Runs in a process of its own."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from paddleseg_sclc import __version__
from paddleseg_sclc.dataset.augment import AugmentOptions, augment, variant_name
from paddleseg_sclc.dataset.extract import mask_shares
from paddleseg_sclc.dataset.ledger import Ledger, Record
from paddleseg_sclc.dataset.manifest import PatchRow, sha256_of
from paddleseg_sclc.dataset.paddleseg_format import (
    IMAGES,
    MASKS,
    read_image,
    read_mask,
    write_sample,
)


@dataclass(frozen=True)
class VariantTask:
    """Which patches of a slide to make copies of.

    Attributes:
        slide: its name.
        output: the dataset folder.
        rows: the originals.
        options: which variants, and how.
    """

    slide: str
    output: Path
    rows: tuple[PatchRow, ...]
    options: AugmentOptions

    @property
    def name(self) -> str:
        """Of the task in the ledger."""
        return f"copies {self.slide}"

    def key(self) -> dict[str, Any]:
        """All that the copies depend on."""
        return {
            "rows": [asdict(row) for row in self.rows],
            "options": asdict(self.options),
            "version": __version__,
        }


def make_variants(task: VariantTask) -> tuple[PatchRow, ...]:
    """Write the copies of one slide's patches, or find that they are there.

    Returns:
        Their rows, in the order of the originals.

    Raises:
        SclcError: an original cannot be read, or a copy cannot be written.
    """
    ledger, key = Ledger(task.output), task.key()
    record = ledger.finished(task.name, key)
    if record is not None:
        return _rows_of(record)
    names = [variant_name(row.name, kind) for row in task.rows for kind in task.options.variants]
    files = [f"{folder}/{name}.png" for name in names for folder in (IMAGES, MASKS)]
    ledger.begin(task.name, key, files)
    rows = [copy for row in task.rows for copy in _copies(task, row)]
    return _rows_of(ledger.finish(task.name, key, files, {"rows": [asdict(row) for row in rows]}))


def _copies(task: VariantTask, row: PatchRow) -> list[PatchRow]:
    image = read_image(task.output / IMAGES / f"{row.name}.png")
    mask = read_mask(task.output / MASKS / f"{row.name}.png")
    copies = []
    for variant in augment(image, mask, row.name, task.options):
        name = variant_name(row.name, variant.kind)
        sample = write_sample(task.output, name, variant.image, variant.mask)
        tumour, ignored = mask_shares(variant.mask)
        copies.append(
            replace(
                row,
                name=name,
                tumour_share=tumour,
                ignored_share=ignored,
                variant=variant.kind,
                variant_of=row.name,
                image_sha256=sha256_of(sample.image),
                mask_sha256=sha256_of(sample.mask),
            )
        )
    return copies


def _rows_of(record: Record) -> tuple[PatchRow, ...]:
    return tuple(PatchRow(**row) for row in record.result["rows"])
