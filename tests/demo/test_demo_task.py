"""The demo is worth a network: colour does not solve it, texture and surroundings help."""

import cv2
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import jaccard_score

from paddleseg_sclc.demo.patches import PatchPlan, draw_patch

PLAN = PatchPlan(patients=12, per_patient=2, size=192, seed=0)
TRAINED = 9


def colour(image):
    """RGB and optical density of the pixel and of its surroundings of 3 pixels."""
    blurred = cv2.GaussianBlur(image, (0, 0), 1.0)
    od = [-np.log((rgb + 1.0) / 256) for rgb in (image, blurred)]
    return np.concatenate([image, blurred, *od], axis=-1)


def texture(image):
    """Mean and deviation of optical density over several surroundings, up to 65 um."""
    od = -np.log((image.astype(np.float32) + 1) / 256)
    parts = [od]
    for grey in (od.mean(axis=-1), od[..., 0] - od[..., 2]):
        for sigma in (1, 2, 4, 8, 16):
            mean = cv2.GaussianBlur(grey, (0, 0), sigma)
            square = cv2.GaussianBlur(grey * grey, (0, 0), sigma)
            parts += [mean[..., None], np.sqrt(np.maximum(square - mean * mean, 0))[..., None]]
    return np.concatenate(parts, axis=-1)


@pytest.fixture(scope="module")
def patches():
    return [
        [draw_patch(PLAN, patient, index) for index in range(PLAN.per_patient)]
        for patient in range(PLAN.patients)
    ]


def miou(patches, features):
    """Of a random forest trained on some patients and tested on others."""
    rng = np.random.default_rng(0)
    x, y = [], []
    for image, mask in (patch for patient in patches[:TRAINED] for patch in patient):
        chosen = rng.choice(mask.size, 1000, replace=False)
        x.append(features(image).reshape(mask.size, -1)[chosen])
        y.append(mask.ravel()[chosen])
    forest = RandomForestClassifier(
        30, min_samples_leaf=5, class_weight="balanced_subsample", random_state=0, n_jobs=2
    ).fit(np.concatenate(x), np.concatenate(y))
    tested = [patch for patient in patches[TRAINED:] for patch in patient]
    label = np.concatenate([mask.ravel() for _, mask in tested])
    pred = np.concatenate(
        [forest.predict(features(image).reshape(mask.size, -1)) for image, mask in tested]
    )
    return jaccard_score(label, pred, average="macro")


def test_colour_does_not_solve_it_and_texture_helps(patches):
    by_colour, by_texture = miou(patches, colour), miou(patches, texture)
    assert by_colour < 0.72
    assert by_texture > by_colour + 0.08


def test_no_grey_level_solves_it(patches):
    grey = np.concatenate([i.mean(axis=-1).ravel() for patient in patches for i, _ in patient])
    label = np.concatenate([m.ravel() for patient in patches for _, m in patient]) == 1
    best = 0.0
    for level in range(90, 240, 10):
        pred = grey < level
        ious = [(a & b).sum() / (a | b).sum() for a, b in ((label, pred), (~label, ~pred))]
        best = max(best, float(np.mean(ious)))
    assert 0.3 < best < 0.6


def test_there_is_enough_of_both(patches):
    shares = [mask.mean() for patient in patches for _, mask in patient]
    assert 0.15 < np.mean(shares) < 0.5
    assert np.mean([share > 0.02 for share in shares]) > 0.7
