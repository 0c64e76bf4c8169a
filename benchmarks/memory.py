"""Compare the memory planner's estimates with the peaks of real training steps.

    python benchmarks/memory.py                      # on the CPU
    python benchmarks/memory.py --device gpu --width 64 --batch 4 12 --size 256

For each way of recomputing, width and batch: the estimate, Paddle's own peak of allocated bytes
over two steps in a process of its own, and what an image adds to the peak, relative to a step that
recomputes nothing. On the CPU, estimates count the buffer of Paddle's convolutions there (im2col).
"""

import argparse
import functools
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from own_process import answer, ask

CONFIG = Path(__file__).parents[1] / "configs" / "msunet_4blocks.yml"


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--recompute", nargs="+", default=["none", "stages", "blocks"])
    add("--width", type=int, nargs="+", default=[16, 32, 64], help="base_channels")
    add("--batch", type=int, nargs=2, default=[1, 2], help="two batch sizes")
    add("--size", type=int, default=128, help="side of the images")
    add("--blocks", type=int, default=4)
    add("--device", default="cpu")
    add("--case", help=argparse.SUPPRESS)  # way, width and batch, in a process of its own
    return parser.parse_args(argv)


def build(args: argparse.Namespace, way: str, width: int) -> tuple[Any, Any, dict[str, list]]:
    """The network of the paper's config at a width, its optimiser and losses."""
    from paddleseg_sclc.training.config import load_config
    from paddleseg_sclc.training.plan_table import build_config

    size = [f"model.base_channels={width}", f"model.num_blocks={args.blocks}"]
    return build_config(load_config(CONFIG, opts=size), way)


def run_case(args: argparse.Namespace) -> None:
    """Print the measured peak of one case."""
    from paddleseg_sclc.training.device import set_device
    from paddleseg_sclc.training.planner import measure

    way, width, batch = json.loads(args.case)
    set_device(args.device)
    answer(measure(lambda: build(args, way, width), batch, args.size, args.size))


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = parse_args(arguments)
    if args.case:
        run_case(args)
        return 0
    import paddle

    from paddleseg_sclc.training.device import set_device
    from paddleseg_sclc.training.planner import trace

    set_device("cpu")
    print(f"{platform.platform()}, Python {platform.python_version()}, Paddle {paddle.__version__}")
    print(f"MSUNet, {args.blocks} blocks, {args.size}x{args.size}, float32, {args.device}\n")
    print("| width | recompute | batch | estimate, GB | measured, GB | error | an image |")
    print("|---|---|---|---|---|---|---|")
    for width in args.width:
        plain: float | None = None
        for way in args.recompute:
            footprint = trace(functools.partial(build, args, way, width))
            cases = [json.dumps([way, width, batch]) for batch in args.batch]
            peaks = [ask(__file__, *arguments, "--case", case)[0] for case in cases]
            image = None
            if peaks[0] is not None and peaks[1] is not None:
                image = (peaks[1] - peaks[0]) / (args.batch[1] - args.batch[0])
                plain = image if way == "none" else plain
            for batch, peak in zip(args.batch, peaks, strict=True):
                on_cpu = args.device == "cpu"
                estimate = footprint.peak(batch, args.size, args.size, cpu=on_cpu)
                cells = ["does not fit", ""]
                if peak is not None:
                    cells = [f"{peak / 1e9:.2f}", f"{100 * (estimate / peak - 1):+.1f} %"]
                share = f"{100 * image / plain:.0f} %" if image and plain else ""
                print(
                    f"| {width} | {way} | {batch} | {estimate / 1e9:.2f} | {' | '.join(cells)} "
                    f"| {share} |",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
