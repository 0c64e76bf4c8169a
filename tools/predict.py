"""Predict the masks of patches.

python tools/predict.py --run output/msunet_4blocks --image_path patches/ --save_dir result

Images get the colours of the run's training patches first, if those were normalised; images of a
dataset, or of tools/normalize_stain.py, that have them already are left as they are.

Also with --config FILE --model_path FILE. Option names and meaning are those of PaddleSeg's
tools/predict.py. Research use only: not for diagnosis.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from paddleseg_sclc import cli
from paddleseg_sclc.errors import UsageError
from paddleseg_sclc.inference.options import add_inference_options, inference_options
from paddleseg_sclc.inference.stains import WAYS, InputStains, read_training_stain


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    cli.add_trained_options(parser)
    add("--image_path", type=Path, required=True, help="image, folder, or list of paths")
    add("--save_dir", type=Path, default=Path("output/result"), help="where results go")
    add("--probability", action="store_true", help="write the tumour's probability as 16-bit PNG")
    add("--custom_color", type=int, nargs="+", help="r g b of class 0, of class 1 ...")
    add(
        "--stain",
        default=WAYS[0],
        choices=WAYS,
        help="normalise the images as the run's training patches were, one fit a folder (default); "
        "not at all; or each by its own fit",
    )
    add("--stain_fit", type=Path, help="fit of their slide (tools/normalize_stain.py --save-fit)")
    add_inference_options(parser, "--aug_pred")
    args = parser.parse_args(argv)
    if args.stain_fit is not None and args.stain != WAYS[0]:
        parser.error(f"--stain_fit: goes with --stain {WAYS[0]}, got {args.stain}")
    return args


def find_stains(args: argparse.Namespace, paths: Sequence[Path]) -> InputStains | None:
    """What brings the images to the training patches' colours; None where nothing does."""
    stain = read_training_stain(Path(args.run)) if args.run else None
    if stain is None or args.stain == "none":
        if args.stain_fit is not None or args.stain == "per_patch":
            raise UsageError(
                "--stain, --stain_fit: the network must be a --run whose training patches were "
                "normalised (RUN/stain_target.json); normalise with tools/normalize_stain.py"
            )
        return None
    if args.stain == "per_patch":
        stain = dataclasses.replace(stain, per_patch=True)
    stains = InputStains(stain, paths, args.stain_fit)
    for note in stains.notes:
        print(f"not fitted: {note}", file=sys.stderr)
    return stains


def predict(argv: Sequence[str] | None) -> int:
    """Predict as the command line says."""
    args = parse_args(argv)
    from paddleseg.transforms import Compose

    from paddleseg_sclc.inference.engine import Predictor
    from paddleseg_sclc.inference.patches import find_inputs, predict_patches
    from paddleseg_sclc.inference.pictures import NOTICE, parse_colours
    from paddleseg_sclc.training.device import set_device
    from paddleseg_sclc.training.trained import find_trained

    inputs = find_inputs(args.image_path)
    trained = find_trained(args.run, args.config, args.model_path, args.opts)
    print(f"device: {set_device(args.device)}", flush=True)
    builder = trained.build()
    with cli.usage_errors():
        colours = parse_colours(args.custom_color, builder.num_classes)
        options = inference_options(args, trained.config.test_config)
    stains = find_stains(args, [item.path for item in inputs])
    transforms = Compose(builder.val_transforms)
    faults = predict_patches(
        Predictor(builder.model, options),
        transforms,
        inputs,
        args.save_dir,
        colours,
        args.probability,
        stains,
    )
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    if stains is not None:
        print(stains.summary())
    print(f"{len(inputs) - len(faults)} of {len(inputs)} images predicted: {args.save_dir}")
    print(NOTICE)
    return 1 if faults else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return cli.run(predict, argv)


if __name__ == "__main__":
    sys.exit(main())
