"""A tiny dataset that a tiny network learns."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from paddleseg_sclc.dataset.paddleseg_format import write_list, write_sample


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory) -> Path:
    """Six 32x32 images with a dark square of class 1; four to train on."""
    root = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(0)
    samples = []
    for i in range(6):
        mask = np.zeros((32, 32), np.uint8)
        y, x = rng.integers(0, 16, 2)
        mask[y : y + 16, x : x + 16] = 1
        image = np.where(mask[..., None] == 1, 90, 220) + rng.integers(-20, 20, (32, 32, 3))
        samples.append(write_sample(root, f"case_{i}", image.astype(np.uint8), mask))
    write_list(root / "train.txt", root, samples[:4])
    write_list(root / "val.txt", root, samples[4:])
    return root


@pytest.fixture
def tiny_config(tmp_path, tiny_dataset):
    """Write a config of a tiny network; keyword arguments replace top-level values."""

    def write(name: str = "tiny.yml", **changes) -> Path:
        transforms = [{"type": "RandomHorizontalFlip"}, {"type": "Normalize"}]
        common = {"type": "Dataset", "dataset_root": str(tiny_dataset), "num_classes": 2}
        config = {
            "batch_size": 2,
            "iters": 6,
            "train_dataset": {
                **common,
                "train_path": str(tiny_dataset / "train.txt"),
                "mode": "train",
                "transforms": transforms,
            },
            "val_dataset": {
                **common,
                "val_path": str(tiny_dataset / "val.txt"),
                "mode": "val",
                "transforms": transforms[1:],
            },
            "optimizer": {"type": "SGD", "momentum": 0.9, "weight_decay": 4e-5},
            "lr_scheduler": {"type": "PolynomialDecay", "learning_rate": 0.05, "power": 0.9},
            "loss": {"types": [{"type": "DiceCELoss"}], "coef": [1]},
            "model": {"type": "MSUNet", "num_classes": 2, "num_blocks": 1, "base_channels": 4},
        }
        config = {k: v for k, v in {**config, **changes}.items() if v is not None}
        path = tmp_path / name
        path.write_text(yaml.safe_dump(config))
        return path

    return write
