"""A dataset with manifest and ready predictions of two programs; no network is needed."""

import csv
import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from scipy import ndimage

from paddleseg_sclc.dataset.manifest import PatchRow
from paddleseg_sclc.dataset.paddleseg_format import write_list, write_png, write_sample

SIZE = (48, 64)
MPP = (0.5, 0.75)  # across, down


def blob(rng: np.random.Generator, sigma: float = 6.0) -> np.ndarray:
    return ndimage.gaussian_filter(rng.normal(size=SIZE), sigma) > 0


@dataclass
class Case:
    """A dataset, the predictions of two programs, and what is known of them."""

    root: Path
    good: Path
    bad: Path
    names: list[str]
    labels: dict[str, np.ndarray]
    preds: dict[str, np.ndarray]
    probs: dict[str, np.ndarray]


def write_case(root: Path, patients: int = 6, per_patient: int = 2) -> Case:
    rng = np.random.default_rng(0)
    data, good, bad = root / "data", root / "good", root / "bad"
    names, samples, rows = [], [], []
    labels, preds, probs = {}, {}, {}
    for patient in range(patients):
        for index in range(per_patient):
            name = f"p{patient}_{index}"
            label = blob(rng).astype(np.uint8)
            image = np.where(label[..., None] == 1, 90, 210) + rng.integers(-30, 30, (*SIZE, 3))
            shifted = np.roll(label, 2 + patient % 3, axis=1)
            noise = np.where(rng.random(SIZE) < 0.02, 1 - shifted, shifted)
            prob = np.clip(0.15 + 0.7 * noise + rng.normal(0, 0.08, SIZE), 0, 1)
            pred = (prob > 0.5).astype(np.uint8)
            if name != "p0_0":
                label[:4, :5] = 255
            samples.append(write_sample(data, name, image.astype(np.uint8), label))
            write_png(good / "mask" / f"images/{name}.png", pred)
            levels = np.round(prob * 65535).astype(np.uint16)
            write_png(good / "probability" / f"images/{name}.png", levels)
            write_png(bad / f"{name}.png", blob(rng).astype(np.uint8) * 255)
            names.append(name)
            labels[name], preds[name], probs[name] = label, pred, levels / 65535
            rows.append(manifest_row(name, f"patient{patient}"))
    write_list(data / "val.txt", data, samples)
    write_list(data / "train.txt", data, samples[:1])
    write_manifest_rows(data, rows)
    (data / "dataset.json").write_text(
        json.dumps({"classes": ["background", "tumour"], "split": {"protocol": "patient"}})
    )
    return Case(data, good, bad, names, labels, preds, probs)


def manifest_row(name: str, patient: str, **changes: object) -> dict[str, object]:
    row: dict[str, object] = {field.name: "" for field in fields(PatchRow)}
    numbers = ("x_l0", "y_l0", "width_l0", "height_l0", "tumour_share", "ignored_share")
    row |= dict.fromkeys(numbers, 0.0)
    row |= {"name": name, "slide": f"{patient}_slide", "patient": patient, "origin": "tile"}
    return row | {"mpp_x": MPP[0], "mpp_y": MPP[1], "side": "val"} | changes


def write_manifest_rows(root: Path, rows: list[dict[str, object]]) -> None:
    with open(root / "manifest.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
