"""What all tests share: where real data lies, and the tools as modules."""

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"

# Paddle counts its threads when it is imported; two is what the smallest machine has.
os.environ.setdefault("FLAGS_paddle_num_threads", "2")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the project; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"real data: there is no folder {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def load_tool() -> Callable[[str], ModuleType]:
    """Load tools/NAME.py as a module."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"tool_{name}", ROOT / "tools" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    return load
