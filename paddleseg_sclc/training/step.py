"""One update of the weights: mixed precision, parts of a batch, several processes, bad numbers."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import paddle
from paddle import Tensor, nn

from paddleseg_sclc.compat import compute_losses
from paddleseg_sclc.training import parallel
from paddleseg_sclc.training.options import TrainingOptions
from paddleseg_sclc.training.parameters import Frozen


@dataclass(frozen=True)
class StepResult:
    """What came of an update.

    Attributes:
        loss: before it, of the whole batch.
        finite: whether loss and gradients were numbers; if not, nothing was changed.
        stop: whether any process was asked to stop.
    """

    loss: float
    finite: bool
    stop: bool


class TrainingStep:
    """Updates a network.

    Args:
        model: the network, its weights loaded.
        optimizer: with a learning rate schedule; its state is loaded afterwards.
        losses: `types` and `coef`, as PaddleSeg builds them.
        options: of the run.
        ignore_index: label value of pixels that do not count.
    """

    def __init__(
        self,
        model: nn.Layer,
        optimizer: Any,
        losses: dict[str, list],
        options: TrainingOptions,
        ignore_index: int = 255,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.losses = losses
        self.options = options
        self.ignore_index = ignore_index
        self.frozen = Frozen(model, options.freeze)
        self.scaler = (
            paddle.amp.GradScaler(init_loss_scaling=1024) if options.precision == "fp16" else None
        )
        if options.precision != "fp32" and options.amp_level == "O2":
            self.model, self.optimizer = paddle.amp.decorate(
                models=model,
                optimizers=optimizer,
                level="O2",
                dtype=_AMP_DTYPES[options.precision],
                save_dtype="float32",
            )
        self._learning = [p for p in self.model.parameters() if not p.stop_gradient]
        self._statistics = [p for p in self.model.parameters() if p.stop_gradient]

    def __call__(self, batch: dict[str, Tensor], stop: bool = False) -> StepResult:
        """Learn from this process's share of a batch.

        Args:
            batch: `img` (N, C, H, W) float32, `label` (N, H, W) and perhaps `edge`.
            stop: whether this process has been asked to stop.
        """
        self.model.train()
        self.frozen.hold()
        # A batch that is no number reaches the running statistics before the loss is known.
        before = _concatenate(self._statistics)
        loss = 0.0
        for part, share in self._parts(batch):
            loss += self._backward(part, share)
        loss, bad, stops = parallel.sum_over_processes(loss, not math.isfinite(loss), stop)
        loss /= parallel.world_size()
        parallel.average_gradients(self._learning)
        finite = not bad and self._gradients_are_finite()
        if finite:
            self._update()
        else:
            _restore(self._statistics, before)
        # Freed, not zeroed: between two backward passes nobody needs them.
        self.optimizer.clear_grad(set_to_zero=False)
        return StepResult(loss, finite, stops > 0)

    def auto_cast(self) -> Any:
        """The context of a forward pass in the run's precision."""
        if self.options.precision == "fp32":
            return contextlib.nullcontext()
        return paddle.amp.auto_cast(
            level=self.options.amp_level, dtype=_AMP_DTYPES[self.options.precision]
        )

    def _parts(self, batch: dict[str, Tensor]) -> Iterator[tuple[dict[str, Tensor], float]]:
        """The parts of a batch, each with its share of the pixels that count."""
        parts = self.options.accumulation
        if parts == 1:
            yield batch, 1.0
            return
        size = len(batch["img"]) // parts
        slices = [slice(i * size, (i + 1) * size) for i in range(parts)]
        counts = [float((batch["label"][s] != self.ignore_index).sum()) for s in slices]
        counts = parallel.sum_over_processes(*counts)
        for part, count in zip(slices, counts, strict=True):
            share = count / sum(counts) if sum(counts) else 1 / parts
            yield {name: tensor[part] for name, tensor in batch.items()}, share

    def _backward(self, batch: dict[str, Tensor], share: float) -> float:
        labels = batch["label"].astype("int64")
        edges = batch["edge"].astype("int64") if "edge" in batch else None
        with self.auto_cast():
            logits = self.model(batch["img"])
            if hasattr(self.model, "loss_computation"):
                loss_list = self.model.loss_computation(logits, self.losses, batch)
            else:
                loss_list = compute_losses(logits, labels, edges, self.losses)
            loss = sum(loss_list[1:], start=loss_list[0])
        if share != 1.0:
            loss = loss * share
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()
        return float(loss)

    def _gradients_are_finite(self) -> bool:
        if self.scaler is not None:
            return True  # it looks for itself, lowers its scale and leaves the weights alone
        gradients = [p.grad for p in self._learning if p.grad is not None]
        with paddle.no_grad():
            # The sum of what is no number is none, either, and costs a 25th of the norm.
            sums = paddle.stack([gradient.sum().astype("float32") for gradient in gradients])
            return bool(paddle.isfinite(sums.sum()))

    def _update(self) -> None:
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()

    def step_schedule(self, result: StepResult) -> None:
        """Go on to the next iteration's learning rate; one that follows the loss wants numbers."""
        schedule = self.optimizer._learning_rate
        if isinstance(schedule, paddle.optimizer.lr.ReduceOnPlateau):
            if result.finite:
                schedule.step(result.loss)
        elif isinstance(schedule, paddle.optimizer.lr.LRScheduler):
            schedule.step()


_AMP_DTYPES = {"fp16": "float16", "bf16": "bfloat16"}


def _concatenate(tensors: list[Tensor]) -> Tensor | None:
    """All values in one tensor: one copy in place of hundreds."""
    return paddle.concat([x.flatten().astype("float32") for x in tensors]) if tensors else None


def _restore(tensors: list[Tensor], values: Tensor | None) -> None:
    if values is not None:
        parts = paddle.split(values, [x.size for x in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            paddle.assign(part.reshape(tensor.shape).astype(tensor.dtype), output=tensor)
