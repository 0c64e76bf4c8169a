"""Validation of trained networks: the figures of the paper's table 1, and their table."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prettytable import PrettyTable

from paddleseg_sclc.dataset.paddleseg_format import CLASSES
from paddleseg_sclc.evaluation import Evaluation, evaluate
from paddleseg_sclc.files import atomic_path
from paddleseg_sclc.inference.engine import Predictor
from paddleseg_sclc.inference.options import InferenceOptions
from paddleseg_sclc.models.summary import count_macs, count_parameters
from paddleseg_sclc.training.config import Builder, check_data, load_config
from paddleseg_sclc.training.trained import Trained


@dataclass(frozen=True)
class NetworkSize:
    """How large a network is.

    Attributes:
        name: of the config.
        parameters: batch norm's running statistics included.
        macs: multiply-adds of a forward pass of a 256x256 image.
    """

    name: str
    parameters: int
    macs: int


@dataclass(frozen=True)
class Validation:
    """A network's figures.

    Attributes:
        name: of the run or config.
        weights: the file.
        parameters: of the network.
        evaluation: what was counted.
        seconds: per image, preprocessing included.
    """

    name: str
    weights: Path
    parameters: int
    evaluation: Evaluation
    seconds: float


def summarize(config: str, opts: Sequence[str] | None = None) -> NetworkSize:
    """Build a config's network and measure its size."""
    model = Builder(load_config(config, opts=opts)).model
    return NetworkSize(Path(config).stem, count_parameters(model), count_macs(model))


def validate_trained(trained: Trained, options: InferenceOptions) -> Validation:
    """Predict the validation set of a trained network's config and count.

    Raises:
        SclcError: data or weights cannot be used.
    """
    check_data(trained.config.dic, ["val_dataset"])
    builder = trained.build()
    dataset = builder.val_dataset
    start = time.monotonic()
    evaluation = evaluate(Predictor(builder.model, options), dataset)
    seconds = (time.monotonic() - start) / len(dataset)
    return Validation(
        trained.name, trained.weights, count_parameters(builder.model), evaluation, seconds
    )


def format_summary(sizes: Sequence[NetworkSize]) -> str:
    """A table of network sizes."""
    table = PrettyTable(["Network", "Parameters", "Multiply-adds (256x256)"], align="r")
    table.align["Network"] = "l"
    for size in sizes:
        table.add_row([size.name, f"{size.parameters:,}", f"{size.macs / 1e9:.1f} G"])
    return table.get_string()


def format_table(results: Sequence[Validation]) -> str:
    """The paper's table 1 with what belongs beside it; pooled over all pixels."""
    columns = ["Network", "Params", "mIOU", "Accuracy", "Kappa", "Dice", "s/image"]
    table = PrettyTable(columns, align="r")
    table.align["Network"] = "l"
    for result in results:
        figures = result.evaluation.figures(["miou", "accuracy", "kappa", "dice"])
        values = [f"{value:.4f}" for value in figures.values()]
        size = f"{result.parameters / 1e6:.2f}M"
        table.add_row([result.name, size, *values, f"{result.seconds:.2f}"])
    lines = [table.get_string()]
    for result in results:
        images = len(result.evaluation.images)
        lines.append(f"{result.name}: {images} images, all pixels pooled; {result.weights}")
        per_class = result.evaluation.figures(["class_iou", "class_precision", "class_recall"])
        for index, name in enumerate(_class_names(len(result.evaluation.matrix))):
            iou, precision, recall = (values[index] for values in per_class.values())  # type: ignore[index]
            lines.append(f"  {name}: IoU {iou:.4f}, precision {precision:.4f}, recall {recall:.4f}")
    return "\n".join(lines)


def write_figures(path: Path, results: Sequence[Validation]) -> None:
    """Write every figure and confusion matrix as JSON; what is not defined is null."""
    content = [
        {
            "name": result.name,
            "weights": str(result.weights),
            "parameters": result.parameters,
            "seconds_per_image": result.seconds,
            "confusion_matrix": result.evaluation.matrix.tolist(),
            **{name: _plain(value) for name, value in result.evaluation.figures().items()},
            "images": [
                {"image": image, "confusion_matrix": matrix.tolist()}
                for image, matrix in result.evaluation.images
            ],
        }
        for result in results
    ]
    with atomic_path(path) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return [_plain(item) for item in value.tolist()]
    return value if value == value else None


def _class_names(count: int) -> Sequence[str]:
    return CLASSES if count == len(CLASSES) else [f"class {i}" for i in range(count)]
