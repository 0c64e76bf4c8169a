"""Where to compute, and how."""

import os

import paddle

from paddleseg_sclc.errors import UsageError


def set_device(name: str | None = None) -> str:
    """Choose the device: `name`, else a GPU if Paddle sees one, else the CPU.

    On the CPU all cores are used; eager Paddle would use one.

    Args:
        name: `cpu`, `gpu`, `gpu:1`, or another device that this build of Paddle knows.

    Returns:
        The device and what it is, to be printed.

    Raises:
        UsageError: there is no such device.
    """
    gpus = paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0
    if name is None:
        name = "gpu" if gpus else "cpu"
    if name.startswith("gpu") and not gpus:
        built = "sees none" if paddle.is_compiled_with_cuda() else "is built for the CPU"
        raise UsageError(
            f"--device {name}: needs a GPU, but this Paddle {built}; install paddlepaddle-gpu "
            "or use --device cpu"
        )
    try:
        paddle.set_device(name)
    except Exception as error:
        raise UsageError(f"--device {name}: Paddle does not know it; use cpu or gpu") from error
    if not name.startswith("cpu"):
        return f"{name} ({paddle.device.cuda.get_device_name()})" if gpus else name
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if "OMP_NUM_THREADS" not in os.environ:
        paddle.base.core.set_num_threads(threads or 1)
    return f"cpu ({threads} threads)"


def tune(device: str, deterministic: bool = False) -> None:
    """Have cuDNN try its algorithms on the first iterations; nothing on a CPU.

    Not measured on a GPU yet.

    Args:
        device: what `set_device` returned.
        deterministic: the same bits on every run instead. On a GPU that is slow: the gradient of
            bilinear resizing then runs on one thread. A CPU always gives the same bits.
    """
    if device.startswith("gpu"):
        flag = "FLAGS_cudnn_deterministic" if deterministic else "FLAGS_cudnn_exhaustive_search"
        paddle.set_flags({flag: True})
