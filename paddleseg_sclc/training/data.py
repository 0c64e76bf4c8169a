"""The stream of training samples: a function of the seed and the position alone.

The same seed gives the same samples with the same on-line transforms, whatever the number of
workers, and a resumed run goes on with the sample that the stopped one would have drawn next.
"""

import multiprocessing
import random
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from typing import Any

import cv2
import numpy as np
import paddle
from paddle import Tensor
from paddle.io import Dataset

from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.training.options import TrainingOptions


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
        try:
            sample = self.dataset[index]
        except Exception as error:  # whatever a transform or a vanished file raises
            files = getattr(self.dataset, "file_list", None)
            where = files[index][0] if files else f"sample {index}"
            raise SclcError(
                f"{where}: the image and its mask must be readable and fit the config's "
                f"transforms, got {type(error).__name__}: {_last_line(error)}"
            ) from error
        return {name: sample[name] for name in ("img", "label", "edge") if name in sample}


class SampleStream:
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
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.iters = iters
        self.seed = seed
        self.start_iter = start_iter
        self.rank = rank
        self.num_ranks = num_ranks

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
) -> Generator[dict[str, Tensor], None, None]:
    """Batches of the rest of the stream: dicts of `img`, `label` (and `edge`).

    Raises:
        SclcError: a sample cannot be read or transformed; names its file.
    """
    stream = SampleStream(
        len(dataset),
        batch_size,
        iters,
        seed,
        start_iter,
        paddle.distributed.get_rank(),
        paddle.distributed.get_world_size(),
    )
    seeded = SeededDataset(dataset, seed)
    ahead = max(1, 2 * num_workers)
    pending: deque[Future[dict[str, Any]]] = deque()
    pool = _make_pool(seeded, num_workers)
    try:
        for keys in stream:
            pending.append(pool.submit(_load_batch, keys))
            if len(pending) > ahead:
                batch, _source = _to_tensors(pending.popleft().result())
                yield batch
        while pending:
            batch, _source = _to_tensors(pending.popleft().result())
            yield batch
    except BrokenExecutor as error:
        raise SclcError(
            f"--num_workers {num_workers}: a loading process died, maybe for want of memory; use "
            "fewer, and go on with --resume_model auto"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def sample_files(dataset: Any, options: TrainingOptions, iteration: int) -> list[str]:
    """The images of a batch, by all processes together.

    Args:
        dataset: what the loader reads.
        options: of the run.
        iteration: iterations done before the batch.
    """
    stream = SampleStream(len(dataset), options.batch_size, iteration + 1, options.seed, iteration)
    files = getattr(dataset, "file_list", None)
    return [str(files[i][0]) if files else f"sample {i}" for _, i in next(iter(stream))]


def _make_pool(dataset: SeededDataset, num_workers: int) -> Executor:
    """What loads batches: processes, or one thread where there are none.

    Not Paddle's own loader: where a sample raises, it waits for ever.
    """
    if num_workers == 0:
        return ThreadPoolExecutor(1, initializer=_start_thread, initargs=(dataset,))
    # As many threads again in every process would only get in one another's way. Said here, not in
    # the forked process: there OpenCV would wait for ever for threads that fork did not copy.
    cv2.setNumThreads(1)
    # Forked, so that the dataset need not be pickled; nothing that loads touches the device.
    fork = multiprocessing.get_context("fork")
    return ProcessPoolExecutor(num_workers, fork, initializer=_start_process, initargs=(dataset,))


# The dataset of a loading thread or process.
_loading = threading.local()


def _start_thread(dataset: SeededDataset) -> None:
    _loading.dataset = dataset


def _start_process(dataset: SeededDataset) -> None:
    _loading.dataset = dataset
    # Ctrl-C reaches the whole group; the training process decides when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _load_batch(keys: list[tuple[int, int]]) -> dict[str, Any]:
    samples = [_loading.dataset[key] for key in keys]
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}


def _to_tensors(arrays: dict[str, Any]) -> tuple[dict[str, Tensor], Any]:
    """A batch on the current device, and what must live until it is there: the next batch."""
    if not paddle.get_device().startswith("gpu"):
        return {name: paddle.to_tensor(array) for name, array in arrays.items()}, None
    # From page-locked memory the copy needs no second buffer, and nobody waits for it.
    place = paddle.CUDAPinnedPlace()
    source = {name: paddle.to_tensor(array, place=place) for name, array in arrays.items()}
    return {name: tensor.cuda(blocking=False) for name, tensor in source.items()}, source


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else "no reason given"
