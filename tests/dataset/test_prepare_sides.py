import dataclasses

import pytest

from paddleseg_sclc.dataset.manifest import PatchRow
from paddleseg_sclc.dataset.sides import (
    SplitOptions,
    check_options,
    side_of_each,
    split_all,
    split_originals,
    warnings_of,
    write_sides,
)
from paddleseg_sclc.dataset.split import Member, Split
from paddleseg_sclc.errors import UsageError


def row(name, patient, variant_of=""):
    values = {field.name: "" for field in dataclasses.fields(PatchRow)}
    numbers = dict.fromkeys(("x_l0", "y_l0", "width_l0", "height_l0", "mpp_x", "mpp_y"), 1.0)
    variant = name.removeprefix(f"{variant_of}_") if variant_of else ""
    return PatchRow(**{
        **values, **numbers, "name": name, "patient": patient, "annotation": 0, "variant": variant,
        "tumour_share": 0.5, "ignored_share": 0.0, "variant_of": variant_of,
    })  # fmt: skip


ROWS = [
    item
    for patient in "abc"
    for number in range(2)
    for name in [f"{patient}{number}"]
    for item in (row(name, patient), row(f"{name}_flip", patient, name))
]
ORIGINALS = [item for item in ROWS if not item.variant]


def test_copies_follow_their_original_and_never_validate():
    folds = {"a0": 0, "a1": 0, "b0": 1, "c0": None, "c1": 2}
    members = [Member(name, name[0], fold) for name, fold in folds.items()]
    members.append(Member("b1", "b", None, used=False))
    sides = side_of_each(ROWS, Split(tuple(members)), "patient", 0)
    assert sides == {
        "a0": "val", "a1": "val", "b0": "train", "b0_flip": "train", "c0": "train",
        "c0_flip": "train", "c1": "train", "c1_flip": "train",
    }  # fmt: skip


def test_patients_are_split_whole():
    options = SplitOptions(seed=3)
    split = split_originals(ORIGINALS, options)
    assert len(split.folds) == 3  # five folds need five patients
    assert warnings_of(split, options) == []
    sides = side_of_each(ROWS, split, "patient", 0)
    assert sum(side == "val" for side in sides.values()) == 2


def test_the_paper_splits_copies_too_and_is_told_off():
    options = SplitOptions(protocol="paper", val_count=3)
    split = split_all(ROWS, options)
    sides = side_of_each(ROWS, split, "paper", 0)
    assert len(sides) == 12
    assert sum(side == "val" for side in sides.values()) == 3
    assert "leaks" in warnings_of(split, options)[0]


@pytest.mark.parametrize(
    ("options", "patients", "message"),
    [
        (SplitOptions(), 1, "needs a second patient"),
        (SplitOptions(folds=4), 3, "2 to 3 folds"),
        (SplitOptions(folds=1), 3, "2 to 3 folds"),
        (SplitOptions(fold=3), 3, "one of them"),
        (SplitOptions(fold=-1), 3, "one of them"),
        (SplitOptions(val_count=3), 3, "--val-count"),
        (SplitOptions(protocol="paper", all_folds=True), 3, "--all-folds"),
    ],
)
def test_options_that_cannot_be(options, patients, message):
    with pytest.raises(UsageError, match=message):
        check_options(options, patients)


def test_options_that_can():
    check_options(SplitOptions(), 2)
    check_options(SplitOptions(folds=3, fold=2, all_folds=True), 3)
    check_options(SplitOptions(protocol="paper", val_count=20), 1)


def test_an_empty_side_is_refused(tmp_path):
    with pytest.raises(UsageError, match="the val side must have patches"):
        write_sides(tmp_path, tmp_path, ROWS, {"a0": "train"})
