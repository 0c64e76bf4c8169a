"""JSON files that may come from anyone: read with every doubt, written whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.files import atomic_path

_MAX_BYTES = 1_000_000


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a small JSON file.

    Raises:
        SclcError: it cannot be read, is too large, is not UTF-8 or not JSON (NaN and Infinity,
            which Python would accept, are not).
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise SclcError(f"{path}: must have at most {_MAX_BYTES} bytes, got {size}")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SclcError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SclcError(f"{path}: must be JSON in UTF-8, got other bytes") from error
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise SclcError(f"{path}: must be JSON, got what cannot be parsed: {error}") from error


def write_json(path: str | os.PathLike[str], figures: Any) -> None:
    """Write a JSON file, indented, whole or not at all.

    Raises:
        SclcError: it cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")
