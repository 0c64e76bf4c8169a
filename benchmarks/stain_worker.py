"""One normaliser in a process of its own, for benchmarks/stain.py.

Runs in the environment of the tool that it measures, where this project need not be installed.
Reads a JSON command a line, answers with a JSON line. Images travel as .npy files.
"""

import json
import os
import sys
import time
import types
from functools import cache
from pathlib import Path

import numpy as np


class Copy:
    """The least that any transform does: read three bytes, write three bytes."""

    def __init__(self, target):
        self.full = self.alone = np.copy

    def matrix(self, image):
        """Return the stain matrix of an image, (2, 3), or None."""
        return None


class CachedCopy(Copy):
    """A copy of an image that lies in the processor's cache."""

    in_cache = True


class Ours:
    """This project."""

    background = "estimate"

    def __init__(self, target):
        from paddleseg_sclc.stain import VahadaneNormalizer

        self.normalizer = VahadaneNormalizer(background=self.background, target=target)
        self.full = self.normalizer.fit_transform
        self.alone = self.normalizer.transform

    def prepare(self, image):
        """Find what `alone` takes as given."""
        self.normalizer.fit(image)

    def matrix(self, image):
        """Return the stain matrix of an image, (2, 3), or None."""
        return self.normalizer.fit(image).stain_matrix

    def white(self, image):
        """Return the background that was found, (3,)."""
        return self.normalizer.fit(image).background


class Ours255(Ours):
    """This project, with the background that the peers take."""

    background = 255


class _OneMatrix:
    """In place of a peer's extractor: the matrix that it found before."""

    def __init__(self, matrix):
        self.get_stain_matrix = lambda image: matrix


class Staintools:
    """staintools with SPAMS."""

    def __init__(self, target):
        import staintools

        self.normalizer = staintools.StainNormalizer("vahadane")
        self._begin(target)

    def _begin(self, target):
        self.normalizer.fit(target)
        self.extractor = self.normalizer.extractor

    def full(self, image):
        """Return the image normalised, everything included."""
        self.normalizer.extractor = self.extractor
        return self.normalizer.transform(image)

    def prepare(self, image):
        """Find what `alone` takes as given."""
        self.found = _OneMatrix(self.extractor.get_stain_matrix(image))

    def alone(self, image):
        """Return the image normalised with the stains that `prepare` found."""
        self.normalizer.extractor = self.found
        return self.normalizer.transform(image)

    def matrix(self, image):
        """Return the stain matrix of an image, (2, 3), or None."""
        return self.extractor.get_stain_matrix(image)


class Tiatoolbox(Staintools):
    """The Vahadane normaliser of tiatoolbox.

    Its packages import all of it (PyTorch, torchvision, ...); the modules of the normaliser are
    loaded without that.
    """

    def __init__(self, target):
        import importlib.util

        root = Path(importlib.util.find_spec("tiatoolbox").origin).parent
        for name in ("tools", "utils"):
            package = types.ModuleType(f"tiatoolbox.{name}")
            package.__path__ = [str(root / name)]
            sys.modules[f"tiatoolbox.{name}"] = package
        from tiatoolbox.tools.stainnorm import get_normalizer

        self.normalizer = get_normalizer("vahadane")
        self._begin(target)


class Torchstain:
    """torchstain's Macenko in NumPy."""

    def __init__(self, target):
        import torchstain

        self.normalizer = torchstain.normalizers.MacenkoNormalizer(backend="numpy")
        self.normalizer.fit(target)

    def full(self, image):
        """Return the image normalised, everything included."""
        return self.normalizer.normalize(I=image, stains=False)[0]

    def prepare(self, image):
        """Find what `alone` takes as given."""
        self.found = self.matrix(image).T

    def alone(self, image):
        """Return the image normalised with the stains that `prepare` found."""
        kind = type(self.normalizer)
        names = "_NumpyMacenkoNormalizer__convert_rgb2od", "_NumpyMacenkoNormalizer__find_HE"
        convert, find = (getattr(kind, name) for name in names)
        # Densities are needed all the same; the directions are those that were found before.
        setattr(
            kind,
            names[0],
            lambda self, image, **options: (convert(self, image, **options)[0], _FEW),
        )
        setattr(kind, names[1], lambda *_: self.found)
        try:
            return self.full(image)
        finally:
            setattr(kind, names[0], convert)
            setattr(kind, names[1], find)

    def matrix(self, image):
        """Return the stain matrix of an image, (2, 3), or None."""
        kept = self.normalizer.HERef, self.normalizer.maxCRef
        self.normalizer.fit(image)
        found = self.normalizer.HERef
        self.normalizer.HERef, self.normalizer.maxCRef = kept
        return found.T


_FEW = np.eye(3)
# More than a processor's caches hold; reading and writing it leaves nothing else there.
CACHE = np.zeros(2**27, np.uint8)
TOOLS = {
    "copy": Copy,
    "copy, cached": CachedCopy,
    "ours": Ours,
    "ours, background 255": Ours255,
    "staintools": Staintools,
    "tiatoolbox": Tiatoolbox,
    "torchstain": Torchstain,
}


def timed(function, image, other, in_cache=False):
    """Return the milliseconds of one call, after one on another image to warm up.

    The image then comes from memory, as one of a batch does, not from the cache.
    """
    function(other)
    if in_cache:
        function(image)
    else:
        np.add(CACHE, 1, out=CACHE)
    start = time.perf_counter()
    result = function(image)
    elapsed = time.perf_counter() - start
    del result  # not before the clock stopped
    return 1e3 * elapsed


def memory(name):
    """Return VmRSS or VmHWM of this process in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return float("nan")


def measure_memory(function, image):
    """Return how far the process grows while it works, in MB."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    base = memory("VmRSS")
    function(image)
    return memory("VmHWM") - base


@cache
def load(path):
    """Return an image, kept in memory as those of a batch would be."""
    return np.load(path)


def answer(tool, command):
    """Do what the command says."""
    image = load(command["image"])
    if command["do"] == "time":
        other = load(command["other"])
        cached = getattr(tool, "in_cache", False)
        full = timed(tool.full, image, other, cached)
        if hasattr(tool, "prepare"):
            tool.prepare(image)
        return {"full": full, "alone": timed(tool.alone, image, other, cached)}
    if command["do"] == "memory":
        return {"memory": measure_memory(tool.full, image)}
    if command["do"] == "transform":
        np.save(command["output"], tool.full(image))
        return {}
    white = tool.white(image).tolist() if hasattr(tool, "white") else [255.0] * 3
    matrix = tool.matrix(image)
    return {"matrix": None if matrix is None else np.asarray(matrix).tolist(), "white": white}


def main():
    """Serve commands until the input ends."""
    # Tools print what they like; answers have the real output to themselves.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    tool = TOOLS[sys.argv[1]](np.load(sys.argv[2]))
    print(json.dumps({"ready": True}), file=out, flush=True)
    for line in sys.stdin:
        try:
            result = answer(tool, json.loads(line))
        except Exception as error:
            text = str(error).splitlines()
            result = {"error": f"{type(error).__name__}: {text[0][:40] if text else ''}"}
        print(json.dumps(result), file=out, flush=True)


if __name__ == "__main__":
    main()
