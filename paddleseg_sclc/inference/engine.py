"""Class probabilities of an image, by PaddleSeg's own inference (whole, sliding, augmented)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import Tensor, nn
from paddleseg.core import infer

from paddleseg_sclc.models.msunet import SIZE_DIVISOR


@dataclass(frozen=True)
class InferenceOptions:
    """How an image is put through the network; names and meaning are PaddleSeg's.

    Attributes:
        aug_pred: average over `scales` and flips.
        scales: of the input, with `aug_pred`.
        flip_horizontal: with `aug_pred`.
        flip_vertical: with `aug_pred`.
        is_slide: put a window of `crop_size` (width, height) over the image by `stride`.
        crop_size: of the window, pixels of the network's input.
        stride: of the window, at most `crop_size`.

    Raises:
        ValueError: `is_slide` without its sizes, or a stride over the crop size.
    """

    aug_pred: bool = False
    scales: Sequence[float] = field(default=(1.0,))
    flip_horizontal: bool = False
    flip_vertical: bool = False
    is_slide: bool = False
    crop_size: Sequence[int] | None = None
    stride: Sequence[int] | None = None

    @classmethod
    def from_config(cls, test_config: Mapping[str, Any]) -> "InferenceOptions":
        """Options from PaddleSeg's `test_config`, where `aug_eval` turns on augmentation.

        Raises:
            ValueError: a key is unknown, or values contradict one another.
        """
        values = dict(test_config)
        values["aug_pred"] = bool(values.pop("aug_eval", False) or values.get("aug_pred", False))
        if isinstance(values.get("scales"), int | float):
            values["scales"] = [values["scales"]]
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"test_config: there is no option {', '.join(unknown)}")
        return cls(**values)

    def __post_init__(self) -> None:
        if any(not scale > 0 for scale in self.scales):
            raise ValueError(f"scales must be positive, got {list(self.scales)}")
        if not self.is_slide:
            return
        if self.crop_size is None or self.stride is None:
            raise ValueError("is_slide needs crop_size and stride, each as width and height")
        if min(*self.crop_size, *self.stride) < 1 or any(
            s > c for s, c in zip(self.stride, self.crop_size, strict=True)
        ):
            raise ValueError(
                f"stride must be from 1 to crop_size in width and height, got stride "
                f"{list(self.stride)} and crop_size {list(self.crop_size)}"
            )


class Predictor:
    """A network in evaluation mode.

    Images of any size: what does not divide by 16 is padded at the right and the bottom (by
    reflection where the image is large enough, else by its edge), and cut again.

    Args:
        model: returns a list of logits, as PaddleSeg's models do; set to evaluation mode.
        options: how to put images through it.
    """

    def __init__(self, model: nn.Layer, options: InferenceOptions | None = None) -> None:
        self.model = model
        self.options = options or InferenceOptions()
        model.eval()

    def logits(self, sample: dict[str, Any]) -> Tensor:
        """Logits of one sample.

        Args:
            sample: what a PaddleSeg dataset or transform gives: `img` (3, h, w) float32, and
                `trans_info`, from which the original size (H, W) is known.

        Returns:
            (1, C, H, W) float32.
        """
        options = self.options
        image = paddle.to_tensor(np.ascontiguousarray(sample["img"])[np.newaxis])
        window = {
            "is_slide": options.is_slide,
            "stride": options.stride,
            "crop_size": options.crop_size,
        }
        with paddle.no_grad():
            if options.aug_pred:
                _, logits = infer.aug_inference(
                    self._forward,
                    image,
                    trans_info=sample["trans_info"],
                    scales=list(options.scales),
                    flip_horizontal=options.flip_horizontal,
                    flip_vertical=options.flip_vertical,
                    **window,
                )
            else:
                _, logits = infer.inference(
                    self._forward, image, trans_info=sample["trans_info"], **window
                )
        return logits.astype("float32")

    def probabilities(self, sample: dict[str, Any]) -> NDArray[np.float32]:
        """Class probabilities of one sample, (C, H, W) float32; see `logits`."""
        return F.softmax(self.logits(sample), axis=1).numpy()[0]

    def _forward(self, image: Tensor) -> list[Tensor]:
        height, width = image.shape[2:]
        bottom, right = -height % SIZE_DIVISOR, -width % SIZE_DIVISOR
        if not bottom and not right:
            return self.model(image)
        mode = "reflect" if bottom < height and right < width else "replicate"
        padded = F.pad(image, [0, right, 0, bottom], mode=mode)
        return [logits[:, :, :height, :width] for logits in self.model(padded)]
