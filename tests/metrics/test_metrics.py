import math

import numpy as np
import pytest
from sklearn import metrics as sk

from paddleseg_sclc.metrics import (
    METRICS,
    ConfusionMatrix,
    compute,
    confusion_matrix,
    register_metric,
)

# label 0: 3 right, 1 taken for 1; label 1: 2 taken for 0, 4 right.
MATRIX = np.array([[3, 1], [2, 4]])


def test_rows_are_labels_and_ignored_pixels_are_left_out():
    pred = np.array([[0, 1, 1], [1, 0, 1]], np.uint8)
    label = np.array([[0, 0, 1], [255, 1, 1]], np.uint8)
    assert confusion_matrix(pred, label, 2).tolist() == [[1, 1], [1, 2]]


def test_hand_computed_figures():
    figures = compute(MATRIX)
    assert figures["accuracy"] == pytest.approx(7 / 10)
    assert figures["class_iou"] == pytest.approx([3 / 6, 4 / 7])
    assert figures["miou"] == pytest.approx((3 / 6 + 4 / 7) / 2)
    assert figures["class_dice"] == pytest.approx([6 / 9, 8 / 11])
    assert figures["class_precision"] == pytest.approx([3 / 5, 4 / 5])
    assert figures["class_recall"] == pytest.approx([3 / 4, 4 / 6])
    chance = (5 * 4 + 5 * 6) / 100
    assert figures["kappa"] == pytest.approx((0.7 - chance) / (1 - chance))


@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_agrees_with_scikit_learn(num_classes):
    rng = np.random.default_rng(num_classes)
    label = rng.integers(0, num_classes, (3, 40, 30))
    pred = np.where(rng.random(label.shape) < 0.6, label, rng.integers(0, num_classes, label.shape))
    ignored = rng.random(label.shape) < 0.1
    figures = compute(confusion_matrix(pred, np.where(ignored, 255, label), num_classes))
    y, p = label[~ignored], pred[~ignored]
    tumour, found = y == 1, p == 1
    expected = {
        "tumour_dice": sk.f1_score(tumour, found),
        "sensitivity": sk.recall_score(tumour, found),
        "specificity": sk.recall_score(~tumour, ~found),
        "precision": sk.precision_score(tumour, found),
        "accuracy": sk.accuracy_score(y, p),
        "kappa": sk.cohen_kappa_score(y, p),
        "miou": sk.jaccard_score(y, p, average="macro"),
        "dice": sk.f1_score(y, p, average="macro"),
        "class_iou": sk.jaccard_score(y, p, average=None),
        "class_dice": sk.f1_score(y, p, average=None),
        "class_precision": sk.precision_score(y, p, average=None),
        "class_recall": sk.recall_score(y, p, average=None),
    }
    assert set(expected) == set(METRICS)
    for name, value in expected.items():
        np.testing.assert_allclose(figures[name], value, atol=1e-6, err_msg=name)


def test_a_stack_of_matrices_gives_what_each_gives():
    rng = np.random.default_rng(0)
    stack = rng.integers(0, 50, (4, 5, 3, 3))
    stack[0, 0] = 0
    stack[0, 1, 1] = 0
    for name, values in compute(stack).items():
        for place in np.ndindex(4, 5):
            np.testing.assert_allclose(values[place], METRICS[name](stack[place]), err_msg=name)


def test_figures_of_the_tumour_where_there_is_none_or_nothing_else():
    none = compute(np.array([[10, 2], [0, 0]]))
    assert math.isnan(none["sensitivity"])
    assert none["specificity"] == pytest.approx(10 / 12)
    assert none["precision"] == none["tumour_dice"] == 0
    all_of_it = compute(np.array([[0, 0], [4, 6]]))
    assert math.isnan(all_of_it["specificity"])
    assert all_of_it["sensitivity"] == pytest.approx(0.6)
    empty = compute(np.array([[10, 0], [0, 0]]))
    for name in ("sensitivity", "precision", "tumour_dice"):
        assert math.isnan(empty[name]), name
    assert empty["specificity"] == 1


def test_one_class_only_leaves_the_others_and_kappa_undefined():
    figures = compute(np.array([[10, 0], [0, 0]]))
    assert figures["accuracy"] == figures["miou"] == figures["dice"] == 1
    assert math.isnan(figures["kappa"])
    assert math.isnan(figures["class_iou"][1])


def test_one_class_labelled_and_the_other_predicted_is_chance():
    figures = compute(np.array([[0, 10], [0, 0]]))
    assert figures["kappa"] == 0
    assert figures["miou"] == 0


def test_everything_ignored_leaves_everything_undefined():
    matrix = confusion_matrix(np.zeros(4, int), np.full(4, 255), 2)
    for name, value in compute(matrix).items():
        assert np.isnan(value).all(), name


def test_counts_of_whole_slides_do_not_overflow():
    figures = compute(MATRIX * 10**12)
    assert figures["kappa"] == pytest.approx(compute(MATRIX)["kappa"], abs=1e-12)


def test_matrix_grows_image_by_image_and_inputs_stay():
    total = ConfusionMatrix(2)
    pred, label = np.array([0, 1], np.uint8), np.array([1, 1], np.uint8)
    assert total.update(pred, label).tolist() == [[0, 0], [1, 1]]
    total.update(pred, pred)
    assert total.matrix.tolist() == [[1, 0], [1, 2]]
    assert pred.tolist() == [0, 1]
    assert label.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("pred", "label", "message"),
    [
        ([0, 2], [0, 1], "pred must be in [0, 2)"),
        ([0, 1], [0, 7], "label must be in [0, 2)"),
        ([0, 1], [0, -1], "label must be in [0, 2)"),
        ([0, 1, 1], [0, 1], "one shape"),
    ],
)
def test_bad_classes_are_refused(pred, label, message):
    with pytest.raises(ValueError, match=message.replace("[", r"\[").replace(")", r"\)")):
        confusion_matrix(pred, label, 2)


def test_registry_refuses_a_taken_or_unknown_name():
    def kappa(matrix):
        return 0.0

    with pytest.raises(ValueError, match="kappa"):
        register_metric(kappa)
    with pytest.raises(ValueError, match="kapa"):
        compute(MATRIX, ["kapa"])
