import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.metrics import hausdorff_distance

from paddleseg_sclc.metrics.boundary import BoundaryMatch, boundary_f, match_boundaries, outline


def blob(seed: int, shape=(48, 64), sigma=4.0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, sigma) > 0


def eroded_outline(mask: np.ndarray, border: int) -> np.ndarray:
    """What is left of a mask when its erosion is taken away."""
    return mask & ~ndimage.binary_erosion(mask, border_value=border)


def surface_distances(pred, label, spacing, border):
    """Both directed distances by SciPy's distance transform of the whole picture."""
    a, b = eroded_outline(pred, border), eroded_outline(label, border)
    to_a = ndimage.distance_transform_edt(~a, sampling=spacing)
    to_b = ndimage.distance_transform_edt(~b, sampling=spacing)
    return to_b[a], to_a[b]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 0.75)])
@pytest.mark.parametrize("include_frame", [False, True])
def test_agrees_with_distance_transforms(seed, spacing, include_frame):
    pred, label = blob(seed), blob(seed + 100)
    there, back = surface_distances(pred, label, spacing, 0 if include_frame else 1)
    match = match_boundaries(pred, label, spacing, 2.0, include_frame=include_frame)
    assert match.hd95 == pytest.approx(np.percentile(np.hstack([there, back]), 95))
    assert (match.pred_total, match.label_total) == (len(there), len(back))
    assert (match.pred_hits, match.label_hits) == ((there <= 2).sum(), (back <= 2).sum())
    precision, recall = (there <= 2).mean(), (back <= 2).mean()
    expected = 2 * precision * recall / (precision + recall)
    assert boundary_f(match.counts) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_medpy(seed):
    binary = pytest.importorskip("medpy.metric.binary", reason="MedPy is not installed")
    pred, label = blob(seed), blob(seed + 100)
    match = match_boundaries(pred, label, (0.5, 0.75), include_frame=True)
    assert match.hd95 == pytest.approx(binary.hd95(pred, label, (0.5, 0.75)))


@given(st.integers(0, 2**31), st.floats(1, 8))
@settings(max_examples=30, deadline=None)
def test_hd95_is_at_most_scikit_images_hausdorff_distance(seed, sigma):
    pred, label = blob(seed, sigma=sigma), blob(seed + 1, sigma=sigma)
    match = match_boundaries(pred, label)
    full = hausdorff_distance(eroded_outline(pred, 1), eroded_outline(label, 1))
    assert 0 <= match.hd95 <= full + 1e-9


def test_hand_computed_square_shifted_by_two():
    label, pred = np.zeros((2, 20, 20), bool)
    label[5:9, 5:9] = True
    pred[5:9, 7:11] = True
    match = match_boundaries(pred, label, tolerance=1.0)
    # Of 12 outline pixels each: shifted by 2, the far column is 2 away, the one beside it 1 (from
    # the label's last column), and so on; distances by hand, row by row.
    assert match.pred_total == match.label_total == 12
    assert match.hd95 == pytest.approx(2.0)
    assert match.pred_hits == match.label_hits


def test_the_frame_and_ignored_areas_are_no_outline():
    mask = np.zeros((8, 8), bool)
    mask[:, :4] = True
    assert np.argwhere(outline(mask)).tolist() == [[row, 3] for row in range(8)]
    assert outline(mask, include_frame=True).sum() == 8 + 8 + 4
    valid = np.ones((8, 8), bool)
    valid[:, 4:] = False
    assert not outline(mask, valid).any()


def test_an_ignored_pixel_changes_nothing():
    pred, label = blob(1), blob(2)
    valid = blob(3)
    first = match_boundaries(pred, label, valid=valid)
    second = match_boundaries(pred ^ ~valid, label ^ (~valid & blob(4)), valid=valid)
    assert first == second


@pytest.mark.parametrize("fill", [False, True])
def test_without_any_outline_all_is_undefined(fill):
    mask = np.full((6, 6), fill)
    match = match_boundaries(mask, mask.copy())
    assert math.isnan(match.hd95)
    assert math.isnan(boundary_f(match.counts))
    assert not match.one_sided


@pytest.mark.parametrize("missed", [False, True])
def test_a_missed_or_invented_outline_counts_the_diagonal(missed):
    mask, empty = np.zeros((2, 30, 40), bool)
    mask[10:20, 10:20] = True
    pair = (empty, mask) if missed else (mask, empty)
    match = match_boundaries(*pair, spacing=(2.0, 2.0))
    assert match.hd95 == pytest.approx(100.0)
    assert boundary_f(match.counts) == 0
    assert match.one_sided


def test_counts_add_up_over_images():
    one, two = BoundaryMatch(1, 2, 3, 4, 1.0), BoundaryMatch(3, 6, 1, 4, 2.0)
    pooled = boundary_f(one.counts + two.counts)
    assert pooled == pytest.approx(0.5)
    assert boundary_f(np.stack([one.counts, two.counts])).shape == (2,)


def test_equal_masks_are_perfect_and_stay_as_they_are():
    mask = blob(7)
    before = mask.copy()
    match = match_boundaries(mask, mask)
    assert (match.hd95, float(boundary_f(match.counts))) == (0.0, 1.0)
    np.testing.assert_array_equal(mask, before)


def test_bad_arguments_are_refused():
    mask = np.zeros((4, 4), bool)
    with pytest.raises(ValueError, match="one shape"):
        match_boundaries(mask, mask[:3])
    with pytest.raises(ValueError, match="spacing must be positive"):
        match_boundaries(mask, mask, (0.0, 1.0))
