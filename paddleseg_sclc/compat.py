"""What stock PaddleSeg 2.8.0 gets wrong on Paddle 2.6 and 3.x, mended in place.

Each patch says what is wrong and probes for it: where the probe finds nothing wrong, stock code
stays as it is. tests/test_compat.py fails when a probe finds nothing any more on any supported
Paddle; the patch can then be dropped.
"""

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paddle
import paddle.nn.functional as F
import paddleseg.core
import paddleseg.utils.metrics as stock_metrics
from paddle import Tensor
from paddleseg.models.losses import CrossEntropyLoss, DiceLoss

# `paddleseg.core.train` is the function; the module of that name is reached like this.
_stock_train: Any = sys.modules["paddleseg.core.train"]


@dataclass(frozen=True)
class Patch:
    """A fault of stock PaddleSeg.

    Attributes:
        fault: what is wrong, in a sentence.
        is_needed: True where the installed PaddleSeg and Paddle show the fault.
        apply: mends it.
    """

    fault: str
    is_needed: Callable[[], bool]
    apply: Callable[[], None]


PATCHES: dict[str, Patch] = {}


def _patch(fault: str, is_needed: Callable[[], bool]) -> Callable[[Callable[[], None]], Any]:
    def register(apply: Callable[[], None]) -> Callable[[], None]:
        PATCHES[apply.__name__] = Patch(fault, is_needed, apply)
        return apply

    return register


def apply_patches() -> list[str]:
    """Apply the patches that are needed; a second call finds none to apply.

    Returns:
        The names of the patches applied.
    """
    needed = [name for name, patch in PATCHES.items() if patch.is_needed()]
    for name in needed:
        PATCHES[name].apply()
    return needed


def _raises(call: Callable[[], Any]) -> bool:
    try:
        call()
    except Exception:
        return True
    return False


def _labels(*values: int) -> Tensor:
    return paddle.to_tensor([[list(values)]], dtype="int64")


# --- utils.metrics.calculate_area ---------------------------------------------------------


def _calculate_area_fails() -> bool:
    return _raises(lambda: stock_metrics.calculate_area(_labels(0, 1), _labels(0, 1), 2))


@_patch("calculate_area concatenates 0-d tensors, which Paddle 2.6 refuses", _calculate_area_fails)
def mend_calculate_area() -> None:
    """Stack the areas of the classes."""

    def calculate_area(
        pred: Tensor, label: Tensor, num_classes: int, ignore_index: int = 255
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels of intersection, prediction and label of each class, three int64 (C,)."""
        pred = pred.squeeze(1) if pred.ndim == 4 else pred
        label = label.squeeze(1) if label.ndim == 4 else label
        if list(pred.shape) != list(label.shape):
            raise ValueError(
                f"calculate_area: pred and label must have one shape, got {pred.shape} and "
                f"{label.shape}"
            )
        valid = label != ignore_index
        classes = range(num_classes)
        pred_masks = [paddle.logical_and(pred == i, valid) for i in classes]
        label_masks = [label == i for i in classes]
        both = [paddle.logical_and(p, y) for p, y in zip(pred_masks, label_masks, strict=True)]

        def areas(masks: list[Tensor]) -> Tensor:
            return paddle.stack([mask.astype("int64").sum() for mask in masks])

        return areas(both), areas(pred_masks), areas(label_masks)

    stock_metrics.calculate_area = calculate_area


# --- models.losses.CrossEntropyLoss -------------------------------------------------------


def _cross_entropy_fails() -> bool:
    logits = paddle.zeros([1, 2, 1, 2])
    losses = (CrossEntropyLoss(), CrossEntropyLoss(weight=[1.0, 1.0]))
    return any(_raises(functools.partial(loss, logits, _labels(0, 1))) for loss in losses)


@_patch(
    "CrossEntropyLoss multiplies float32 by int64, which Paddle 3 refuses", _cross_entropy_fails
)
def mend_cross_entropy() -> None:
    """Compute the pixel coefficients in the loss's type."""

    def _post_process_loss(
        self: Any, logit: Tensor, label: Tensor, semantic_weights: Tensor | None, loss: Tensor
    ) -> Tensor:
        if loss.ndim > label.ndim:
            loss = loss.squeeze(-1)
        valid = (label != self.ignore_index).astype(loss.dtype)
        mask = valid if self.avg_non_ignore else paddle.ones_like(valid)
        loss = loss * mask
        if semantic_weights is not None:
            loss = loss * semantic_weights
        coef = paddle.ones_like(mask)
        if self.weight is not None:
            classes = paddle.where(valid > 0, label, paddle.zeros_like(label))
            coef = (F.one_hot(classes, logit.shape[-1]) * self.weight).sum(-1)
        if self.top_k_percent_pixels == 1.0:
            return loss.mean() / ((mask * coef).mean() + self.EPS)
        loss = loss.flatten()
        loss, indices = paddle.topk(loss, int(self.top_k_percent_pixels * loss.size))
        coef = paddle.gather(coef.flatten(), indices).detach()
        return loss.mean() / (coef.mean() + self.EPS)

    CrossEntropyLoss._post_process_loss = _post_process_loss


# --- models.losses.DiceLoss ---------------------------------------------------------------


def _dice_writes_labels() -> bool:
    labels = _labels(0, 255)
    DiceLoss()(paddle.zeros([1, 2, 1, 2]), labels)
    return bool((labels == 0).all())


@_patch("DiceLoss sets ignored pixels of the caller's labels to class 0", _dice_writes_labels)
def mend_dice() -> None:
    """Hand DiceLoss a copy, so that a loss computed after it sees the true labels."""
    stock_forward = DiceLoss.forward

    @functools.wraps(stock_forward)
    def forward(self: Any, logits: Tensor, labels: Tensor) -> Tensor:
        return stock_forward(self, logits, labels.clone())

    DiceLoss.forward = forward


# --- core.train ---------------------------------------------------------------------------


def _losses_are_0d() -> bool:
    losses = {"types": [lambda logits, _: logits.mean()], "coef": [1.0]}
    loss = _stock_train.loss_computation([paddle.zeros([1, 2, 1, 2])], _labels(0, 1), None, losses)
    return loss[0].ndim == 0


@_patch("core.train indexes losses, which are 0-d tensors since Paddle 2.5", _losses_are_0d)
def mend_loss_computation() -> None:
    """Give each loss the shape [1] that the loop expects."""
    stock = _stock_train.loss_computation

    @functools.wraps(stock)
    def loss_computation(*args: Any, **kwargs: Any) -> list[Tensor]:
        return [loss.reshape([1]) for loss in stock(*args, **kwargs)]

    _stock_train.loss_computation = loss_computation


def _train_has_traps() -> bool:
    return not hasattr(_stock_train.train, "__wrapped__")


@_patch(
    "core.train loops for ever on fewer images than the batch, and deletes a file named like "
    "save_dir",
    _train_has_traps,
)
def guard_train() -> None:
    """Refuse both before anything runs."""
    stock = _stock_train.train

    @functools.wraps(stock)
    def train(
        model: Any,
        train_dataset: Any,
        val_dataset: Any = None,
        optimizer: Any = None,
        save_dir: str = "output",
        iters: int = 10000,
        batch_size: int = 2,
        **kwargs: Any,
    ) -> None:
        share = len(train_dataset) // paddle.distributed.get_world_size()
        if share < batch_size:
            raise ValueError(
                f"train_dataset: a batch of {batch_size} must find as many images, got {share}; "
                "lower batch_size or add images"
            )
        if Path(save_dir).exists() and not Path(save_dir).is_dir():
            raise FileExistsError(
                f"{save_dir}: save_dir must be a folder, but a file has this name"
            )
        stock(model, train_dataset, val_dataset, optimizer, save_dir, iters, batch_size, **kwargs)

    _stock_train.train = train
    paddleseg.core.train = train


def compute_losses(
    logits_list: list[Tensor], labels: Tensor, edges: Tensor | None, losses: dict[str, list]
) -> list[Tensor]:
    """The weighted losses of a batch by stock `core.train`'s rules, each of shape [1]."""
    return _stock_train.loss_computation(logits_list, labels, edges, losses)
