"""Checkpoints that are whole or not there, and weights read without running what they hold.

A checkpoint is a folder, named and laid out as PaddleSeg's own `resume` expects it, with one
file more:

    iter_1000/model.pdparams   weights
    iter_1000/model.pdopt      optimiser and learning rate schedule
    iter_1000/ema.pdparams     moving average of the weights, with --use_ema
    iter_1000/state.json       iteration, best scores, SHA-256 of the others
"""

import hashlib
import io
import json
import os
import pickle
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn

from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.files import make_folder, write_error

WEIGHTS = "model.pdparams"
OPTIMIZER = "model.pdopt"
AVERAGE = "ema.pdparams"
STATE = "state.json"
_PART, _OLD = ".part", ".old"
_MAPPING_KEY = "StructuredToParameterName@@"

# What a file of arrays needs; anything else in a pickle is code that loading would run.
_SAFE_GLOBALS = {
    ("builtins", "tuple"),
    ("collections", "OrderedDict"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _SAFE_GLOBALS:
            raise pickle.UnpicklingError(f"it would run {module}.{name}")
        return super().find_class(module.replace("numpy._core", "numpy.core"), name)


def read_arrays(path: Path) -> dict[str, Any]:
    """Read a `.pdparams` or `.pdopt` file: names to arrays, numbers and dicts of those.

    Unlike `paddle.load`, nothing in the file is run.

    Raises:
        SclcError: it is missing, damaged, or holds more than arrays.
    """
    try:
        content = _ArrayUnpickler(io.BytesIO(path.read_bytes())).load()
    except FileNotFoundError:
        raise SclcError(f"{path}: there is no such checkpoint file") from None
    except Exception as error:  # a damaged pickle raises almost anything
        raise SclcError(
            f"{path}: a checkpoint must be a whole file of arrays as paddle.save writes it, "
            f"but reading failed ({error}); use another one"
        ) from error
    if not isinstance(content, dict):
        raise SclcError(
            f"{path}: a checkpoint must hold named arrays, got {type(content).__name__}"
        )
    content.pop(_MAPPING_KEY, None)
    return content


def read_weights(path: Path) -> dict[str, Any]:
    """Read a network's weights.

    Args:
        path: a `.pdparams` file, or a folder that holds `model.pdparams`. One that lies in a
            checkpoint of this project is checked against it.

    Raises:
        SclcError: it is missing, damaged, or holds more than arrays.
    """
    path = path / WEIGHTS if path.is_dir() else path
    if path.name == WEIGHTS and (path.parent / STATE).is_file():
        read_state(path.parent)
    return {
        # paddle.save keeps the tensors of a nested dict as (name, array).
        name: value[1] if isinstance(value, tuple) else value
        for name, value in read_arrays(path).items()
    }


def load_weights(model: nn.Layer, path: Path) -> None:
    """Load all weights of a model, each of which must be in the file, with its shape.

    Args:
        model: changed in place.
        path: see `read_weights`.

    Raises:
        SclcError: it cannot be read, or is of another network (names the tensors that differ).
    """
    arrays = read_weights(path)
    differences = find_differences(model.state_dict(), arrays)
    if differences:
        raise refuse(path, model, differences)
    model.set_state_dict(arrays)


def find_differences(tensors: Mapping[str, Any], arrays: Mapping[str, Any]) -> list[str]:
    """How arrays differ from a network's tensors by name and shape, a phrase each."""
    expected = {name: list(tensor.shape) for name, tensor in tensors.items()}
    found = {name: list(np.shape(value)) for name, value in arrays.items()}
    other = [
        f"{name} has shape {found[name]} instead of {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    missing = [f"{name} is missing" for name in expected if name not in found]
    extra = [f"{name} is unknown" for name in found if name not in expected]
    return other + missing + extra


def refuse(path: Path, model: nn.Layer, differences: Sequence[str]) -> SclcError:
    """The error that weights are of another network."""
    more = f" and {len(differences) - 4} more" if len(differences) > 4 else ""
    return SclcError(
        f"{path}: the checkpoint must be of this network ({type(model).__name__}, "
        f"{len(model.state_dict())} tensors), but {'; '.join(differences[:4])}{more}; use the "
        "config that it was trained with"
    )


def save_checkpoint(
    folder: Path,
    model: nn.Layer,
    optimizer: Any | None,
    state: Mapping[str, Any],
    average: nn.Layer | None = None,
) -> None:
    """Write a checkpoint folder beside its place, then rename it there.

    Args:
        folder: the checkpoint's name; a checkpoint that is there already is replaced.
        model: what to save.
        optimizer: what to save; None for weights alone.
        state: JSON values to keep with it.
        average: a network with averaged weights, to keep too.

    Raises:
        SclcError: it cannot be written; what was there before is still there.
    """
    make_folder(folder.parent)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}{_PART}")
    try:
        temporary.mkdir()
        paddle.save(model.state_dict(), str(temporary / WEIGHTS))
        if optimizer is not None:
            paddle.save(optimizer.state_dict(), str(temporary / OPTIMIZER))
        if average is not None:
            paddle.save(average.state_dict(), str(temporary / AVERAGE))
        checksums = {file.name: _sha256(file) for file in sorted(temporary.iterdir())}
        # No new line at its end: without its last byte, too, the file is no longer whole.
        content = json.dumps({**state, "sha256": checksums}, indent=2)
        (temporary / STATE).write_text(content, encoding="utf-8")
        _flush(temporary)
        _replace_folder(temporary, folder)
    except OSError as error:
        raise write_error(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Have the disk write a folder's files, so that a power cut cannot empty them."""
    for path in [*folder.iterdir(), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError:  # not every file system can, for folders above all
            if path.is_file():
                raise
        finally:
            os.close(descriptor)


def _replace_folder(source: Path, target: Path) -> None:
    """Rename a folder over another one, which is removed only once the new one stands."""
    old = source.with_name(f"{source.name}{_OLD}")
    if target.exists():
        target.rename(old)
    source.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def clean_up(parent: Path) -> None:
    """Remove what a killed process left half-written; put back what it was replacing."""
    for old in parent.glob(f".*{_PART}{_OLD}"):
        target = parent / old.name[1:].rsplit(".", 3)[0]
        if not target.exists():
            old.rename(target)
    for rest in [*parent.glob(f".*{_PART}"), *parent.glob(f".*{_PART}{_OLD}")]:
        if rest.is_dir():
            shutil.rmtree(rest, ignore_errors=True)


def read_state(folder: Path) -> dict[str, Any]:
    """Check that a checkpoint is whole and return what `save_checkpoint` kept with it.

    Raises:
        SclcError: a file is missing, cut or changed.
    """
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        for name, checksum in state["sha256"].items():
            if _sha256(folder / Path(name).name) != checksum:
                raise SclcError(
                    f"{folder / name}: the file is damaged (its SHA-256 is not that of "
                    f"{STATE}); resume from an older checkpoint"
                )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SclcError(
            f"{folder}: must be a whole checkpoint of this project (with {STATE}), but reading "
            f"failed ({error}); resume from another one"
        ) from error
    return state


def resume_weights(folder: Path, model: nn.Layer) -> dict[str, Any]:
    """Load the weights of a checkpoint, in place; its optimiser lies in `OPTIMIZER`.

    Returns:
        The state kept with the checkpoint; `iteration` is the number of iterations done.

    Raises:
        SclcError: the checkpoint is not whole or of another network.
    """
    state = read_state(folder)
    load_weights(model, folder)
    return state


def resume_average(folder: Path, average: nn.Layer) -> None:
    """Load averaged weights; a run that had none starts its average with the weights."""
    name = AVERAGE if (folder / AVERAGE).is_file() else WEIGHTS
    load_weights(average, folder / name)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
