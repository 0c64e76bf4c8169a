"""Folders of images and masks, as the paper's authors released theirs, made a PaddleSeg dataset."""

import csv
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from paddleseg_sclc.dataset.paddleseg_format import (
    TRAIN_LIST,
    VAL_LIST,
    Sample,
    check_mask_size,
    check_name,
    read_image,
    read_mask,
    write_info,
    write_list,
    write_sample,
)
from paddleseg_sclc.dataset.sides import SPLIT
from paddleseg_sclc.dataset.split import (
    Member,
    Patch,
    Side,
    Split,
    split_patients,
    write_split,
)
from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.files import make_folder, write_error

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
# JPEG spreads a 0/255 edge a little; what is further from both is no such mask.
JPEG_TOLERANCE = 32


def import_patches(
    images: Path,
    masks: Path,
    output: Path,
    groups: Path | None = None,
    val_fraction: float = 0.2,
    val_groups: Sequence[str] | None = None,
    seed: int = 0,
) -> tuple[list[Sample], list[Sample]]:
    """Check every pair, then write the dataset, which is whole or not there.

    Args:
        images: folder of images.
        masks: folder of masks, 0/1 or 0/255, each with the name (but for the suffix) and the
            size of its image.
        output: dataset folder; must not hold anything yet.
        groups: CSV of patch and group (patient); None takes each patch as its own group.
        val_fraction: share of the patches for validation, as near as whole groups allow; the
            sides are made alike in how much is tumour.
        val_groups: the groups to validate on, in place of a draw.
        seed: of the draw.

    Returns:
        The samples to train and to validate on.

    Raises:
        UsageError: `output` is taken, or the split leaves a side without patches.
        SclcError: something is wrong with the files; a line for each fault.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output}: holds something already; remove it or choose another folder")
    pairs = _find_pairs(images, masks)
    group_of = _read_groups(groups, list(pairs)) if groups else {name: name for name in pairs}
    shares = _tumour_shares(pairs)
    patches = [Patch(name, group_of[name], shares[name]) for name in pairs]
    split = _split(patches, val_fraction, val_groups, seed)
    side_of = split.sides()

    make_folder(output.parent)
    part = output.with_name(f".{output.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        sides: dict[Side, list[Sample]] = {"train": [], "val": []}
        for name, pair in tqdm(pairs.items(), "import", unit="patch", disable=None, leave=False):
            image, mask = _read_pair(*pair)
            sides[side_of[name]].append(write_sample(part, name, image, mask))
        write_list(part / TRAIN_LIST, part, sides["train"])
        write_list(part / VAL_LIST, part, sides["val"])
        write_split(part / SPLIT, split)
        write_info(
            part,
            {
                "made_by": "tools/import_patches.py",
                "images": str(images),
                "masks": str(masks),
                "seed": seed,
                "groups": group_of,
            },
        )
        if output.exists():
            output.rmdir()
        part.rename(output)
    except OSError as error:
        raise write_error(output, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return _moved(sides["train"], part, output), _moved(sides["val"], part, output)


def _moved(samples: Sequence[Sample], source: Path, target: Path) -> list[Sample]:
    return [
        Sample(target / s.image.relative_to(source), target / s.mask.relative_to(source))
        for s in samples
    ]


def _find_pairs(images: Path, masks: Path) -> dict[str, tuple[Path, Path]]:
    """Sample name -> image and mask, sorted by name."""
    image_files, mask_files = _files_by_stem(images), _files_by_stem(masks)
    faults = [
        f"{path}: an image must have a mask of its name in {masks}, but there is none"
        for stem, path in image_files.items()
        if stem not in mask_files
    ]
    faults += [
        f"{path}: a mask must have an image of its name in {images}, but there is none"
        for stem, path in mask_files.items()
        if stem not in image_files
    ]
    pairs: dict[str, tuple[Path, Path]] = {}
    for stem, path in image_files.items():
        name = "_".join(stem.split())
        if name in pairs:
            faults.append(f"{path}: two images must not have one name, but {name} is taken")
        check_name(name)
        pairs[name] = (path, mask_files.get(stem, path))
    if faults:
        raise SclcError("\n".join(faults))
    return dict(sorted(pairs.items()))


def _files_by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder}: must be a folder of images, but there is none")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in files:
            raise SclcError(f"{path}: has the same name as {files[path.stem].name}; remove one")
        files[path.stem] = path
    if not files:
        raise SclcError(f"{folder}: must hold images ({', '.join(SUFFIXES)}), but has none")
    return files


def _tumour_shares(pairs: Mapping[str, tuple[Path, Path]]) -> dict[str, float]:
    """Read every pair, and give each mask's share of tumour; all faults are told at once."""
    faults, shares = [], {}
    for name, pair in tqdm(pairs.items(), "check", unit="patch", disable=None, leave=False):
        try:
            _, mask = _read_pair(*pair)
        except SclcError as error:
            faults.append(str(error))
        else:
            shares[name] = float(mask.mean())
    if faults:
        raise SclcError("\n".join(faults))
    return shares


def _read_pair(image_path: Path, mask_path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The image, and its mask as 0/1."""
    image = read_image(image_path)
    mask = read_mask(mask_path)
    check_mask_size(mask_path, mask, image_path, image)
    values = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    if set(values) <= {0, 1}:
        return image, mask
    lossy = mask_path.suffix.lower() in (".jpg", ".jpeg")
    tolerance = JPEG_TOLERANCE if lossy else 0
    if np.all((values <= tolerance) | (values >= 255 - tolerance)):
        return image, (mask >= 128).astype(np.uint8)
    found = ", ".join(map(str, values[:6])) + (", ..." if len(values) > 6 else "")
    raise SclcError(
        f"{mask_path}: a mask must hold two values, 0 and 1 or 0 and 255, got {len(values)} "
        f"({found}); save background as 0 and tumour as 255"
    )


def _read_groups(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Sample name -> group, for all of `names`."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such groups file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SclcError(f"{path}: a groups file must be UTF-8 CSV ({error})") from error
    if rows and [cell.strip().lower() for cell in rows[0][:1]] == ["patch"]:
        rows = rows[1:]
    group_of: dict[str, str] = {}
    for row in rows:
        if len(row) != 2 or not row[1].strip():
            raise SclcError(f"{path}: a row must be `patch,patient`, got {','.join(row)!r}")
        patch, group = (cell.strip() for cell in row)
        stem = Path(patch).stem if patch.lower().endswith(SUFFIXES) else patch
        name = "_".join(stem.split())
        if group_of.setdefault(name, group) != group:
            raise SclcError(f"{path}: patch {patch} must be in one group, got two")
    unlisted = [name for name in names if name not in group_of]
    if unlisted:
        raise SclcError(
            f"{path}: every patch must have a group, but {', '.join(unlisted[:5])} "
            f"({len(unlisted)} in all) has none; add a row each"
        )
    return {name: group_of[name] for name in names}


def _split(
    patches: Sequence[Patch], fraction: float, val_groups: Sequence[str] | None, seed: int
) -> Split:
    """The split whose fold 0 validates."""
    groups = sorted({patch.patient for patch in patches})
    if val_groups is not None:
        unknown = [group for group in val_groups if group not in groups]
        if unknown:
            raise UsageError(
                f"--val-groups: must name groups, got {', '.join(unknown)}; groups are "
                f"{', '.join(groups)}"
            )
        if set(val_groups) == set(groups):
            raise UsageError("--val-groups: some group must stay to train on, got all of them")
        chosen = set(val_groups)
        return Split(
            tuple(Member(p.name, p.patient, 0 if p.patient in chosen else None) for p in patches)
        )
    if fraction == 0:
        return Split(tuple(Member(p.name, p.patient, None) for p in patches))
    if len(groups) < 2:
        raise UsageError(
            "--val-fraction: validation needs a second group, but all patches are of one; pass 0 "
            "to train without validation"
        )
    # One of k folds is the share nearest to the one asked for that whole groups allow.
    return split_patients(patches, max(2, min(round(1 / fraction), len(groups))), seed)
