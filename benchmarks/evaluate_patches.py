"""How long evaluation of ready predictions takes, and how much memory, beside usual libraries.

python benchmarks/evaluate_patches.py --patches 1000 --size 256

Ours: confusion matrix, boundary F-score, 95 % Hausdorff distance, ROC, precision-recall and
calibration, streaming. The peer computes the same figures with scikit-learn (over the pixels of all
images, which it must hold) and SciPy's distance transform, on a fifth of the patches, since it is
slow. Both take the same predictions, in turn.
"""

import argparse
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import scipy
import sklearn
from numpy.typing import NDArray
from scipy import ndimage
from sklearn import metrics as sk

from paddleseg_sclc.evaluation import Prediction, measure

DISTINCT = 40


def make(size: int) -> list[Prediction]:
    """Blobs, and predictions that are off by a few pixels, with probabilities."""
    rng = np.random.default_rng(0)
    made = []
    for index in range(DISTINCT):
        field = ndimage.gaussian_filter(rng.normal(size=(size, size)), size / 14)
        near = field + ndimage.gaussian_filter(rng.normal(size=(size, size)), size / 20) * 0.3
        probs = (1 / (1 + np.exp(-near / near.std() * 3))).astype(np.float32)
        label = (field > 0).astype(np.uint8)
        made.append(Prediction(f"{index}.png", (probs > 0.5).astype(np.uint8), label, probs))
    return made


def stream(made: list[Prediction], count: int) -> Iterator[Prediction]:
    """As many predictions as asked for, one by one."""
    return (made[index % len(made)] for index in range(count))


def ours(predictions: Iterator[Prediction]) -> dict[str, float]:
    """What tools/val.py does."""
    evaluation = measure(predictions, 2)
    figures = evaluation.figures(["miou", "kappa"])
    distances = [image.boundary.hd95 for image in evaluation.images if image.boundary]
    hd95 = float(np.nanmean(distances))
    return {**figures, "auroc": evaluation.histogram.auroc(), "hd95": hd95}  # type: ignore[dict-item]


def peer(predictions: Iterator[Prediction]) -> dict[str, float]:
    """The same with scikit-learn and SciPy."""
    labels, preds, probs, distances = [], [], [], []
    for item in predictions:
        labels.append(item.label.ravel())
        preds.append(item.pred.ravel())
        probs.append(np.asarray(item.probs).ravel())
        distances.append(hd95(item.pred == 1, item.label == 1))
    label, pred, prob = (np.concatenate(parts) for parts in (labels, preds, probs))
    return {
        "miou": float(sk.jaccard_score(label, pred, average="macro")),
        "kappa": float(sk.cohen_kappa_score(label, pred)),
        "auroc": float(sk.roc_auc_score(label, prob)),
        "hd95": float(np.nanmean(distances)),
    }


def hd95(pred: NDArray[np.bool_], label: NDArray[np.bool_]) -> float:
    """95 % Hausdorff distance by distance transforms."""
    lines = [mask & ~ndimage.binary_erosion(mask, border_value=1) for mask in (pred, label)]
    if not all(line.any() for line in lines):
        return float("nan")
    to = [ndimage.distance_transform_edt(~line) for line in lines]
    return float(np.percentile(np.concatenate([to[1][lines[0]], to[0][lines[1]]]), 95))


def timed(
    run: Callable[[Iterator[Prediction]], dict[str, float]], made: list[Prediction], n: int
) -> float:
    """Seconds of one evaluation."""
    start = time.perf_counter()
    run(stream(made, n))
    return time.perf_counter() - start


def peak(
    run: Callable[[Iterator[Prediction]], dict[str, float]], made: list[Prediction], n: int
) -> float:
    """Greatest memory in use during one evaluation, MiB."""
    tracemalloc.start()
    run(stream(made, n))
    top = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return top / 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patches", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--size", type=int, default=256, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    args = parser.parse_args()
    made = make(args.size)
    print(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, NumPy "
        f"{np.__version__}, SciPy {scipy.__version__}, scikit-learn {sklearn.__version__}"
    )
    for name, run in (("ours", ours), ("peer", peer)):
        print(name, {key: round(float(v), 5) for key, v in run(stream(made, DISTINCT)).items()})
    counts = {"ours": args.patches, "peer": max(1, args.patches // 5)}
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for _ in range(args.rounds):
        for name, run in (("ours", ours), ("peer", peer)):
            times[name].append(timed(run, made, counts[name]) / counts[name])
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"patches of {args.size}x{args.size}, median of {args.rounds}:")
    for name, seconds in medians.items():
        print(f"  {name}: {1000 * seconds:.1f} ms a patch, {counts[name]} patches a round")
    print(f"  {args.patches} patches, ours: {medians['ours'] * args.patches:.1f} s")
    print(f"  peer / ours: {medians['peer'] / medians['ours']:.2f}")
    for count in (50, 200):
        print(
            f"memory with {count} patches: ours {peak(ours, made, count):.1f} MiB, "
            f"peer {peak(peer, made, count):.1f} MiB"
        )


if __name__ == "__main__":
    main()
