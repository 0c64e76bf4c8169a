"""Time training steps and loading beside stock PaddleSeg.

    python benchmarks/train.py
    python benchmarks/train.py --size 128 --width 16 --rounds 9

Three comparisons, each interleaved, medians printed with ratios:

1. The whole loop on PaddleSeg's U-Net (of one width), files read from the disk: `core.train`
   beside `Trainer`, each in a process of its own, as its user gets it (stock Paddle on a CPU runs
   on one thread unless OMP_NUM_THREADS says otherwise; ours on all), and stock on all threads.
2. A step of MSUNet beside the authors' layout on stock PaddleSeg parts, and recomputed.
3. The loader alone, with and without the cache: images a second.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from own_process import answer, ask

PATCH_SIDE = 1024


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--size", type=int, default=64, help="side of the network's images")
    add("--batch", type=int, default=2)
    add("--width", type=int, default=8, help="of MSUNet")
    add("--blocks", type=int, default=2, help="of MSUNet")
    add("--rounds", type=int, default=5, help="measurements of each")
    add("--only", choices=["loop", "step", "loader"], help="one comparison alone")
    add("--worker", nargs=2, help=argparse.SUPPRESS)  # loop and folder, in a process of its own
    return parser.parse_args(argv)


def make_patches(root: Path, count: int = 8) -> None:
    """Noise with a blob, as PNG of the paper's size, with masks and a list."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(count):
        image = cv2.resize(rng.integers(0, 255, (256, 256, 3), np.uint8), (PATCH_SIDE, PATCH_SIDE))
        mask = np.zeros((PATCH_SIDE, PATCH_SIDE), np.uint8)
        cv2.circle(mask, (300 + 40 * i, 500), 250, 1, -1)
        cv2.imwrite(str(root / f"{i}.png"), image)
        cv2.imwrite(str(root / f"{i}_mask.png"), mask)
        lines.append(f"{i}.png {i}_mask.png\n")
    (root / "train.txt").write_text("".join(lines))


def make_dataset(root: Path, size: int) -> Any:
    """PaddleSeg's dataset with the paper's transforms."""
    from paddleseg.datasets import Dataset
    from paddleseg.transforms import Normalize, Resize

    return Dataset(
        mode="train",
        dataset_root=str(root),
        transforms=[Resize((size, size)), Normalize()],
        num_classes=2,
        train_path=str(root / "train.txt"),
    )


def time_loop(args: argparse.Namespace) -> None:
    """Worker: seconds an iteration of one loop on U-Net, as JSON."""
    loop, folder = args.worker
    import paddle
    from paddleseg.core import train
    from paddleseg.models import UNet

    import paddleseg_sclc.plugin  # noqa: F401
    from paddleseg_sclc.losses import DiceCELoss
    from paddleseg_sclc.training.cache import cached
    from paddleseg_sclc.training.device import set_device
    from paddleseg_sclc.training.loop import Trainer
    from paddleseg_sclc.training.options import TrainingOptions
    from paddleseg_sclc.training.run_folder import RunFolder

    if loop == "stock":
        paddle.set_device("cpu")
    else:
        set_device("cpu")
    model = UNet(num_classes=2)
    schedule = paddle.optimizer.lr.PolynomialDecay(0.01, 100, 1e-4, 0.9)
    optimizer = paddle.optimizer.Momentum(schedule, 0.9, model.parameters(), weight_decay=4e-5)
    times: list[float] = []
    step = optimizer.step

    def timed_step() -> None:
        step()
        times.append(time.perf_counter())

    optimizer.step = timed_step
    losses = {"types": [DiceCELoss()], "coef": [1]}
    dataset = make_dataset(Path(folder), args.size)
    iters = 8
    with tempfile.TemporaryDirectory() as output:
        if loop == "ours":
            options = TrainingOptions(iters=iters, batch_size=args.batch, save_interval=1000)
            run = RunFolder(output)
            Trainer(model, optimizer, losses, cached(dataset, 2.0), run, options).train()
        else:
            common = {"save_interval": 1000, "log_iters": 10, "losses": losses}
            train(
                model,
                dataset,
                optimizer=optimizer,
                save_dir=output,
                iters=iters,
                batch_size=args.batch,
                **common,
            )
    answer(float(np.median(np.diff(times))))


def compare_loops(args: argparse.Namespace) -> None:
    """Print images a second of the loops."""
    seconds: dict[str, list[float]] = {"stock": [], "stock, all threads": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        make_patches(Path(folder))
        for _ in range(args.rounds):
            for name, values in seconds.items():
                loop = {"stock, all threads": "stock-threads"}.get(name, name)
                images = ["--size", str(args.size), "--batch", str(args.batch)]
                found, error = ask(__file__, "--worker", loop, folder, *images)
                if found is None:
                    raise RuntimeError(f"{name}: {error}")
                values.append(found)
    print(f"\nThe loop on PaddleSeg's U-Net, batch {args.batch} of {args.size}x{args.size}:")
    report(seconds, "stock", args.batch)


def compare_steps(args: argparse.Namespace) -> None:
    """Print step times of MSUNet and of the authors' layout."""
    import paddle
    from paddleseg.models.backbones.hrnet import Stage

    import paddleseg_sclc.plugin  # noqa: F401
    from paddleseg_sclc.losses import DiceCELoss
    from paddleseg_sclc.models import MSUNet
    from paddleseg_sclc.training.device import set_device

    class StockLayout(MSUNet):
        """The authors' layout: every part called as PaddleSeg has it."""

        def forward(self, x: Any) -> list[Any]:
            branches = self.transition1([self.stage1(self.stem(x))])
            branches = self.transition2(Stage.forward(self.stage2, branches))
            branches = self.transition3(Stage.forward(self.stage3, branches))
            branches = Stage.forward(self.stage4, branches)
            x = self.bottom(branches[-1])
            for i, step in enumerate(self.decoder):
                x = step(x, branches[-1 - i])
            return [self.head(x)]

    set_device("cpu")
    size = {"num_blocks": args.blocks, "base_channels": args.width}
    models = {"authors' layout": StockLayout(2, **size)}
    for mode in ("none", "stages", "blocks"):
        models[f"MSUNet, recompute {mode}"] = MSUNet(2, **size, recompute=mode)
    x = paddle.randn([args.batch, 3, args.size, args.size])
    y = paddle.randint(0, 2, [args.batch, args.size, args.size])
    steps = {name: make_step(model, DiceCELoss(), x, y) for name, model in models.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for i in range(args.rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if i:  # the first warms up
                seconds[name].append(time.perf_counter() - start)
    print(f"\nA step of MSUNet, {args.blocks} blocks, width {args.width}:")
    report(seconds, "authors' layout", args.batch)


def make_step(model: Any, loss: Any, x: Any, y: Any) -> Callable[[], None]:
    """A training step of a model on one batch."""
    import paddle

    optimizer = paddle.optimizer.Momentum(0.01, 0.9, model.parameters(), weight_decay=4e-5)
    model.train()

    def step() -> None:
        value = loss(model(x)[0], y)
        value.backward()
        optimizer.step()
        optimizer.clear_grad(set_to_zero=False)
        float(value)

    return step


def compare_loaders(args: argparse.Namespace) -> None:
    """Print images a second of the loader alone, at the paper's size."""
    from paddleseg_sclc.training.cache import cached
    from paddleseg_sclc.training.data import make_loader

    batches, size, batch = 8, 256, 4
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        make_patches(Path(folder))
        plain = make_dataset(Path(folder), size)
        kinds = {"from files": (plain, 0), "2 workers": (plain, 2), "cached": (cached(plain, 2), 0)}
        for _ in range(args.rounds):
            for name, (dataset, workers) in kinds.items():
                start = time.perf_counter()
                for _ in make_loader(dataset, batch, batches, 0, num_workers=workers):
                    pass
                seconds.setdefault(name, []).append((time.perf_counter() - start) / batches)
    print(f"\nThe loader alone, {PATCH_SIDE}x{PATCH_SIDE} PNG to {size}x{size}:")
    report(seconds, "from files", batch)


def report(seconds: dict[str, list[float]], reference: str, batch: int) -> None:
    """Print medians of seconds a batch, images a second, and the ratio to the reference."""
    base = statistics.median(seconds[reference])
    for name, values in seconds.items():
        middle = statistics.median(values)
        print(
            f"  {name:26} {middle:8.3f} s a batch  {batch / middle:8.2f} images/s  "
            f"{middle / base:5.2f} x the time of {reference}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparisons."""
    args = parse_args(argv)
    if args.worker:
        time_loop(args)
        return 0
    import paddle

    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}, Python {platform.python_version()}, Paddle "
        f"{paddle.__version__}"
    )
    for name, compare in (
        ("step", compare_steps),
        ("loader", compare_loaders),
        ("loop", compare_loops),
    ):
        if args.only in (None, name):
            compare(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
