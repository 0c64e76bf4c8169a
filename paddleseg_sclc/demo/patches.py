"""Demo patches: images and 0/255 masks in the form in which the paper's authors released theirs."""

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.demo.layout import random_layout
from paddleseg_sclc.demo.scene import Scene
from paddleseg_sclc.demo.stain import random_stain
from paddleseg_sclc.files import atomic_path, make_folder

JPEG_QUALITY = 88


@dataclass(frozen=True)
class PatchPlan:
    """Which patches to draw.

    Attributes:
        patients: number of patients; each has a stain of its own.
        per_patient: patches a patient.
        size: of a square patch in pixels.
        mpp: micrometres a pixel.
        seed: the same seed gives the same bytes.
    """

    patients: int = 12
    per_patient: int = 4
    size: int = 256
    mpp: float = 4.0
    seed: int = 0


def patient_scene(plan: PatchPlan, patient: int, index: int) -> Scene:
    """The scene of one patch: the patient decides the stain, both decide the tissue."""
    stain = random_stain(np.random.Generator(np.random.PCG64([plan.seed, patient])))
    rng = np.random.Generator(np.random.PCG64([plan.seed, patient, index + 1]))
    side = plan.size * plan.mpp
    return Scene(random_layout(rng, side, side), stain, int(rng.integers(2**31)))


def draw_patch(
    plan: PatchPlan, patient: int, index: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One patch: image (size, size, 3) uint8 RGB, through JPEG, and mask (size, size) uint8 0/1."""
    scene = patient_scene(plan, patient, index)
    region = (0, 0, plan.size, plan.size, plan.mpp)
    bgr = np.ascontiguousarray(scene.render(*region)[..., ::-1])
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    image = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1]
    return np.ascontiguousarray(image), scene.mask(*region)


def write_patches(output: Path, plan: PatchPlan) -> list[str]:
    """Write `images/NAME.png`, `masks/NAME.png` (0/255) and `groups.csv` (patch, patient).

    Args:
        output: folder, made if absent; files of the same names are replaced.
        plan: which patches.

    Returns:
        The names, in order.

    Raises:
        SclcError: the folder cannot be written to.
    """
    images, masks = make_folder(output / "images"), make_folder(output / "masks")
    rows = []
    for patient in range(plan.patients):
        for index in range(plan.per_patient):
            name = f"patient{patient + 1:02d}_{index + 1:02d}"
            image, mask = draw_patch(plan, patient, index)
            _write_png(images / f"{name}.png", np.ascontiguousarray(image[..., ::-1]))
            _write_png(masks / f"{name}.png", mask * np.uint8(255))
            rows.append((f"{name}.png", f"patient{patient + 1:02d}"))
    with atomic_path(output / "groups.csv") as part, part.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("patch", "patient"))
        writer.writerows(rows)
    return [name for name, _ in rows]


def _write_png(path: Path, image: NDArray[np.uint8]) -> None:
    with atomic_path(path) as part:
        part.write_bytes(cv2.imencode(".png", image)[1].tobytes())
