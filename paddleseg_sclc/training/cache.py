"""Patches decoded and resized once, and kept in memory.

A 1024x1024 PNG takes longer to decode and shrink than all other on-line transforms together;
256x256 pixels of image and mask take 850 kB (a resized image has fractions). What is kept is the
outcome of the transforms that come first and always give the same (`Resize`); all others run anew
each time.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from paddle.io import Dataset
from paddleseg.transforms import functional

from paddleseg_sclc.errors import SclcError

# Transforms without chance, which make the image smaller or leave it as it is.
_FIXED = ("Resize", "ResizeByLong", "ResizeByShort", "LimitLong", "LimitShort", "Padding")


def cached(dataset: Any, limit_gb: float) -> Any:
    """A dataset that reads its files once, or the dataset itself.

    The same samples come out of both. Datasets of another type than PaddleSeg's `Dataset`, and
    those that would outgrow the limit, stay as they are.

    Args:
        dataset: a PaddleSeg dataset in mode `train`.
        limit_gb: memory to use at most, GB (10^9 bytes).

    Raises:
        SclcError: a file cannot be read.
    """
    if type(dataset).__name__ != "Dataset" or not len(dataset):
        return dataset
    candidate = CachedDataset(dataset)
    if not candidate.fits(limit_gb):
        return dataset
    candidate.fill()
    return candidate


class CachedDataset(Dataset):
    """A PaddleSeg dataset in mode `train`, its files decoded and resized beforehand.

    Args:
        dataset: of PaddleSeg's type `Dataset`; not changed.
    """

    def __init__(self, dataset: Any) -> None:
        super().__init__()
        self.dataset = dataset
        self.file_list = dataset.file_list
        self.ignore_index = dataset.ignore_index
        self.num_classes = dataset.num_classes
        compose = dataset.transforms
        count = _count_fixed(compose.transforms)
        self._first = _with_transforms(compose, compose.transforms[:count])
        self._rest = _with_transforms(compose, compose.transforms[count:])
        self._rest.to_rgb = False  # done by the first
        self._kept: list[tuple[Any, Any, list[Any]] | None] = [None] * len(self.file_list)

    def __len__(self) -> int:
        return len(self.file_list)

    def fits(self, limit_gb: float) -> bool:
        """Whether all samples, as large as the first, stay below a limit in GB; reads it."""
        image, label, _ = self._read(0)
        return bool((image.nbytes + label.nbytes) * len(self) <= limit_gb * 1e9)

    def fill(self) -> None:
        """Read everything. Processes that are forked afterwards share the memory."""
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
        with ThreadPoolExecutor(threads) as pool:
            self._kept = list(pool.map(self._read, range(len(self))))

    def __getitem__(self, index: int) -> dict[str, Any]:
        kept = self._kept[index] or self._read(index)
        image, label, info = kept
        data = {
            "img": image.astype("float32"),
            "label": label.copy(),
            "trans_info": list(info),
            "gt_fields": ["label"],
        }
        data = self._rest(data)
        if self.dataset.edge:
            data["edge"] = functional.mask_to_binary_edge(
                data["label"], radius=2, num_classes=self.num_classes
            )
        return data

    def _read(self, index: int) -> tuple[Any, Any, list[Any]]:
        image_path, label_path = self.file_list[index]
        data = {"img": image_path, "label": label_path, "trans_info": [], "gt_fields": ["label"]}
        try:
            data = self._first(data)
        except Exception as error:  # whatever a transform or a vanished file raises
            raise SclcError(
                f"{image_path}: the image and its mask must be readable and fit the config's "
                f"transforms, got {type(error).__name__}"
            ) from error
        image = np.ascontiguousarray(np.transpose(data["img"], (1, 2, 0)))
        whole = image.astype(np.uint8)
        # A quarter of the memory where nothing was interpolated.
        image = whole if np.array_equal(whole, image) else image
        return image, np.ascontiguousarray(data["label"]), data["trans_info"]


def _count_fixed(transforms: list[Any]) -> int:
    count = 0
    for transform in transforms:
        chance = getattr(transform, "interp", None) == "RANDOM"
        if type(transform).__name__ not in _FIXED or chance:
            break
        count += 1
    return count


def _with_transforms(compose: Any, transforms: list[Any]) -> Any:
    return type(compose)(list(transforms), compose.to_rgb, compose.img_channels)
