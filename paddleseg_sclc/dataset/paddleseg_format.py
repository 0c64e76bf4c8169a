"""A PaddleSeg dataset on disk: images, masks, and one list a side of the split.

DIR/images/NAME.png   RGB, 8-bit
DIR/masks/NAME.png    one channel, 8-bit, the class of each pixel (0, 1, ...; 255 is ignored)
DIR/train.txt         `images/NAME.png masks/NAME.png` a line
DIR/val.txt           the same
DIR/dataset.json      classes and where the patches come from
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.files import atomic_path

IMAGES = "images"
MASKS = "masks"
TRAIN_LIST = "train.txt"
VAL_LIST = "val.txt"
INFO = "dataset.json"
# In a dataset or a run folder: the normaliser, unfitted.
STAIN_TARGET = "stain_target.json"
CLASSES = ("background", "tumour")
IGNORE_INDEX = 255
# A patch is a training sample; something this large is a slide or an attack on memory.
MAX_PIXELS = 200_000_000


@dataclass(frozen=True)
class Sample:
    """An image and its mask.

    Attributes:
        image: path of the image.
        mask: path of the mask.
    """

    image: Path
    mask: Path


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file as RGB, (H, W, 3) uint8; a transparent pixel is white.

    Raises:
        SclcError: the file is missing, no image, damaged or larger than 200 megapixels.
    """
    with _open_image(path, "an image") as image:
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            rgba = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
        elif image.mode.startswith(("I", "F")):
            raise SclcError(
                f"{path}: an image must have 8 bits a channel, got mode {image.mode}; "
                "convert it to 8-bit RGB"
            )
        return np.array(image.convert("RGB"))


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Read a mask file, (H, W) uint8: the values of a grey or palette image as they are.

    A colour image whose channels are equal counts as grey.

    Raises:
        SclcError: the file is missing, no image, damaged, too large or has no single channel.
    """
    with _open_image(path, "a mask") as image:
        if image.mode in ("1", "L", "P"):
            values = np.array(image.convert("L") if image.mode == "1" else image)
        elif image.mode in ("LA", "RGB", "RGBA"):
            channels = np.array(image.convert("RGB"))
            if (channels != channels[..., :1]).any():
                raise SclcError(
                    f"{path}: a mask must be grey, got a colour image; save it with one channel"
                )
            values = channels[..., 0]
        else:
            raise SclcError(
                f"{path}: a mask must have one 8-bit channel, got mode {image.mode}; "
                "save it as 8-bit grey"
            )
    return np.ascontiguousarray(values.astype(np.uint8))


@contextmanager
def _open_image(path: Path, what: str) -> Iterator[Image.Image]:
    """Yield a PIL image that is decoded whole; whatever fails becomes a SclcError."""
    if not path.is_file():
        raise SclcError(f"{path}: {what} must be here, but there is no such file")
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise SclcError(
                    f"{path}: {what} must have at most {MAX_PIXELS // 10**6} megapixels, "
                    f"got {width}x{height}; cut it into patches first"
                )
            image.load()
    except SclcError:
        raise
    except Exception as error:  # PIL raises anything from SyntaxError to struct.error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SclcError(
            f"{path}: {what} must be a readable PNG, JPEG, TIFF or BMP, but reading failed "
            f"({reason}); replace the file"
        ) from error
    yield image


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an image as PNG: RGB of (H, W, 3) or one channel of (H, W), uint8.

    Raises:
        SclcError: the file cannot be written.
    """
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    # imencode, not imwrite: the latter loses names that are not ASCII on Windows, and is silent
    # on a full disk.
    _, encoded = cv2.imencode(".png", pixels)
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def write_sample(
    root: Path, name: str, image: NDArray[np.uint8], mask: NDArray[np.uint8]
) -> Sample:
    """Write an image and its mask as `images/NAME.png` and `masks/NAME.png` under `root`.

    Args:
        root: dataset folder.
        name: file name without suffix; see `check_name`.
        image: (H, W, 3) uint8, RGB.
        mask: (H, W) uint8, classes.

    Raises:
        ValueError: image and mask have not one size.
        SclcError: the name cannot stand in a list, or a file cannot be written.
    """
    check_name(name)
    if image.shape[:2] != mask.shape:
        raise ValueError(f"write_sample: {name}: image {image.shape} and mask {mask.shape} differ")
    sample = Sample(root / IMAGES / f"{name}.png", root / MASKS / f"{name}.png")
    write_png(sample.image, image)
    write_png(sample.mask, mask)
    return sample


def check_name(name: str) -> None:
    """Check that a sample's name is a plain file name that PaddleSeg's lists can hold.

    Raises:
        SclcError: it is empty, holds white space or a separator, or starts with a dot.
    """
    if not name or any(c.isspace() or c in "/\\\0" for c in name) or name.startswith("."):
        raise SclcError(
            f"{name!r}: a patch's name must have no white space (PaddleSeg's lists are split at "
            "it), no slash and no leading dot; rename the file"
        )


def write_list(path: Path, root: Path, samples: Iterable[Sample]) -> None:
    """Write a PaddleSeg list, paths relative to `root`, one sample a line."""
    lines = [
        f"{sample.image.relative_to(root).as_posix()} {sample.mask.relative_to(root).as_posix()}\n"
        for sample in samples
    ]
    with atomic_path(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def read_list(path: Path, root: Path, separator: str = " ") -> list[Sample]:
    """Read a PaddleSeg list.

    Args:
        path: the list.
        root: what its paths are relative to.
        separator: what stands between image and mask.

    Raises:
        SclcError: it is missing, empty, not text, or a line has not two paths.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise SclcError(
            f"{path}: the dataset's list is not there; make the dataset first with "
            "tools/prepare_dataset.py (from slides) or tools/import_patches.py (from patches)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SclcError(f"{path}: a list must be a UTF-8 text file ({error})") from error
    samples = []
    for number, line in enumerate(lines, 1):
        items = line.strip().split(separator)
        if len(items) != 2:
            raise SclcError(
                f"{path}: line {number}: must be `image mask`, got {line.strip()!r}; "
                "names must hold no blank"
            )
        samples.append(Sample(root / items[0], root / items[1]))
    if not samples:
        raise SclcError(f"{path}: the list must name at least one image, got an empty file")
    return samples


def check_samples(
    samples: Sequence[Sample], num_classes: int, ignore_index: int = IGNORE_INDEX
) -> None:
    """Read every sample and check that the mask fits the image and holds classes only.

    Raises:
        SclcError: the first sample (in list order) that is missing, unreadable, of two sizes or
            has a mask value that is neither a class nor `ignore_index`.
    """
    allowed = {*range(num_classes), ignore_index}

    def check(sample: Sample) -> None:
        # What PaddleSeg does: OpenCV reads images, PIL reads masks.
        image = read_image(sample.image)
        mask = read_mask(sample.mask)
        check_mask_size(sample.mask, mask, sample.image, image)
        values = set(np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist())
        if not values <= allowed:
            raise SclcError(
                f"{sample.mask}: a mask must hold the values 0 to {num_classes - 1} "
                f"({ignore_index} is ignored), got {sorted(values - allowed)[:5]}; "
                "tools/import_patches.py converts 0/255 masks"
            )

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(check, samples):
            pass


def check_mask_size(
    mask_path: Path, mask: NDArray[np.uint8], image_path: Path, image: NDArray[np.uint8]
) -> None:
    """Check that a mask has its image's size.

    Raises:
        SclcError: it has not.
    """
    if mask.shape != image.shape[:2]:
        raise SclcError(
            f"{mask_path}: a mask must have the size of its image {image_path.name} "
            f"({image.shape[1]}x{image.shape[0]}), got {mask.shape[1]}x{mask.shape[0]}"
        )


def write_info(root: Path, source: Mapping[str, Any]) -> None:
    """Write dataset.json: the classes, and `source`, which says where the patches come from."""
    info = {"classes": list(CLASSES), "ignore_index": IGNORE_INDEX, **source}
    with atomic_path(root / INFO) as temporary:
        temporary.write_text(
            json.dumps(info, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def read_info(root: Path) -> dict[str, Any]:
    """Read the dataset.json of a dataset or a run folder; empty where there is none.

    Raises:
        SclcError: it cannot be read, or is no JSON object.
    """
    path = root / INFO
    if not path.is_file():
        return {}
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SclcError(f"{path}: must be JSON, as our tools write it ({error})") from error
    if not isinstance(info, dict):
        raise SclcError(f"{path}: must be a JSON object, as our tools write it")
    return info
