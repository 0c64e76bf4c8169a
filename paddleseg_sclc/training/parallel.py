"""Several training processes, one on each GPU (or CPU), started by `paddle.distributed.launch`.

Each process computes its share of every batch. Losses are defined so that the mean of the
processes' gradients is the gradient of the whole batch (see `losses/whole_batch.py`); here the
means are taken. Not by
`paddle.DataParallel`: it finds gradients by hooks, which recomputed layers set off too early.
"""

import paddle
import paddle.distributed as dist
from paddle import Tensor, nn

# Elements a message: large enough to use the wire, small beside the network.
_BUCKET = 1 << 24


def rank() -> int:
    """Number of this process; 0 is the one that writes."""
    return int(dist.get_rank())


def world_size() -> int:
    """Number of processes."""
    return int(dist.get_world_size())


def is_writer() -> bool:
    """Whether this is the process that prints, validates and saves."""
    return rank() == 0


def start() -> None:
    """Meet the other processes; nothing where there are none. Uses NCCL on GPUs, gloo on CPUs."""
    if world_size() > 1 and not dist.is_initialized():
        dist.init_parallel_env()


def barrier() -> None:
    """Wait for the other processes."""
    if world_size() > 1:
        dist.barrier()


def share_weights(model: nn.Layer) -> None:
    """Give every process the weights and statistics of the first."""
    if world_size() > 1:
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, src=0)


def average_gradients(parameters: list[Tensor]) -> None:
    """Replace gradients by their mean over the processes, in place."""
    if world_size() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    bucket: list[Tensor] = []
    for i, gradient in enumerate(gradients):
        bucket.append(gradient)
        last = i == len(gradients) - 1 or gradients[i + 1].dtype != gradient.dtype
        if last or sum(g.size for g in bucket) >= _BUCKET:
            _average(bucket)
            bucket = []


def _average(tensors: list[Tensor]) -> None:
    with paddle.no_grad():
        flat = paddle.concat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        flat = flat / world_size()
        parts = paddle.split(flat, [tensor.size for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            paddle.assign(part.reshape(tensor.shape), output=tensor)


def sum_over_processes(*values: float) -> list[float]:
    """Sums of numbers over the processes."""
    if world_size() == 1:
        return list(values)
    tensor = paddle.to_tensor(values, "float64")
    dist.all_reduce(tensor)
    return [float(value) for value in tensor.numpy()]
