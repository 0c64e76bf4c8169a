import importlib.util
import json
from pathlib import Path

import pytest

import paddleseg_sclc.stain
from paddleseg_sclc.stain import METHODS

ROOT = Path(__file__).parents[2]
WARWICK = Path(paddleseg_sclc.stain.__file__).with_name("warwick.json")


@pytest.fixture(scope="module")
def derive():
    path = ROOT / "benchmarks" / "derive_warwick_target.py"
    spec = importlib.util.spec_from_file_location("derive_warwick_target", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_derives_the_figures_that_are_shipped(derive, shared, tmp_path, capsys):
    image = shared / "stain" / "warwick_target.png"
    assert derive.main([str(image), "--output", str(tmp_path / "x.json")]) == 0
    assert json.loads((tmp_path / "x.json").read_text()) == json.loads(WARWICK.read_text())


@pytest.mark.parametrize("method", METHODS)
def test_warwick_is_the_default_target(method):
    figures = json.loads(WARWICK.read_text())[method]
    assert METHODS[method]().target.to_dict() == figures
    assert METHODS[method](target="warwick").target.to_dict() == figures
