import random
from collections import Counter

import numpy as np
import pytest

from paddleseg_sclc.training.data import SampleStream, SeededDataset


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
