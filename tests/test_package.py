"""Rules that hold for the package as a whole."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import paddleseg_sclc

PACKAGE = Path(paddleseg_sclc.__file__).parent
HEAVY = ("paddle", "paddleseg", "openslide", "cv2", "tifffile", "skimage")
# An area may import what stands below it, itself and the single modules of the package's root.
LAYERS = [
    {"training", "evaluation", "inference", "dataset", "report", "demo", "plugin"},
    {"models", "losses", "metrics", "slides", "stain", "annotations", "compat"},
    {"errors", "files", "cli"},
]
# Inside the first layer data flows one way, too.
FLOW = ["dataset", "inference", "evaluation", "training", "report"]


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, at any depth."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def area(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "paddleseg_sclc" and len(parts) > 1 else None


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def own_area(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def layer(name: str) -> int | None:
    return next((i for i, names in enumerate(LAYERS) if name in names), None)


def test_importing_the_package_is_light():
    code = f"import sys, paddleseg_sclc; print([m for m in {HEAVY} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_importing_the_plugin_warns_of_nothing():
    result = subprocess.run(
        [sys.executable, "-c", "import paddleseg_sclc.plugin"], capture_output=True, text=True
    )
    assert (result.returncode, result.stderr, result.stdout) == (0, "", "")


def test_a_missing_system_library_gives_the_line_to_run():
    code = (
        "import sys; sys.modules['cv2'] = None\n"
        "try:\n    import paddleseg_sclc.plugin\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("SclcError")
    assert "apt-get install -y libgl1 libglib2.0-0 libgomp1" in result.stdout


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_downward(path):
    own = own_area(path)
    for module in imports(path):
        other = area(module)
        if other is None or other == own or layer(own) is None or layer(other) is None:
            continue
        assert layer(other) >= layer(own), f"{own} imports {module}"
        if own in FLOW and other in FLOW:
            assert FLOW.index(other) < FLOW.index(own), f"{own} imports {module}"


@pytest.mark.parametrize("name", ["slides", "stain", "annotations"])
def test_readers_know_neither_paddle_nor_one_another(name):
    others = {"slides", "stain", "annotations"} - {name}
    for path in (PACKAGE / name).rglob("*.py"):
        for module in imports(path):
            assert module.split(".")[0] not in ("paddle", "paddleseg"), f"{path} imports {module}"
            assert area(module) not in others, f"{path} imports {module}"


def test_one_module_knows_openslide():
    users = [p for p in files() if any(m.split(".")[0] == "openslide" for m in imports(p))]
    assert {p.relative_to(PACKAGE).as_posix() for p in users} <= {"slides/reader.py"}


def test_only_training_and_tools_touch_paddlesegs_config():
    users = {own_area(p) for p in files() if "paddleseg.cvlibs.Config" in imports(p)}
    assert users == {"training"}


def test_the_check_says_what_is_installed():
    command = [sys.executable, "-m", "paddleseg_sclc"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"paddleseg_sclc {paddleseg_sclc.__version__}" in result.stdout
    assert "PaddleSeg 2.8.0" in result.stdout
    assert result.stderr == ""
