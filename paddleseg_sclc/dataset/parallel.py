"""Run tasks in processes so that none can take the others down."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from paddleseg_sclc.errors import SclcError

Task = TypeVar("Task")
Result = TypeVar("Result")

_DIED = "the process that worked on it died (out of memory, or a file that crashes its decoder)"


def run_tasks(
    work: Callable[[Task], Result], tasks: Sequence[Task], jobs: int
) -> Iterator[tuple[int, Result | SclcError]]:
    """Run `work` on every task; yield its place and its result, or its error, as they come.

    A SclcError ends its own task only, and so does a process that dies: the tasks it may have
    dragged along are run again, one process each.

    Args:
        work: a function of a module, for it is sent to other processes.
        tasks: what to call it with; pickled.
        jobs: processes; 1 runs everything in this one.
    """
    if jobs <= 1 or len(tasks) <= 1:
        for place, task in enumerate(tasks):
            yield place, _guarded(work, task)
        return
    lost: list[int] = []
    with _pool(min(jobs, len(tasks))) as pool:
        futures = {pool.submit(_guarded, work, task): i for i, task in enumerate(tasks)}
        for place, future in _completed(pool, futures):
            if isinstance(future.exception(), BrokenProcessPool):
                lost.append(place)
            else:
                yield place, future.result()
    for place in sorted(lost):
        with _pool(1) as pool:
            future = pool.submit(_guarded, work, tasks[place])
            broken = isinstance(future.exception(), BrokenProcessPool)
            yield place, SclcError(_DIED) if broken else future.result()


def default_jobs() -> int:
    """The processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _guarded(work: Callable[[Task], Result], task: Task) -> Result | SclcError:
    try:
        return work(task)
    except SclcError as error:
        return error
    except MemoryError:
        return SclcError(
            "memory is too small for it; close other programs or pass a smaller --jobs"
        )


def _completed(
    pool: ProcessPoolExecutor, futures: dict[Future, int]
) -> Iterator[tuple[int, Future]]:
    waiting = set(futures)
    try:
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=futures.__getitem__):
                yield futures[future], future
    except BaseException:
        pool.shutdown(wait=True, cancel_futures=True)
        raise


def _pool(processes: int) -> ProcessPoolExecutor:
    # Spawned, not forked: decoders and OpenCV keep threads that a fork would cut off.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, context, _start_process)


def _start_process() -> None:
    """Ctrl-C is for the parent, which lets running tasks end; one thread a process is enough."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import cv2

    cv2.setNumThreads(1)
