"""Time drawing a slide's annotations beside OpenCV's and rasterio's polygon fill.

    pip install rasterio            # optional
    python benchmarks/rasterize.py
    python benchmarks/rasterize.py --whole   # also 10 GB arrays, for machines that have them

The annotations are like Camelyon's largest: 300 smooth outlines, 100,000 points, on a slide of
100,000 x 100,000 pixels. Each measurement runs in a process of its own, taken in turn; printed are
medians of wall and CPU time (the latter says the same on a busy machine), peak memory of the
process, and how many pixels are unlike those of our `centre` rule, which rasterio's is too.
"""

import argparse
import importlib.util
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from paddleseg_sclc import __version__
from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.model import Annotation, AnnotationGroup, AnnotationSet
from paddleseg_sclc.annotations.rasterize import rasterize
from paddleseg_sclc.annotations.scanline import Rule
from paddleseg_sclc.dataset.masks import write_mask

SIDE = 100_000


@dataclass(frozen=True)
class Measurement:
    """Seconds, CPU seconds of all threads, peak memory in MB, and pixels unlike ours."""

    seconds: float
    cpu_seconds: float
    megabytes: float
    unlike: int | None = None


def annotations_like_camelyon(polygons: int = 300, points: int = 100_000) -> AnnotationSet:
    """Smooth wavy outlines of log-normal size, a point every 18 pixels, all on the slide."""
    rng = np.random.default_rng(0)
    weight = rng.lognormal(0, 1, polygons)
    annotations = []
    for index, share in enumerate(weight / weight.sum()):
        count = max(12, round(points * share))
        turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
        waves = sum(
            rng.normal(0, 0.3 / k) * np.cos(k * turn + rng.uniform(0, 2 * np.pi))
            for k in range(2, 7)
        )
        radius = count * 18 / (2 * np.pi) * (1 + waves) + rng.normal(0, 2, count)
        reach = np.abs(radius).max()
        centre = rng.uniform(reach, SIDE - reach, 2)
        outline = centre + (radius * np.stack([np.cos(turn), np.sin(turn)])).T
        annotations.append(Annotation(f"Annotation {index}", outline, group="Tumour"))
    return AnnotationSet(tuple(annotations), (AnnotationGroup("Tumour"),))


def draw_ours(annotations: AnnotationSet, grid: Grid, rule: Rule) -> np.ndarray:
    """The mask by `rasterize`."""
    return rasterize(annotations, grid, rule=rule)


def draw_opencv(annotations: AnnotationSet, grid: Grid, rule: Rule) -> np.ndarray:
    """The mask by `cv2.fillPoly`, outlines rounded to whole pixels as it wants them."""
    mask = np.zeros((grid.height, grid.width), np.uint8)
    for annotation in annotations:
        points = (annotation.points - (grid.x_l0, grid.y_l0)) / grid.downsample_x
        cv2.fillPoly(mask, [np.rint(points).astype(np.int32)], 255)
    return mask


def draw_rasterio(annotations: AnnotationSet, grid: Grid, rule: Rule) -> np.ndarray:
    """The mask by `rasterio.features.rasterize` (GDAL), which tests pixel centres."""
    from rasterio import features
    from rasterio.transform import Affine

    shapes = [
        ({"type": "Polygon", "coordinates": [[*map(tuple, a.points), tuple(a.points[0])]]}, 255)
        for a in annotations
    ]
    d = grid.downsample_x
    transform = Affine(d, 0, grid.x_l0, 0, d, grid.y_l0)
    return features.rasterize(shapes, (grid.height, grid.width), transform=transform, dtype="uint8")


def write_ours(annotations: AnnotationSet, grid: Grid, rule: Rule) -> None:
    """The mask as a pyramidal TIFF, by `write_mask`."""
    with tempfile.TemporaryDirectory() as folder:
        write_mask(Path(folder) / "mask.tif", annotations, grid, rule=rule)


WORKERS: dict[str, Callable] = {
    "ours, asap": draw_ours,
    "ours, centre": draw_ours,
    "ours, asap, to a TIFF": write_ours,
    "OpenCV": draw_opencv,
    "rasterio": draw_rasterio,
}


def measure(name: str, grid: Grid, compare: bool) -> Measurement:
    """Do the work in this process."""
    annotations = annotations_like_camelyon()
    rule: Rule = "asap" if "asap" in name else "centre"
    start, cpu_start = time.perf_counter(), time.process_time()
    mask = WORKERS[name](annotations, grid, rule)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    unlike = None
    if compare and mask is not None:
        unlike = int(np.count_nonzero(mask != rasterize(annotations, grid, rule="centre")))
    return Measurement(seconds, cpu_seconds, megabytes, unlike)


def compare(title: str, names: Sequence[str], grid: Grid, repeats: int, unlike: bool) -> None:
    """Measure in turn, each time in a new process, and print a table."""
    results: dict[str, list[Measurement]] = {name: [] for name in names}
    context = multiprocessing.get_context("spawn")
    for repeat in range(repeats):
        for name in names:
            with context.Pool(1) as pool:
                arguments = (name, grid, unlike and repeat == 0)
                results[name].append(pool.apply(measure, arguments))
    print(f"\n{title} ({repeats} times)\n")
    print("| | seconds | CPU seconds | CPU to ours | peak MB | pixels unlike `centre` |")
    print("|---|---|---|---|---|---|")
    ours = statistics.median(m.cpu_seconds for m in results[names[0]])
    for name, measured in results.items():
        seconds = statistics.median(m.seconds for m in measured)
        cpu = statistics.median(m.cpu_seconds for m in measured)
        differing = next((f"{m.unlike:,}" for m in measured if m.unlike is not None), "")
        peak = max(m.megabytes for m in measured)
        ratio = cpu / ours
        print(f"| {name} | {seconds:.2f} | {cpu:.2f} | {ratio:.2f} | {peak:.0f} | {differing} |")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5, help="default %(default)s")
    parser.add_argument("--whole", action="store_true", help="also fill whole 10 GB arrays")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    args = parse_args(argv)
    peers = ["OpenCV"]
    versions = [
        f"paddleseg_sclc {__version__}",
        f"NumPy {np.__version__}",
        f"OpenCV {cv2.__version__}",
    ]
    if importlib.util.find_spec("rasterio"):
        import rasterio

        peers.append("rasterio")
        versions.append(f"rasterio {rasterio.__version__}, GDAL {rasterio.__gdal_version__}")
    else:
        print("rasterio is not installed: left out", file=sys.stderr)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
          f"load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}; "
          f"{', '.join(versions)}")  # fmt: skip
    ours = ["ours, asap", "ours, centre"]
    compare(
        "Whole slide at downsample 16, 6,250 x 6,250 px, an array",
        [*ours, *peers], Grid.of_slide(SIDE, SIDE, 16), args.repeats, True,
    )  # fmt: skip
    compare(
        "A region of 20,000 x 20,000 px at level 0, an array",
        [*ours, *peers], Grid(20_000, 20_000, 40_000, 40_000), args.repeats, True,
    )  # fmt: skip
    whole = ["ours, asap, to a TIFF", *(peers if args.whole else [])]
    compare(
        "Whole slide at level 0, 100,000 x 100,000 px; others fill an array and write nothing",
        whole, Grid.of_slide(SIDE, SIDE), 1 if args.whole else min(args.repeats, 3), False,
    )  # fmt: skip
    compare(
        "Whole slide at downsample 16, to a TIFF",
        ["ours, asap, to a TIFF"], Grid.of_slide(SIDE, SIDE, 16), args.repeats, False,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
