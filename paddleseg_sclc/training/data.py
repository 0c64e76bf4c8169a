"""The stream of training samples: a function of the seed and the position alone.

The same seed gives the same samples with the same on-line transforms, whatever the number of
workers, and a resumed run goes on with the sample that the stopped one would have drawn next.
"""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import paddle
from paddle.io import BatchSampler, DataLoader, Dataset


class SeededDataset(Dataset):
    """A dataset indexed by (position in the stream, sample), with transforms seeded by both.

    PaddleSeg's transforms draw from the global generators of Python and NumPy, so these are
    seeded before each sample.

    Args:
        dataset: a PaddleSeg dataset.
        seed: of the run.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        super().__init__()
        self.dataset = dataset
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        position, index = key
        random.seed(f"{self.seed}-{position}")
        np.random.seed(random.getrandbits(32))
        sample = self.dataset[index]
        return {name: sample[name] for name in ("img", "label", "edge") if name in sample}


class SampleStream(BatchSampler):
    """Batches of an endless stream of shuffled epochs.

    Epoch after epoch is drawn without replacement and without a gap: no image is dropped where
    the batch does not divide the epoch (PaddleSeg drops the rest), and a batch may be larger
    than the dataset. With several ranks each takes its share of every global batch.

    Args:
        num_samples: size of the dataset.
        batch_size: samples a batch on one rank.
        iters: iteration after which the stream ends.
        seed: of the run.
        start_iter: iterations done already.
        rank: of this process.
        num_ranks: number of processes.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        iters: int,
        seed: int,
        start_iter: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
    ) -> None:
        # The parent's constructor wants a dataset; what DataLoader reads of it is set here.
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.iters = iters
        self.seed = seed
        self.start_iter = start_iter
        self.rank = rank
        self.num_ranks = num_ranks
        self.drop_last = False

    def __len__(self) -> int:
        return self.iters - self.start_iter

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, order = -1, np.empty(0, np.int64)
        for iteration in range(self.start_iter, self.iters):
            first = (iteration * self.num_ranks + self.rank) * self.batch_size
            batch = []
            for position in range(first, first + self.batch_size):
                if position // self.num_samples != epoch:
                    epoch = position // self.num_samples
                    order = np.random.default_rng([self.seed, epoch]).permutation(self.num_samples)
                batch.append((position, int(order[position % self.num_samples])))
            yield batch


def make_loader(
    dataset: Any, batch_size: int, iters: int, seed: int, start_iter: int = 0, num_workers: int = 0
) -> DataLoader:
    """A loader over the rest of the stream; each batch is a dict of `img`, `label` (and `edge`)."""
    stream = SampleStream(
        len(dataset),
        batch_size,
        iters,
        seed,
        start_iter,
        paddle.distributed.get_rank(),
        paddle.distributed.get_world_size(),
    )
    return DataLoader(
        SeededDataset(dataset, seed),
        batch_sampler=stream,
        num_workers=num_workers,
        return_list=True,
    )
