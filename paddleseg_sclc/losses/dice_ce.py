"""The paper's loss: Dice (equation 1) plus cross entropy (equation 2)."""

import math
from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddleseg.cvlibs import manager

from paddleseg_sclc.losses.whole_batch import batch_sums

# The released loss adds this to the Dice denominator, and no smoothing anywhere else.
DICE_EPSILON = 1e-5


@manager.LOSSES.add_component
class DiceCELoss(nn.Layer):
    """`dice_coef * Dice + ce_coef * cross entropy`, both over all pixels of the batch.

    Dice: 1 - mean over the classes of 2 * sum(p * y) / (sum(p) + sum(y) + 1e-5), p the softmax,
    y the one-hot label, each sum over the whole batch. Cross entropy: the mean over the pixels.
    (The paper's equation 2 lost its minus sign and its mean; its released loss has both.) Where
    several processes share a batch, sums and means are those of the whole batch.

    Where nothing is ignored and no class is weighted, the value is that of the released loss.
    One deviation: an ignored pixel takes part in nothing here, neither in the value nor in the
    gradient; in the released loss it adds 0.5 a class to the Dice denominator.

    Args:
        weight: one non-negative weight a class, not all zero. Cross entropy becomes the weighted
            mean over the pixels (weight of the pixel's class), Dice the weighted mean over the
            classes. None weighs all alike.
        ignore_index: label value of pixels to leave out. A batch of ignored pixels alone has
            loss 0 and no gradient.
        dice_coef: factor of the Dice term; 1 in the paper.
        ce_coef: factor of the cross entropy; 1 in the paper.

    Raises:
        ValueError: `weight` is negative, not finite or all zero.
    """

    def __init__(
        self,
        weight: Sequence[float] | None = None,
        ignore_index: int = 255,
        dice_coef: float = 1.0,
        ce_coef: float = 1.0,
    ) -> None:
        super().__init__()
        if weight is not None and not (
            all(math.isfinite(w) and w >= 0 for w in weight) and sum(weight) > 0
        ):
            raise ValueError(
                "DiceCELoss: weight must be finite, non-negative and not all zero, "
                f"got {list(weight)}"
            )
        self.weight = None if weight is None else [float(w) for w in weight]
        self.ignore_index = ignore_index
        self.dice_coef = dice_coef
        self.ce_coef = ce_coef

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar; see `dice_ce_loss` for the arguments."""
        dice, cross_entropy = dice_ce_loss(logits, labels, self.weight, self.ignore_index)
        return self.dice_coef * dice + self.ce_coef * cross_entropy


def dice_ce_loss(
    logits: Tensor,
    labels: Tensor,
    weight: Sequence[float] | None = None,
    ignore_index: int = 255,
) -> tuple[Tensor, Tensor]:
    """The two terms of `DiceCELoss`.

    Args:
        logits: (N, C, H, W), any float type; computed in float32 (float64 stays), also under
            mixed precision.
        labels: (N, H, W) or (N, 1, H, W), integers in [0, C) or `ignore_index`; not changed.
        weight: C class weights or None.
        ignore_index: label value of pixels to leave out.

    Returns:
        Dice and cross entropy, scalars.

    Raises:
        ValueError: the shapes do not fit, or there are not C weights.
    """
    _check_shapes(logits, labels, weight)
    num_classes = logits.shape[1]
    with paddle.amp.auto_cast(enable=False):
        logits = logits if logits.dtype == paddle.float64 else logits.astype("float32")
        labels = labels.reshape([logits.shape[0], *logits.shape[2:]]).astype("int64")
        valid = labels != ignore_index
        labels = paddle.where(valid, labels, paddle.zeros_like(labels))
        valid = valid.astype(logits.dtype).unsqueeze(1)
        one_hot = F.one_hot(labels, num_classes).transpose([0, 3, 1, 2]).astype(logits.dtype)
        one_hot = one_hot * valid
        class_weights = paddle.to_tensor(weight or [1.0] * num_classes, dtype=logits.dtype)

        log_probs = F.log_softmax(logits, axis=1)
        probs = paddle.exp(log_probs) * valid
        pixels = [0, 2, 3]
        intersection, label_area, probs_sum, class_log_probs = batch_sums(
            paddle.stack(
                [x.sum(axis=pixels) for x in (probs * one_hot, one_hot, probs, log_probs * one_hot)]
            )
        )
        cardinality = probs_sum + label_area
        dice = 2 * intersection / (cardinality + DICE_EPSILON)
        dice_loss = (class_weights * (1 - dice)).sum() / class_weights.sum()
        # Nothing to learn from, and nothing to be blamed for.
        dice_loss = dice_loss * (label_area.sum() > 0).astype(logits.dtype)

        weight_sum = (class_weights * label_area).sum()
        # A batch whose pixels all have weight 0 has no mean; 1 keeps the zero sum finite.
        weight_sum = paddle.where(weight_sum > 0, weight_sum, paddle.ones_like(weight_sum))
        cross_entropy = -(class_weights * class_log_probs).sum() / weight_sum
    return dice_loss, cross_entropy


def _check_shapes(logits: Tensor, labels: Tensor, weight: Sequence[float] | None) -> None:
    if logits.ndim != 4:
        raise ValueError(f"DiceCELoss: logits must have shape (N, C, H, W), got {logits.shape}")
    n, c, h, w = logits.shape
    if list(labels.shape) not in ([n, h, w], [n, 1, h, w]):
        raise ValueError(
            f"DiceCELoss: labels must have shape {[n, h, w]} for logits of {logits.shape}, "
            f"got {labels.shape}"
        )
    if weight is not None and len(weight) != c:
        raise ValueError(
            f"DiceCELoss: weight must have one value for each of {c} classes, got {len(weight)}"
        )
