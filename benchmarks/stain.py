"""Measure stain normalisation beside staintools, tiatoolbox and torchstain.

    python benchmarks/stain.py --images DIR --target IMAGE --peers /tmp/peers

--images holds H&E patches (those of the paper's authors: 1024 x 1024), --target the image to
normalise to. Peers are installed into environments of their own below --peers, once; without
--peers only this project is measured. All take turns, image by image, each in its own process
and each call after one on another image and with the image in memory, not in the cache; printed are
medians over rounds and images, as Markdown.
Memory is what a new process grows by, its greatest over the images.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from skimage.metrics import structural_similarity

from paddleseg_sclc import __version__
from paddleseg_sclc.dataset.paddleseg_format import read_image
from paddleseg_sclc.stain import VahadaneNormalizer, concentrations, rgb_to_od, stain_angles
from paddleseg_sclc.stain.background import estimate_background
from paddleseg_sclc.stain.dictionary import RUIFROK
from paddleseg_sclc.stain.histogram import histogram_of

WORKER = Path(__file__).with_name("stain_worker.py")
# What a peer is, and what its normaliser needs where installing all of it is impossible.
PEERS: dict[str, list[list[str]]] = {
    "staintools": [["staintools==2.1.2", "spams-bin==2.6.14"]],
    "tiatoolbox": [
        ["--no-deps", "tiatoolbox==2.1.3"],
        ["numpy<2.3", "opencv-python-headless", "scikit-learn", "scikit-image", "dask", "zarr"],
        ["shapely", "pandas", "matplotlib", "requests", "tifffile", "tqdm", "psutil", "filelock"],
        ["pyyaml", "joblib", "pillow"],
    ],
    "torchstain": [["torchstain==1.4.1", "numpy<2"]],
}
# Threads of OpenMP and OpenBLAS spin for a while after their work, on the next one's cores.
PAUSE = 0.5
COPIES = ("copy", "copy, cached")
OURS = (*COPIES, "ours", "ours, background 255")


class Tool:
    """A worker process, started anew when it has died."""

    def __init__(self, name: str, python: str, target: Path) -> None:
        self.name = name
        self._command = [python, "-W", "ignore", str(WORKER), name, str(target)]
        self._process: subprocess.Popen[str] | None = None

    def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command and return the answer; `error` says what went wrong."""
        try:
            process = self._start()
            assert process.stdin is not None
            assert process.stdout is not None
            print(json.dumps(command), file=process.stdin, flush=True)
            line = process.stdout.readline()
        except OSError as error:
            return {"error": str(error)}
        if line:
            return json.loads(line)
        return {"error": f"the process died ({process.wait()})"}

    def _start(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                self._command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
            )
            assert self._process.stdout is not None
            self._process.stdout.readline()
        return self._process

    def stop(self) -> None:
        """End the process."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()


def install(name: str, folder: Path) -> str:
    """Install a peer into an environment of its own, if it is not there; return its Python.

    Raises:
        RuntimeError: it cannot be installed.
    """
    python = folder / name / "bin" / "python"
    if not (folder / name / "installed").is_file():
        venv.create(folder / name, with_pip=True)
        for packages in PEERS[name]:
            command = [str(python), "-m", "pip", "install", "-q", *packages]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(done.stderr.strip().splitlines()[-1])
        (folder / name / "installed").touch()
    return str(python)


def optimum(image: np.ndarray, white: np.ndarray) -> np.ndarray:
    """Return the stain matrix over every tissue pixel (all channels < 220): slow and plain.

    lambda 0.1; codes by their closed form and atoms by coordinate descent, both repeated until
    nothing moves by 1e-9, for every distinct colour as often as it occurs.
    """
    keys, counts = np.unique(image.reshape(-1, 3) @ [65536, 256, 1], return_counts=True)
    rgb = np.stack([keys >> 16, keys >> 8 & 255, keys & 255])
    tissue = (rgb < 220).all(axis=0)
    od = np.log(white)[:, None] - np.log(np.clip(rgb[:, tissue].astype(float), 1, white[:, None]))
    weights, atoms = counts[tissue] / counts[tissue].sum(), RUIFROK
    for _ in range(5000):
        alone, cosine = atoms @ od - 0.1, atoms[0] @ atoms[1]
        free = (alone - cosine * alone[::-1]) / (1 - cosine**2)
        codes = np.where(free[::-1] < 0, np.maximum(alone, 0), np.maximum(free, 0))
        gram, target, last = (codes * weights) @ codes.T, (codes * weights) @ od.T, atoms
        atoms = atoms.copy()
        for _ in range(20):
            for row in range(2):
                atom = atoms[row] + (target[row] - gram[row] @ atoms) / gram[row, row]
                atom = np.maximum(atom, 0)
                atoms[row] = atom / max(np.linalg.norm(atom), 1)
        if np.abs(atoms - last).max() < 1e-9:
            break
    return atoms


def time_all(tools: Sequence[Tool], images: Sequence[Path], rounds: int) -> None:
    """Print the table of times and memory."""
    full, alone = defaultdict(list), defaultdict(list)
    for number in range(rounds):
        for index, image in enumerate(images):
            for shift in range(len(tools)):  # each comes first in turn
                tool = tools[(shift + number + index) % len(tools)]
                time.sleep(PAUSE)
                result = tool.ask(do="time", image=str(image), other=str(images[index - 1]))
                if "error" not in result:
                    full[tool.name].append(result["full"])
                    alone[tool.name].append(result["alone"])
    print("| | fit + transform, ms | times ours | transform, ms | times a copy | memory, MB |")
    print("|---|---|---|---|---|---|")
    for tool in tools:
        tool.stop()  # in a new process, whose memory has not grown yet
        memory = [tool.ask(do="memory", image=str(image)).get("memory", 0.0) for image in images]
        if not full[tool.name]:
            print(f"| {tool.name} | failed | | | | |")
            continue
        middle, bare = (statistics.median(times[tool.name]) for times in (full, alone))
        print(
            f"| {tool.name} | {middle:.2f} | {middle / statistics.median(full['ours']):.1f} "
            f"| {bare:.2f} | {bare / statistics.median(alone['copy']):.1f} "
            f"| {max(memory):.0f} |",
            flush=True,
        )


def print_angles(tools: Sequence[Tool], images: Sequence[Path]) -> None:
    """Print how far each tool's stain vectors are from the optimum at its own background."""
    _print_header("image", tools)
    worst = defaultdict(float)
    for path in images:
        row = []
        for tool in tools:
            found = tool.ask(do="matrix", image=str(path))
            if "error" in found:
                row.append(found["error"])
                continue
            best = optimum(np.load(path), np.array(found["white"]))
            angle = stain_angles(found["matrix"], best)
            worst[tool.name] = max(worst[tool.name], float(angle.max()))
            row.append(f"{angle[0]:.3f}, {angle[1]:.3f}")
        print(f"| {path.stem} | " + " | ".join(row) + " |", flush=True)
    print("| worst | " + " | ".join(f"{worst[tool.name]:.3f}" for tool in tools) + " |")


def _print_header(first: str, tools: Sequence[Tool]) -> None:
    print(f"\n| {first} | " + " | ".join(tool.name for tool in tools) + " |")
    print("|---" * (len(tools) + 1) + "|")


def quality(source: np.ndarray, result: np.ndarray, matrix: np.ndarray) -> dict[str, Any]:
    """Return the figures of one normalised image."""
    white = np.full(3, 255.0)
    # Of the source, so that all are measured on the same pixels.
    glass = estimate_background(histogram_of([source]))
    tissue = rgb_to_od(source, glass).mean(axis=2) > 0.15
    lab = cv2.cvtColor(result.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[tissue]
    light = [cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (source, result)]
    return {
        "angle": stain_angles(optimum(result, white), matrix).mean(),
        "ssim": structural_similarity(*light),
        "lab": lab.mean(axis=0),
        "stains": concentrations(result, matrix)[tissue].mean(axis=0),
    }


def print_quality(
    results: dict[str, Callable[[Path], np.ndarray | str]], images: Sequence[Path], target: Path
) -> None:
    """Print angle, SSIM and spreads of normalised images, by tool."""
    matrix = optimum(np.load(target), np.full(3, 255.0))
    print("\n| | angle to target | SSIM | spread of L | of a | of b | of H | of E |")
    print("|---|---|---|---|---|---|---|---|")
    for name, transform in results.items():
        figures = []
        for path in images:
            result = transform(path)
            if isinstance(result, str):
                print(f"| {name} | {path.stem}: {result} | | | | | | |")
                break
            figures.append(quality(np.load(path), result, matrix))
        else:
            angle, ssim = (np.mean([f[key] for f in figures]) for key in ("angle", "ssim"))
            spread = [*np.std([f["lab"] for f in figures], axis=0)]
            spread += [*np.std([f["stains"] for f in figures], axis=0)]
            cells = " | ".join(f"{value:.3f}" for value in spread)
            print(f"| {name} | {angle:.2f} | {ssim:.3f} | {cells} |", flush=True)


def transforms(
    tools: Sequence[Tool], images: Sequence[Path], target: Path, folder: Path
) -> dict[str, Callable[[Path], np.ndarray | str]]:
    """Return the ways an image may be normalised, by name."""

    def by(tool: Tool) -> Callable[[Path], np.ndarray | str]:
        def transform(path: Path) -> np.ndarray | str:
            output = folder / "result.npy"
            answer = tool.ask(do="transform", image=str(path), output=str(output))
            return answer["error"] if "error" in answer else np.load(output)

        return transform

    together = VahadaneNormalizer(target=np.load(target)).fit_blocks(map(np.load, images))
    ways = {tool.name: by(tool) for tool in tools if tool.name not in COPIES}
    return {
        "not normalised": np.load,
        **ways,
        "ours, one fit for all": lambda path: together.transform(np.load(path)),
    }


def print_degenerate(tools: Sequence[Tool], folder: Path) -> None:
    """Print what becomes of tiles with nothing to see."""
    rng = np.random.default_rng(0)
    shape = (512, 512, 3)
    tiles = {
        "white": np.full(shape, 255, np.uint8),
        "white, noise": np.clip(245 + 4 * rng.standard_normal(shape), 0, 255).astype(np.uint8),
        "one colour": np.full(shape, (220, 150, 190), np.uint8),
        "black": np.zeros(shape, np.uint8),
        "grey ramp": np.broadcast_to(np.linspace(0, 255, 512)[:, None], shape).astype(np.uint8),
    }
    _print_header("", tools)
    for name, tile in tiles.items():
        np.save(folder / f"{name}.npy", tile)
        row = []
        for tool in tools:
            paths = {"image": str(folder / f"{name}.npy"), "output": str(folder / "result.npy")}
            answer = tool.ask(do="transform", **paths)
            row.append(answer.get("error") or _describe(tile, np.load(folder / "result.npy")))
        print(f"| {name} | " + " | ".join(row) + " |", flush=True)


def _describe(tile: np.ndarray, result: np.ndarray) -> str:
    change = np.abs(result.astype(int) - tile).mean()
    spread = (result.max(axis=2).astype(int) - result.min(axis=2)).mean()
    return f"mean {result.mean():.0f}, changed by {change:.0f}, colour {spread:.0f}"


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True, help="folder of H&E patches")
    parser.add_argument("--target", type=Path, required=True, help="image to normalise to")
    parser.add_argument("--peers", type=Path, help="folder for the peers' environments")
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run all of it."""
    args = parse_args(argv)
    patches = sorted(args.images.glob("*.png"))
    if not patches:
        print(f"error: {args.images}: must hold PNG images, got none", file=sys.stderr)
        return 1
    processor = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line for line in processor if line.startswith("model name")), "?: ?")
    print(
        f"paddleseg_sclc {__version__}, Python {platform.python_version()}, NumPy "
        f"{np.__version__}, OpenCV {cv2.__version__}, {platform.system()}, {os.cpu_count()} x"
        f"{model.split(':')[1].rstrip()}, {args.rounds} rounds\n"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = []
        for path in [*patches, args.target]:
            images.append(folder / f"{path.stem}.npy")
            np.save(images[-1], read_image(path))
        target = images[-1]
        tools = [Tool(own, sys.executable, target) for own in OURS]
        for peer in PEERS if args.peers else ():
            try:
                tools.append(Tool(peer, install(peer, args.peers), target))
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                print(f"{peer}: cannot be installed: {error}\n")
        time_all(tools, images, args.rounds)
        print_angles([t for t in tools if t.name not in (*COPIES, "torchstain")], images)
        print_quality(transforms(tools, images[:-1], target, folder), images[:-1], target)
        print_degenerate([t for t in tools if t.name not in COPIES], folder)
        for tool in tools:
            tool.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
