"""What computing a batch of 12 in 3 parts of 4 changes, by loss and by batch norm.

    python benchmarks/accumulation.py

An update of a narrow MSUNet by one batch of synthetic patches, whole and in parts: the norm of the
difference of the two updates, relative to the update. Cross entropy alone with frozen batch norms
is exact but for rounding; Dice is then the mean of the parts' own, and batch norms normalise by
the parts. Measured from the first weights on and after some training.
"""

import argparse
import platform
import sys
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import paddle
from paddle import Tensor, nn

import paddleseg_sclc.plugin  # noqa: F401
from paddleseg_sclc.demo.patches import PatchPlan, draw_patch
from paddleseg_sclc.losses import DiceCELoss
from paddleseg_sclc.models import MSUNet
from paddleseg_sclc.training.device import set_device
from paddleseg_sclc.training.options import TrainingOptions
from paddleseg_sclc.training.step import TrainingStep

BATCH, PARTS = 12, 3


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=64, help="side of the images")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--iters", type=int, default=40, help="of the training in between")
    parser.add_argument("--batches", type=int, default=4, help="batches that are measured")
    return parser.parse_args(argv)


def draw_batch(number: int, size: int) -> dict[str, Tensor]:
    """A batch of patches, one of each of 12 synthetic patients."""
    images, labels = [], []
    for patient in range(BATCH):
        image, mask = draw_patch(PatchPlan(), patient, number)
        small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
        images.append(small.astype(np.float32).transpose(2, 0, 1) / 127.5 - 1)
        labels.append(cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST))
    return {
        "img": paddle.to_tensor(np.stack(images)),
        "label": paddle.to_tensor(np.stack(labels).astype(np.int64)),
    }


def make_step(model: nn.Layer, loss: nn.Layer, parts: int, rate: float) -> TrainingStep:
    """A training step of plain gradient descent."""
    optimizer = paddle.optimizer.SGD(rate, parameters=model.parameters())
    options = TrainingOptions(iters=1, batch_size=BATCH, accumulation=parts)
    return TrainingStep(model, optimizer, {"types": [loss], "coef": [1]}, options)


def update(model: nn.Layer, batch: dict[str, Tensor], parts: int, **how: Any) -> np.ndarray:
    """The gradient of a batch by which the weights are updated, as one vector; nothing changes."""
    step = make_step(model, DiceCELoss(dice_coef=how["dice"]), parts, 1.0)
    if how["frozen"]:
        step.frozen._norms = [x for x in model.sublayers() if isinstance(x, nn.BatchNorm2D)]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    step(batch)
    learning = [n for n, p in model.named_parameters() if not p.stop_gradient]
    after = model.state_dict()
    change = np.concatenate([(before[n] - after[n]).numpy().ravel() for n in learning])
    model.set_state_dict(before)
    return change


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    args = parse_args(argv)
    print(f"{platform.platform()}, Python {platform.python_version()}, Paddle {paddle.__version__}")
    print(
        f"MSUNet, 2 blocks, width {args.width}, {args.size}x{args.size}, {BATCH} as {PARTS} parts"
    )
    set_device("cpu")
    paddle.seed(0)
    model = MSUNet(2, num_blocks=2, base_channels=args.width)
    batches = [draw_batch(i, args.size) for i in range(args.batches)]
    losses = {"cross entropy": 0.0, "Dice + cross entropy": 1.0}
    norms = {"frozen": True, "learning": False}
    cases = {
        f"{loss}, batch norm {norm}": {"dice": losses[loss], "frozen": norms[norm]}
        for loss in losses
        for norm in norms
    }
    found: dict[str, list[str]] = {name: [] for name in cases}
    for stage in ("start", "trained"):
        if stage == "trained":
            training = make_step(model, DiceCELoss(), 1, 0.1)
            for i in range(args.iters):
                training(batches[i % len(batches)])
        for name, how in cases.items():
            shares = []
            for batch in batches:
                whole, parts = (update(model, batch, n, **how) for n in (1, PARTS))
                shares.append(np.linalg.norm(parts - whole) / np.linalg.norm(whole))
            found[name].append(f"{np.median(shares):.2g}")
    print(f"\n| | first weights | after {args.iters} iterations |\n|---|---|---|")
    for name, cells in found.items():
        print(f"| {name} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
