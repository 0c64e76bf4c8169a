"""A stage of HRNet modules that can be recomputed, with gradients that are always the same."""

from typing import Any

import paddle
import paddle.nn.functional as F
from paddle import Tensor
from paddleseg.models.backbones.hrnet import FuseLayers, HighResolutionModule, Stage

from paddleseg_sclc.models.recompute import recomputed


class RecomputableStage(Stage):
    """PaddleSeg's HRNet stage: the same layers, names and figures.

    Args:
        recompute: `none`; `stages`: each module as a whole; `blocks`: each residual block and
            each fusion.
        data_format: `NCHW` or `NHWC`, of the branches.
        keep_last: leave the last module out of `stages`. The backward pass of the network comes to
            the last stage's last module first, with all else that is kept still there: whether it
            was kept, too, or has just been computed again is nearly the same there.
        arguments: as `Stage` takes them.
    """

    def __init__(
        self, recompute: str, data_format: str, keep_last: bool = False, **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        self.recompute = recompute
        self.keep_last = keep_last
        self.data_format = data_format

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Branches from the highest resolution down, in and out; not changed."""
        for module in self.stage_func_list:
            branches = (
                self._train(module, branches) if self.training else self._run(module, branches)
            )
        return branches

    def _train(self, module: HighResolutionModule, branches: list[Tensor]) -> list[Tensor]:
        kept = self.keep_last and module is self.stage_func_list[-1]
        if self.recompute == "stages" and not kept:
            return recomputed(module, branches, call=lambda x: self._run(module, x))
        if self.recompute == "blocks":
            return self._run_by_blocks(module, branches)
        return self._run(module, branches)

    def _run(self, module: HighResolutionModule, branches: list[Tensor]) -> list[Tensor]:
        return _fuse(module.fuse_func, module.branches_func(branches), self.data_format)

    def _run_by_blocks(self, module: HighResolutionModule, branches: list[Tensor]) -> list[Tensor]:
        outputs = []
        for x, blocks in zip(branches, module.branches_func.basic_block_list, strict=True):
            for block in blocks:
                x = recomputed(block, x)
            outputs.append(x)
        fusion = module.fuse_func
        return recomputed(fusion, outputs, call=lambda x: _fuse(fusion, x, self.data_format))


def _fuse(fusion: FuseLayers, branches: list[Tensor], data_format: str) -> list[Tensor]:
    """`FuseLayers.forward`, each branch handed to its consumers by `_aliases`."""
    count = len(branches)
    sources = [_aliases(x, count) if fusion.training else [x] * count for x in branches]
    layers = iter(fusion.residual_func_list)
    fused = []
    for i in range(count):
        total = sources[i][i]
        for j in range(count):
            if j == i:
                continue
            x = sources[j][i]
            for _ in range(max(i - j, 1)):  # going down, a convolution of stride 2 a level
                x = next(layers)(x)
            if j > i:
                x = resize_to(x, branches[i], fusion.align_corners, data_format)
            total = total + x
        fused.append(F.relu(total))
    return fused


def resize_to(x: Tensor, other: Tensor, align_corners: bool, data_format: str) -> Tensor:
    """Bilinear resizing to the height and width of another tensor."""
    # A size, not a scale factor: with the latter an exported network fails in oneDNN and
    # in the ONNX converter on Paddle 3 (the attribute is written twice). A tensor of sizes
    # would make a GPU wait; only an export, whose sides may be free, needs one.
    first = data_format.index("H")
    shape = other.shape if paddle.in_dynamic_mode() else paddle.shape(other)
    size = shape[first : first + 2]
    return F.interpolate(
        x, size, mode="bilinear", align_corners=align_corners, data_format=data_format
    )


def _aliases(x: Tensor, count: int) -> list[Tensor]:
    """The same values `count` times, for as many consumers, at no cost.

    The gradients of a tensor's consumers are added up as they come, and the order of three or
    more decides the rounding; in a recomputed module they come in another order. Here each
    tensor has two consumers, so that the gradients are bit for bit those of the plain network.
    """
    aliases = [x]
    while len(aliases) < count:
        # A view of the last one. (paddle.view has no gradient on Paddle 2.6, and reshaping to the
        # same shape gives the same tensor on 3.)
        aliases.append(x if len(aliases) == count - 1 else x.unsqueeze(0).squeeze(0))
        x = aliases[-1]
    return aliases
