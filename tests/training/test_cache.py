import random

import numpy as np
import pytest
from paddleseg.datasets import Dataset
from paddleseg.transforms import Normalize, RandomDistort, RandomHorizontalFlip, Resize

from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.training.cache import CachedDataset, cached


def dataset(root, transforms, **arguments):
    train = str(root / "train.txt")
    common = {"mode": "train", "dataset_root": str(root), "num_classes": 2}
    return Dataset(transforms=transforms, train_path=train, **common, **arguments)


def draw(data, index):
    random.seed(index)
    np.random.seed(index)
    return data[index]


@pytest.mark.parametrize("edge", [False, True])
@pytest.mark.parametrize(
    "transforms",
    [
        [Resize((24, 40)), RandomHorizontalFlip(), RandomDistort(), Normalize()],
        [RandomHorizontalFlip(), Resize((24, 40), interp="RANDOM"), Normalize()],
        [Resize((16, 16)), Normalize()],
        [Normalize()],
    ],
)
def test_the_same_samples_come_out(tiny_dataset, transforms, edge):
    plain = dataset(tiny_dataset, transforms, edge=edge)
    kept = cached(plain, 1.0)
    assert isinstance(kept, CachedDataset)
    assert len(kept) == len(plain)
    for index in [0, 1, 2, 3, 0, 1]:
        a, b = draw(plain, index), draw(kept, index)
        for name in ("img", "label", *(["edge"] if edge else [])):
            np.testing.assert_array_equal(a[name], b[name])
            assert a[name].dtype == b[name].dtype


def test_files_are_read_once(tiny_dataset, tmp_path, monkeypatch):
    kept = cached(dataset(tiny_dataset, [Resize((16, 16)), Normalize()]), 1.0)
    import cv2

    monkeypatch.setattr(cv2, "imread", lambda *_: pytest.fail("read again"))
    draw(kept, 0)


def test_what_does_not_fit_stays(tiny_dataset):
    plain = dataset(tiny_dataset, [Resize((64, 64)), Normalize()])
    assert cached(plain, 1e-6) is plain
    assert cached([1, 2], 1.0) == [1, 2]


def test_a_vanished_file_is_named(tiny_dataset):
    plain = dataset(tiny_dataset, [Normalize()])
    plain.file_list[1] = ["gone.png", plain.file_list[1][1]]
    with pytest.raises(SclcError, match=r"gone\.png: the image and its mask must be readable"):
        cached(plain, 1.0)
