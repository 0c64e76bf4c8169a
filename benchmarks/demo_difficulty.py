#!/usr/bin/env python
"""How far colour alone, and colour with texture, get on the demo's patches.

python benchmarks/demo_difficulty.py --seed 0

Random forests on demo patches (256 x 256 px, 4 um/px), in four folds of whole patients: on the
pixel's colour, on its colour and that of its close surroundings, and on multi-scale texture as
pixel-classifier tools offer it. A network should be beyond the last.
"""

import argparse
import platform

import cv2
import numpy as np
import sklearn
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GroupKFold

from paddleseg_sclc.dataset.parallel import default_jobs
from paddleseg_sclc.demo.patches import PatchPlan, draw_patch

_SAMPLE = 1000  # pixels a patch to train on
_STRIDE = 2  # of the pixels tested


def od(image):
    """Optical density of an RGB image."""
    return -np.log((image.astype(np.float32) + 1) / 256)


def colour(image):
    """RGB and optical density of the pixel."""
    return np.concatenate([image, od(image)], axis=-1)


def smoothed_colour(image):
    """The same, and the same of its surroundings of about 3 pixels."""
    return np.concatenate([colour(image), colour(cv2.GaussianBlur(image, (0, 0), 1.0))], axis=-1)


def texture(image):
    """Mean, deviation, slope and Laplacian of optical density over 1 to 16 pixels."""
    parts = [od(image)]
    grey, hue = od(image).mean(axis=-1), od(image)[..., 0] - od(image)[..., 2]
    for sigma in (1, 2, 4, 8, 16):
        for band in (grey, hue):
            mean = cv2.GaussianBlur(band, (0, 0), sigma)
            square = cv2.GaussianBlur(band * band, (0, 0), sigma)
            parts += [mean[..., None], np.sqrt(np.maximum(square - mean * mean, 0))[..., None]]
        mean = cv2.GaussianBlur(grey, (0, 0), sigma)
        slope = np.hypot(cv2.Sobel(mean, -1, 1, 0), cv2.Sobel(mean, -1, 0, 1))
        for band in (slope, np.abs(cv2.Laplacian(mean, -1))):
            parts.append(cv2.GaussianBlur(band, (0, 0), 2 * sigma)[..., None])
    return np.concatenate(parts, axis=-1)


def ious(label, pred):
    """IoU of the rest and of tumour."""
    return [((label == k) & (pred == k)).sum() / ((label == k) | (pred == k)).sum() for k in (0, 1)]


def cross_validate(patches, groups, features):
    """(label, prediction) of every tested pixel."""
    labels, preds = [], []
    for train, test in GroupKFold(4).split(patches, groups=groups):
        rng = np.random.default_rng(0)
        x, y = [], []
        for index in train:
            image, mask = patches[index]
            chosen = rng.choice(mask.size, _SAMPLE, replace=False)
            x.append(features(image).reshape(mask.size, -1)[chosen])
            y.append(mask.ravel()[chosen])
        forest = RandomForestClassifier(
            50, min_samples_leaf=5, class_weight="balanced_subsample", random_state=0, n_jobs=-1
        ).fit(np.concatenate(x), np.concatenate(y))
        for index in test:
            image, mask = patches[index]
            values = features(image)[::_STRIDE, ::_STRIDE]
            preds.append(forest.predict(values.reshape(-1, values.shape[-1])))
            labels.append(mask[::_STRIDE, ::_STRIDE].ravel())
    return np.concatenate(labels), np.concatenate(preds)


def main():
    """Draw the patches and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patients", type=int, default=16)
    args = parser.parse_args()
    plan = PatchPlan(patients=args.patients, per_patient=4, seed=args.seed)
    places = [(p, k) for p in range(plan.patients) for k in range(plan.per_patient)]
    patches = [draw_patch(plan, *place) for place in places]
    groups = [patient for patient, _ in places]
    share = np.mean([mask.mean() for _, mask in patches])
    print(
        f"{len(patches)} patches of {plan.patients} patients, seed {plan.seed}, "
        f"{share:.0%} tumour; scikit-learn {sklearn.__version__}, "
        f"Python {platform.python_version()}, {default_jobs()} processors"
    )
    print(f"{'':18}{'mIoU':>7}{'tumour':>8}{'rest':>7}")
    for features in (colour, smoothed_colour, texture):
        label, pred = cross_validate(patches, groups, features)
        rest, tumour = ious(label, pred)
        name = features.__name__.replace("_", " ")
        print(f"{name:18}{(rest + tumour) / 2:7.3f}{tumour:8.3f}{rest:7.3f}", flush=True)
    rest, tumour = ious(label, np.ones_like(label))
    print(f"{'all tumour':18}{(rest + tumour) / 2:7.3f}{tumour:8.3f}{rest:7.3f}")


if __name__ == "__main__":
    main()
