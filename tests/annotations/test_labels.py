import numpy as np
import pytest

from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.labels import LabelMap, drawing_order, read_labels, value_of
from paddleseg_sclc.annotations.model import Annotation, AnnotationGroup, AnnotationSet
from paddleseg_sclc.annotations.rasterize import rasterize
from paddleseg_sclc.errors import SclcError, UsageError

BOX = [(0, 0), (9, 0), (9, 9), (0, 9)]
SMALL = [(3, 3), (6, 3), (6, 6), (3, 6)]
PAPER = "Annotation Group 0"


def grouped(*pairs):
    names = dict.fromkeys(group for _, group in pairs if group)
    return AnnotationSet(
        tuple(Annotation(f"a{i}", points, group=g) for i, (points, g) in enumerate(pairs)),
        tuple(AnnotationGroup(name) for name in names),
    )


def at(annotations, labels=None):
    """Values at the rim, in the middle."""
    mask = rasterize(annotations, Grid(10, 10), labels, rule="centre")
    return mask[1, 1], mask[4, 4]


def test_the_papers_default():
    assert at(grouped((BOX, None))) == (255, 255)
    assert at(grouped((BOX, "Tumor"), (SMALL, "x"))) == (255, 255)
    # Its group is all there is, and what lies in others is not drawn.
    assert at(grouped((BOX, "other"), (SMALL, PAPER))) == (0, 255)
    assert at(grouped((BOX, None), (SMALL, PAPER))) == (0, 255)


def test_a_hole_group():
    annotations = grouped((SMALL, "hole"), (BOX, "tumour"))
    labels = LabelMap({"tumour": 255, "hole": 0}, ("tumour", "hole"))
    assert at(annotations, labels) == (255, 0)
    assert value_of(annotations, 0, labels) == 0 and value_of(annotations, 1, labels) == 255
    # Without an order the greatest value wins, whatever comes first.
    assert at(annotations, LabelMap({"tumour": 255, "hole": 0})) == (255, 255)
    assert at(annotations, LabelMap({"tumour": 2, "hole": 3})) == (2, 3)


def test_the_last_of_an_order_lies_above():
    annotations = grouped((BOX, "a"), (SMALL, "b"))
    assert at(annotations, LabelMap({"a": 7, "b": 9}, ("a", "b"))) == (7, 9)
    assert at(annotations, LabelMap({"a": 7, "b": 9}, ("b", "a"))) == (7, 7)
    assert at(annotations, LabelMap({"a": 7, "b": 9}, ("b",))) == (0, 9)


def test_groups_go_before_names():
    annotations = AnnotationSet(
        (Annotation("tumour", BOX), Annotation("x", SMALL, group="g")), (AnnotationGroup("g"),)
    )
    labels = LabelMap({"tumour": 3, "g": 5})
    assert at(annotations, labels) == (0, 5)  # without a group it is not drawn where there are any
    assert value_of(annotations, 0, labels) is None
    alone = AnnotationSet(annotations.annotations[:1])
    assert at(alone, labels) == (3, 3)


def test_only_the_direct_group_counts():
    annotations = AnnotationSet(
        (Annotation("a", BOX, group="inner"),),
        (AnnotationGroup("outer"), AnnotationGroup("inner", parent="outer")),
    )
    assert at(annotations, LabelMap({"outer": 3})) == (0, 0)
    assert at(annotations, LabelMap({"inner": 3})) == (3, 3)


def test_an_order_may_name_what_is_not_in_the_file():
    annotations = grouped((BOX, "a"))
    labels = LabelMap({"a": 1, "zz": 2}, ("zz", "a"))
    assert drawing_order(annotations, labels) == [(0, 1)]
    assert at(annotations, labels) == (1, 1)


def test_label_files(tmp_path):
    path = tmp_path / "labels.yml"
    path.write_text("labels: {Tumör: 255, 2: 0}\norder: [Tumör, 2]\n", encoding="utf-8")
    assert read_labels(path) == LabelMap({"Tumör": 255, "2": 0}, ("Tumör", "2"))
    path.write_text("labels:\n  a: 1\n")
    assert read_labels(path) == LabelMap({"a": 1})
    for text, message in [
        ("labels: {a: 256}", "from 0 to 255, got '256'"),
        ("labels: {a: true}", "integer"),
        ("labels: {a: x}", "integer"),
        ("labels: []", "name: value"),
        ("labels: {a: 1}\norder: [b]", "order must be"),
        ("labels: {a: 1}\norder: a", "order must be"),
        ("lables: {a: 1}", "`labels` and `order`"),
        ("[1, 2]", "`labels` and `order`"),
        ("a: [", "must be YAML"),
        ("x: &x [1]\nlabels: [*x, *x]", "no aliases"),
        ("!!python/object/apply:os.system ['true']", "must be YAML"),
    ]:
        path.write_text(text)
        with pytest.raises(UsageError, match=message) as caught:
            read_labels(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(SclcError, match="cannot be read"):
        read_labels(tmp_path / "missing.yml")
    with pytest.raises(ValueError, match="0 to 255"):
        LabelMap({"a": -1})


def test_values_are_what_masks_hold():
    annotations = grouped((BOX, "a"), (SMALL, "b"))
    mask = rasterize(annotations, Grid(10, 10), LabelMap({"a": 1, "b": 2}), rule="asap")
    assert mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 1, 2}
