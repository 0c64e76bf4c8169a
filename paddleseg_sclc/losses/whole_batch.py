"""Sums over a batch that several processes share."""

import paddle.distributed as dist
from paddle import Tensor


def batch_sums(sums: Tensor) -> Tensor:
    """Sums over the whole batch, from those over this process's share of it.

    The gradient towards this process's share is multiplied by the number of processes. The mean
    of the processes' gradients, which data-parallel training takes, is then their sum: the
    gradient of the whole batch.

    Args:
        sums: of any shape, float; the same shape in every process.

    Returns:
        The same where there is one process.
    """
    count = dist.get_world_size()
    if count == 1 or not dist.is_initialized():
        return sums
    total = sums.detach().clone()
    dist.all_reduce(total)
    scaled = count * sums
    return scaled + (total - scaled).detach()
