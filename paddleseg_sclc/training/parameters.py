"""Parts of a network by name: frozen ones, and weights from another network."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from paddle import nn

from paddleseg_sclc.errors import UsageError
from paddleseg_sclc.models.recompute import BATCH_NORM
from paddleseg_sclc.training.checkpoint import find_differences, read_weights, refuse
from paddleseg_sclc.training.run_folder import RunFolder


class Frozen:
    """Parts of a network that do not learn.

    Args:
        model: its frozen weights are given no gradient.
        names: names of layers or weights, or what stands before a dot in one (`stage1`).

    Raises:
        UsageError: a name fits nothing, or nothing is left to learn.
    """

    def __init__(self, model: nn.Layer, names: Sequence[str]) -> None:
        parameters = dict(model.named_parameters())
        for name in names:
            if not any(_is_part(p, name) for p in parameters):
                top = ", ".join(dict.fromkeys(p.split(".")[0] for p in parameters))
                raise UsageError(
                    f"training.freeze: {name!r} must name a part of the network; known are {top}, "
                    "and what lies in them (stage2.stage_stage2_1 ...)"
                )
        for key, parameter in parameters.items():
            if any(_is_part(key, name) for name in names):
                parameter.stop_gradient = True
        if all(p.stop_gradient for p in parameters.values()):
            raise UsageError("training.freeze: something must be left to learn; name fewer parts")
        self._norms = [
            layer
            for key, layer in model.named_sublayers()
            if isinstance(layer, BATCH_NORM) and any(_is_part(key, name) for name in names)
        ]

    def hold(self) -> None:
        """Keep the statistics of frozen batch norms; after each `model.train()`."""
        for norm in self._norms:
            norm.eval()


def _is_part(key: str, name: str) -> bool:
    return key == name or key.startswith(f"{name}.")


def load_pretrained(model: nn.Layer, path: Path, num_classes: int) -> str:
    """Start from the weights of another run, whatever its number of classes.

    Args:
        model: changed in place. Tensors whose first axis counts the classes keep their random
            weights where the number differs; all others must be in the file.
        path: a run folder, a checkpoint folder or a `.pdparams` file.
        num_classes: of the model.

    Returns:
        What was loaded and what was not, for the log.

    Raises:
        SclcError: it cannot be read or is of another network.
    """
    if path.is_dir() and (path / "config.yml").is_file():
        path = RunFolder(path).require_weights()
    arrays = read_weights(path)
    tensors = model.state_dict()
    anew = [
        name
        for name, tensor in tensors.items()
        if name in arrays
        and list(np.shape(arrays[name])) != list(tensor.shape)
        and tensor.shape[0] == num_classes
        and list(np.shape(arrays[name]))[1:] == list(tensor.shape)[1:]
    ]
    kept = {name: value for name, value in arrays.items() if name not in anew}
    differences = find_differences({n: t for n, t in tensors.items() if n not in anew}, kept)
    if differences:
        raise refuse(path, model, differences)
    model.set_state_dict(kept)
    if not anew:
        return f"{path}: all {len(kept)} tensors"
    found = np.shape(arrays[anew[0]])[0]
    return (
        f"{path}: {len(kept)} of {len(tensors)} tensors; it has {found} classes and this network "
        f"{num_classes}, so that {', '.join(anew)} start afresh"
    )
