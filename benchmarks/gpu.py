"""What only a GPU can show: the paper's four configs, seconds an iteration and peak memory.

    python benchmarks/gpu.py                       # float32, fp16 and bf16 (O1, O2, NHWC)
    python benchmarks/gpu.py --precision fp32 --iters 20
    python -m paddle.distributed.launch --gpus 0,1 benchmarks/gpu.py --precision fp32

Each case runs 50 training steps at the config's batch of 12 on 256x256 random images, in a process
of its own; printed are the median of the steps after the fifth, Paddle's peak of allocated and of
reserved bytes, and the planner's estimate beside it (float32). Under `launch` the batch is shared
and batch norm is synchronised. `--device cpu` with `--opts` of a narrow network only shows that
the script runs.
"""

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from own_process import answer, ask

ROOT = Path(__file__).parents[1]
CONFIGS = ("unet", "attention_unet", "msunet_2blocks", "msunet_4blocks")
# NHWC: channels last, which only MSUNet has.
PRECISIONS = (
    *("fp32", "fp16-O1", "fp16-O2", "bf16-O1", "bf16-O2"),
    *("fp16-O1-NHWC", "fp16-O2-NHWC", "bf16-O1-NHWC", "bf16-O2-NHWC"),
)
WARM_UP = 5


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--config", nargs="+", default=list(CONFIGS), choices=CONFIGS)
    add("--precision", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    add("--iters", type=int, default=50)
    add("--batch_size", type=int, help="default: the config's, 12")
    add("--size", type=int, default=256)
    add("--device", default="gpu")
    add("--opts", nargs="+", help="override the configs: key.subkey=value")
    add("--case", nargs=2, help=argparse.SUPPRESS)  # config and precision, in its own process
    return parser.parse_args(argv)


def run_case(args: argparse.Namespace) -> None:
    """Run one case and print its figures as JSON."""
    import paddle

    from paddleseg_sclc.training import parallel
    from paddleseg_sclc.training.config import Builder, load_config
    from paddleseg_sclc.training.device import set_device, tune
    from paddleseg_sclc.training.options import TrainingOptions
    from paddleseg_sclc.training.step import TrainingStep

    name, precision = args.case
    path = ROOT / "configs" / f"{name}.yml"
    kind, level, layout = (*precision.split("-"), "", "")[:3]
    overrides = [*(args.opts or []), *(["model.data_format=NHWC"] if layout else [])]
    config = load_config(path, batch_size=args.batch_size, opts=overrides or None)
    device = set_device(args.device)
    tune(device)
    parallel.start()
    builder = Builder(config)
    options = TrainingOptions(
        iters=args.iters, batch_size=config.batch_size, precision=kind, amp_level=level or "O1"
    )
    step = TrainingStep(builder.model, builder.optimizer, builder.loss, options)
    count = config.batch_size // parallel.world_size()
    rng = np.random.default_rng(parallel.rank())
    images = rng.normal(size=(count, 3, args.size, args.size)).astype("float32")
    labels = rng.integers(0, 2, (count, args.size, args.size))
    batch = {"img": paddle.to_tensor(images), "label": paddle.to_tensor(labels)}
    times, losses = [], []
    for _ in range(args.iters):
        start = time.perf_counter()
        losses.append(step(batch).loss)  # reads the loss, and so waits for the device
        times.append(time.perf_counter() - start)
    on_gpu = args.device.startswith("gpu")
    figures = {
        "device": device,
        "seconds": float(np.median(times[min(WARM_UP, args.iters - 1) :])),
        "allocated": paddle.device.cuda.max_memory_allocated() if on_gpu else None,
        "reserved": paddle.device.cuda.max_memory_reserved() if on_gpu else None,
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "processes": parallel.world_size(),
    }
    if parallel.is_writer():
        answer(figures)


def precisions(name: str, args: argparse.Namespace) -> list[str]:
    """The asked-for precisions that a config can be run in."""
    return [p for p in args.precision if name.startswith("msunet") or not p.endswith("NHWC")]


def estimate(name: str, args: argparse.Namespace) -> int:
    """The planner's peak for a config, bytes."""
    from paddleseg_sclc.training.config import load_config
    from paddleseg_sclc.training.device import set_device
    from paddleseg_sclc.training.plan_table import build_config
    from paddleseg_sclc.training.planner import trace

    set_device("cpu")
    path = ROOT / "configs" / f"{name}.yml"
    config = load_config(path, batch_size=args.batch_size, opts=args.opts)
    footprint = trace(lambda: build_config(config))
    return footprint.peak(config.batch_size, args.size, args.size)


def main(argv: Sequence[str] | None = None) -> int:
    """Run all cases."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = parse_args(arguments)
    if args.case:
        run_case(args)
        return 0
    import paddle
    import paddle.distributed as dist

    if dist.get_world_size() > 1:
        # Under `launch` every process is a case's share; one config and precision at a time.
        for name in args.config:
            for precision in precisions(name, args):
                args.case = [name, precision]
                run_case(args)
        return 0
    print(f"{platform.platform()}, Python {platform.python_version()}, Paddle {paddle.__version__}")
    failed = False
    for name in args.config:
        print(f"{name}: planned peak in float32 {estimate(name, args) / 1e9:.2f} GB", flush=True)
        for precision in precisions(name, args):
            figures, error = ask(__file__, *arguments, "--case", name, precision)
            if figures is None:
                failed = True
                print(f"  {precision:12} failed: {error}", flush=True)
                continue
            memory = "  ".join(
                f"{kind} {figures[kind] / 1e9:.2f} GB"
                for kind in ("allocated", "reserved")
                if figures[kind] is not None
            )
            print(
                f"  {precision:12} {figures['seconds']:8.3f} s an iteration  {memory}  loss "
                f"{figures['first_loss']:.3f} to {figures['last_loss']:.3f}  ({figures['device']})",
                flush=True,
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
