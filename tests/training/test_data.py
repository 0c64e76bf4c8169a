import random
from collections import Counter

import cv2
import numpy as np
import pytest

from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.training.data import SampleStream, SeededDataset, make_loader


def batches(n=5, size=2, iters=10, seed=0, **kwargs):
    return list(SampleStream(n, size, iters, seed, **kwargs))


def test_every_epoch_holds_every_sample_once():
    stream = [index for batch in batches() for _, index in batch]
    for epoch in range(4):
        assert sorted(stream[5 * epoch : 5 * epoch + 5]) == [0, 1, 2, 3, 4]
    assert stream[:5] != stream[5:10]


def test_positions_count_on():
    assert [position for batch in batches() for position, _ in batch] == list(range(20))


def test_seed_decides():
    assert batches(seed=1) == batches(seed=1)
    assert batches(seed=1) != batches(seed=2)


@pytest.mark.parametrize("start", [1, 3, 9])
def test_resumed_stream_goes_on(start):
    assert batches(start_iter=start) == batches()[start:]


def test_batch_larger_than_the_dataset():
    stream = batches(n=2, size=5, iters=4)
    assert all(len(batch) == 5 for batch in stream)
    assert Counter(i for batch in stream for _, i in batch) == {0: 10, 1: 10}


def test_ranks_share_each_global_batch():
    whole = batches(size=4, iters=6)
    shares = [batches(size=2, iters=6, rank=rank, num_ranks=2) for rank in (0, 1)]
    assert [a + b for a, b in zip(*shares, strict=True)] == whole


def test_transforms_are_seeded_by_position_not_by_order():
    class Noise:
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return {"img": (random.random(), np.random.rand(), index), "trans_info": []}

    dataset = SeededDataset(Noise(), seed=7)
    first = dataset[(4, 1)]
    dataset[(5, 0)]
    assert dataset[(4, 1)] == first
    assert dataset[(5, 1)]["img"][:2] != first["img"][:2]
    assert SeededDataset(Noise(), seed=8)[(4, 1)] != first
    assert set(first) == {"img"}


class Images:
    """A dataset whose second image has vanished."""

    file_list = (("a.png", "a_mask.png"), ("b.png", "b_mask.png"))

    def __init__(self, broken=True):
        self.broken = broken

    def __len__(self):
        return 2

    def __getitem__(self, index):
        if index == 1 and self.broken:
            raise AttributeError("'NoneType' object has no attribute 'astype'")
        return {"img": np.full((3, 2, 2), index, np.float32), "label": np.zeros((2, 2), np.uint8)}


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_sample_that_cannot_be_read_is_named_and_does_not_hang(num_workers):
    with pytest.raises(SclcError) as caught:
        list(make_loader(Images(), 1, 4, seed=0, num_workers=num_workers))
    assert str(caught.value).startswith("b.png: the image and its mask must be readable")
    assert "\n" not in str(caught.value)


def test_workers_change_nothing():
    alone, helped = (
        [batch["img"].numpy() for batch in make_loader(Images(False), 2, 3, 0, num_workers=n)]
        for n in (0, 2)
    )
    np.testing.assert_array_equal(alone, helped)
    assert len(alone) == 3


def test_workers_start_after_opencv_has_used_threads():
    """Forked processes must not wait for OpenCV threads that fork does not copy."""

    class Resized(Images):
        def __getitem__(self, index):
            return {"img": cv2.resize(np.zeros((512, 512, 3), np.float32), (8, 8))}

    threads = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        for _ in range(10):
            cv2.GaussianBlur(np.zeros((1000, 1000, 3), np.uint8), (31, 31), 0)
        assert len(list(make_loader(Resized(False), 2, 3, 0, num_workers=2))) == 3
    finally:
        cv2.setNumThreads(threads)
