"""The paper's network: a U-Net whose encoder is an HRNet kept at full resolution."""

from collections.abc import Sequence
from typing import Any

import paddle
from paddle import Tensor, nn
from paddleseg.cvlibs import manager
from paddleseg.models import layers
from paddleseg.models.backbones.hrnet import Layer1, TransitionLayer
from paddleseg.utils import utils

from paddleseg_sclc.models.hrnet_stage import RecomputableStage, resize_to
from paddleseg_sclc.models.recompute import BATCH_NORM, recomputed

# What the backward pass computes again instead of keeping it.
RECOMPUTE = ("none", "stages", "blocks")
DATA_FORMATS = ("NCHW", "NHWC")
# The encoder halves the resolution three times, the bottom once more.
SIZE_DIVISOR = 16


@manager.MODELS.add_component
class MSUNet(nn.Layer):
    """Multi-scale U-Net of "Small cell lung cancer segmentation" (section 3.3, figure 3).

    The parts are those of PaddleSeg's HRNet, in the layout of the paper's released network,
    whose parameter counts are those of table 1 (71.21M and 122.15M). Where figure 3 and the
    text say something else (two stride-2 convolutions a StrideConv; convolved skips at the
    fourth down-sampling), the released network is followed.

    With C = `base_channels`, an input of (N, in_channels, H, W) becomes:

    | part | output |
    |---|---|
    | stem, 2 x (3x3 conv, BN, ReLU) | C at H x W |
    | stage 1, `num_blocks` bottlenecks | 4C at H x W |
    | stage 2, 1 HRNet module | C at H, 2C at H/2 |
    | stage 3, 4 HRNet modules | C at H, 2C at H/2, 4C at H/4 |
    | stage 4, 3 HRNet modules | C at H, 2C at H/2, 4C at H/4, 8C at H/8 |
    | bottom, 3x3 conv of stride 2, BN, ReLU | 8C at H/16 |
    | decoder, 4 x (up, concatenate, 2 x (3x3 conv, BN, ReLU)) | 4C, 2C, C, C at H/8 ... H |
    | head, 3x3 conv | num_classes at H x W |

    Args:
        num_classes: number of classes, background included.
        num_blocks: residual blocks a branch in every HRNet module ("ConvBlocks": 2 or 4).
        base_channels: width C; 64 in the paper.
        in_channels: channels of the input.
        align_corners: as in `paddle.nn.functional.interpolate`.
        pretrained: path of a `.pdparams` file to start from.
        recompute: `none` keeps all activations of a training step; `stages` keeps the inputs of
            each HRNet module, bottleneck and transition of the encoder and computes what lies
            between again in the backward pass (all but the last module); `blocks` keeps those of
            each residual block and fusion. The gradients are the same. See docs/training.md for
            what each costs.
        data_format: `NCHW`, or `NHWC` to compute with channels last, which GPUs with tensor cores
            want in fp16 and bf16. Inputs, outputs and weights are the same.

    Raises:
        ValueError: an argument is not a positive integer, or `recompute` or `data_format` is
            another word.
    """

    def __init__(
        self,
        num_classes: int,
        num_blocks: int = 4,
        base_channels: int = 64,
        in_channels: int = 3,
        align_corners: bool = False,
        pretrained: str | None = None,
        recompute: str = "none",
        data_format: str = "NCHW",
    ) -> None:
        super().__init__()
        _check_word("recompute", recompute, RECOMPUTE)
        _check_word("data_format", data_format, DATA_FORMATS)
        _check_positive(
            num_classes=num_classes,
            num_blocks=num_blocks,
            base_channels=base_channels,
            in_channels=in_channels,
        )
        widths = [base_channels * 2**i for i in range(4)]
        how = {
            "align_corners": align_corners,
            "recompute": recompute,
            "data_format": data_format,
        }

        self.stem = nn.Sequential(
            layers.ConvBNReLU(in_channels, base_channels, 3, bias_attr=False),
            layers.ConvBNReLU(base_channels, base_channels, 3, bias_attr=False),
        )
        self.stage1 = Layer1(base_channels, base_channels, num_blocks, name="stage1")
        self.transition1 = TransitionLayer([4 * base_channels], widths[:2], name="transition1")
        self.stage2 = _stage(1, num_blocks, widths[:2], "stage2", **how)
        self.transition2 = TransitionLayer(widths[:2], widths[:3], name="transition2")
        self.stage3 = _stage(4, num_blocks, widths[:3], "stage3", **how)
        self.transition3 = TransitionLayer(widths[:3], widths, name="transition3")
        self.stage4 = _stage(3, num_blocks, widths, "stage4", keep_last=True, **how)
        self.bottom = layers.ConvBNReLU(widths[3], widths[3], 3, stride=2, bias_attr=False)

        # From the bottom up; each step ends with the width of the next skip.
        outputs = [widths[2], widths[1], widths[0], widths[0]]
        inputs = [widths[3], *outputs[:-1]]
        self.decoder = nn.LayerList(
            _DecoderStep(below + skip, out, align_corners, data_format)
            for below, skip, out in zip(inputs, reversed(widths), outputs, strict=True)
        )
        self.head = nn.Conv2D(widths[0], num_classes, 3, padding=1)

        self.recompute = recompute
        self.data_format = data_format
        _set_data_format(self.sublayers(), data_format)
        self.pretrained = pretrained
        self.init_weight()

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return `[logits]`, logits of shape (N, num_classes, H, W).

        Raises:
            ValueError: H or W is not a multiple of 16.
        """
        if paddle.in_dynamic_mode():  # an export's sides may be free
            _check_size(x.shape[2], x.shape[3])
        if self.data_format == "NHWC":
            x = x.transpose([0, 2, 3, 1])
        x = self._run(self.stem, x)
        for block in self.stage1.bottleneck_block_list:
            x = self._run(block, x)
        branches = self.stage2(self._transition(self.transition1, [x]))
        branches = self.stage3(self._transition(self.transition2, branches))
        branches = self.stage4(self._transition(self.transition3, branches))
        x = self._run(self.bottom, branches[-1])
        # By index: paddle.jit.to_static, which rewrites this code, knows neither `strict` nor
        # `reversed`.
        for i, step in enumerate(self.decoder):
            # Never recomputed: the backward pass begins here, and what the decoder keeps is gone
            # before memory is at its peak, in the modules of stage 4.
            x = step(x, branches[-1 - i])
        x = self.head(x)
        return [x.transpose([0, 3, 1, 2]) if self.data_format == "NHWC" else x]

    def _run(self, layer: nn.Layer, *inputs: Any) -> Any:
        """A layer that is recomputed as a whole unless `recompute` is `none`."""
        if self.recompute == "none" or not self.training:
            return layer(*inputs)
        return recomputed(layer, *inputs)

    def _transition(self, transition: TransitionLayer, branches: list[Tensor]) -> list[Tensor]:
        """Branches of the next stage's widths; those that have them already are passed on."""
        if self.recompute == "none" or not self.training:
            return transition(branches)
        sources = [*branches, branches[-1]]
        return [
            x if layer is None else recomputed(layer, x)
            for x, layer in zip(sources, transition.conv_bn_func_list, strict=True)
        ]

    def init_weight(self) -> None:
        """Draw convolutions from He's normal distribution, or load `pretrained`.

        PaddleSeg's HRNet draws from normal(0, 0.001), made for pretrained weights. From scratch
        it learns slowly: batch norm undoes the small scale but for its epsilon, and what is left
        is a step size out of proportion to the weights. He's distribution (fan-in, ReLU) keeps
        the variance from layer to layer, and the last batch norm of every residual block starts
        at zero, so that the block starts as the identity (Goyal et al. 2017, section 5.1).
        Measured on the synthetic patches (2 blocks, width 8, 64x64, batch 4, rate 0.05, two
        seeds), mean loss of iterations 31 to 40: normal(0, 0.001) 0.66 and 0.73, He 0.43 and
        0.51, He with zero starts 0.36 and 0.47; at the paper's rate of 0.01, 1.06 and 0.74
        against He's 0.64 and 0.54.
        """
        for layer in self.sublayers():
            if isinstance(layer, nn.Conv2D):
                fan_in = layer.weight.shape[1] * layer.weight.shape[2] * layer.weight.shape[3]
                initializer = nn.initializer.Normal(std=(2.0 / fan_in) ** 0.5)
                initializer(layer.weight)
        for layer in self.sublayers():
            # BottleneckBlock ends with conv3, BasicBlock with conv2; both add the shortcut.
            if hasattr(layer, "conv1") and hasattr(layer, "add"):
                last = layer.conv3 if hasattr(layer, "conv3") else layer.conv2
                nn.initializer.Constant(0.0)(last._batch_norm.weight)
        if self.pretrained is not None:
            utils.load_entire_model(self, self.pretrained)


class _DecoderStep(nn.Layer):
    """Bilinear up-sampling to the skip's size, concatenation, two convolutions.

    The convolutions have a bias although batch norm follows: those of PaddleSeg's U-Net do, and
    the paper's parameter counts include them.
    """

    def __init__(
        self, in_channels: int, out_channels: int, align_corners: bool, data_format: str
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.data_format = data_format
        self.double_conv = nn.Sequential(
            layers.ConvBNReLU(in_channels, out_channels, 3),
            layers.ConvBNReLU(out_channels, out_channels, 3),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = resize_to(x, skip, self.align_corners, self.data_format)
        return self.double_conv(paddle.concat([x, skip], axis=self.data_format.index("C")))


def _stage(
    num_modules: int, num_blocks: int, widths: Sequence[int], name: str, **how: Any
) -> RecomputableStage:
    return RecomputableStage(
        num_channels=widths,
        num_modules=num_modules,
        num_blocks=[num_blocks] * len(widths),
        num_filters=widths,
        name=name,
        **how,
    )


def _set_data_format(parts: Sequence[nn.Layer], data_format: str) -> None:
    """Tell convolutions and batch norms where channels are; PaddleSeg's HRNet has no argument."""
    for layer in parts:
        if isinstance(layer, nn.Conv2D):
            layer._data_format = data_format
            layer._channel_dim = data_format.index("C")
        elif isinstance(layer, BATCH_NORM):
            layer._data_format = data_format


def _check_word(name: str, value: str, words: Sequence[str]) -> None:
    if value not in words:
        raise ValueError(f"MSUNet: {name} must be one of {', '.join(words)}, got {value!r}")


def _check_positive(**arguments: int) -> None:
    for name, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"MSUNet: {name} must be a positive integer, got {value!r}")


def _check_size(height: int, width: int) -> None:
    if height % SIZE_DIVISOR == 0 and width % SIZE_DIVISOR == 0:
        return
    nearest = " or ".join(
        f"{h}x{w}"
        for h, w in zip(_nearest_multiples(height), _nearest_multiples(width), strict=True)
    )
    raise ValueError(
        f"MSUNet: the input's height and width must be multiples of {SIZE_DIVISOR}, "
        f"got {height}x{width}; the nearest sizes are {nearest}"
    )


def _nearest_multiples(side: int) -> tuple[int, int]:
    """The multiples of 16 below (at least 16) and above `side`."""
    below = max(side // SIZE_DIVISOR, 1) * SIZE_DIVISOR
    return below, -(-side // SIZE_DIVISOR) * SIZE_DIVISOR
