"""Class probabilities of an image, by PaddleSeg's own inference (whole, sliding, augmented)."""

from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import Tensor, nn
from paddleseg.core import infer

from paddleseg_sclc.inference.options import InferenceOptions
from paddleseg_sclc.models.msunet import SIZE_DIVISOR


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
