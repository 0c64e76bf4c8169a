"""Export a trained network for Paddle Inference.

python tools/export.py --run output/msunet_4blocks --save_dir export --input_shape 1 3 256 256

Also with --config FILE --model_path FILE. Option names and meaning are those of PaddleSeg's
tools/export.py.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from paddleseg_sclc import cli


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    cli.add_trained_options(parser)
    add("--save_dir", type=Path, default=Path("output/inference_model"), help="folder to write")
    add("--output_op", choices=["argmax", "softmax", "none"], default="argmax")
    add("--input_shape", type=int, nargs=4, metavar=("N", "C", "H", "W"), help="-1 is free")
    add("--onnx", action="store_true", help="write model.onnx as well (needs paddle2onnx)")
    return parser.parse_args(argv)


def run(argv: Sequence[str] | None) -> int:
    """Export as the command line says."""
    args = parse_args(argv)
    from paddleseg_sclc.inference.export import export
    from paddleseg_sclc.training.device import set_device
    from paddleseg_sclc.training.trained import find_trained

    trained = find_trained(args.run, args.config, args.model_path, args.opts)
    set_device(args.device)
    model = trained.build().model
    transforms = trained.config.val_dataset_cfg.get("transforms", [])
    with cli.usage_errors():
        files = export(
            model, transforms, args.save_dir, args.output_op, args.input_shape, args.onnx
        )
    for file in files:
        print(file)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return cli.run(run, argv)


if __name__ == "__main__":
    sys.exit(main())
