import importlib.util
from pathlib import Path

import numpy as np
import pytest

from paddleseg_sclc.demo.layout import Layout, Shape
from paddleseg_sclc.demo.scene import Scene
from paddleseg_sclc.demo.stain import REFERENCE_MATRIX, Stain

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="session")
def load_tool():
    """Load a tool by its file name."""

    def load(name):
        spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def stain():
    """A stain without variation, blur or noise."""
    matrix = REFERENCE_MATRIX / np.linalg.norm(REFERENCE_MATRIX, axis=1, keepdims=True)
    return Stain(matrix, np.ones(2), np.full(3, 240.0), blur=0.0, noise=0.0)


@pytest.fixture(scope="session")
def everything(stain):
    """A scene of 1 mm that shows every kind of tissue."""
    places = {
        "tumour": (250, 250, 190),
        "necrosis": (250, 250, 60),
        "lymphoid": (700, 200, 140),
        "cartilage": (700, 520, 130),
        "gland": (200, 620, 120),
        "bronchus": (450, 560, 90),
        "vessel": (450, 350, 50),
        "lung": (200, 850, 180),
        "glass": (950, 900, 260),
    }
    shapes = tuple(Shape(kind, *place) for kind, place in places.items())
    return Scene(Layout(shapes, direction=0.6, shrinkage=2.5), stain, seed=11)
