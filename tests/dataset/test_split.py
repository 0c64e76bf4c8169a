import numpy as np
import pytest

from paddleseg_sclc.dataset.split import (
    Member,
    Patch,
    Split,
    fitted,
    read_split,
    split_paper,
    split_patients,
    write_split,
)
from paddleseg_sclc.errors import SclcError, UsageError


def cohort(patients=31, patches=134, seed=0):
    rng = np.random.default_rng(seed)
    owner = np.concatenate([np.arange(patients), rng.integers(0, patients, patches - patients)])
    return [
        Patch(f"p{i:03d}", f"patient{o:02d}", float(rng.choice([0, rng.uniform()], p=[0.2, 0.8])))
        for i, o in enumerate(owner)
    ]


def augmented(patches):
    return [
        Patch(p.name + suffix, p.patient, p.tumour_share)
        for p in patches
        for suffix in ("", "_mirror", "_flip", "_rotate", "_offset")
    ]


def count(split, fold=0):
    sides = list(split.sides(fold).values())
    return sides.count("train"), sides.count("val")


def test_the_papers_numbers():
    patches = augmented(cohort())
    assert count(split_paper(patches)) == (649, 21)
    assert count(split_paper(patches, val_count=20)) == (650, 20)
    assert split_paper(patches).straddlers()  # it leaks


def test_paper_split_depends_on_the_seed_and_not_on_the_order():
    patches = augmented(cohort())
    assert split_paper(patches) == split_paper(patches[::-1])
    assert split_paper(patches, seed=1).sides() != split_paper(patches, seed=2).sides()


def test_patients_stay_whole_and_each_validates_once():
    patches = cohort()
    split = split_patients(patches, folds=5)
    assert split.folds == (0, 1, 2, 3, 4)
    validated = []
    for fold in split.folds:
        assert split.straddlers(fold) == []
        validated += [name for name, side in split.sides(fold).items() if side == "val"]
    assert sorted(validated) == sorted(p.name for p in patches)


def test_folds_are_alike_in_patches_and_in_tumour():
    for seed in range(10):
        patches = cohort(seed=seed)
        share = {p.name: p.tumour_share for p in patches}
        split = split_patients(patches, folds=5, seed=seed)
        sizes, means = [], []
        for fold in split.folds:
            val = [name for name, side in split.sides(fold).items() if side == "val"]
            sizes.append(len(val))
            means.append(np.mean([share[name] for name in val]))
        assert max(sizes) - min(sizes) <= 8  # of about 27
        overall = np.mean(list(share.values()))
        assert np.abs(np.array(means) - overall).max() < 0.12


def test_stratifying_beats_dealing_at_random():
    spread, random_spread = [], []
    for seed in range(20):
        patches = cohort(patients=12, patches=60, seed=seed)
        share = {p.name: p.tumour_share for p in patches}
        rng = np.random.default_rng(seed)
        dealt = dict(
            zip(sorted({p.patient for p in patches}), rng.permutation(12) % 4, strict=True)
        )
        split = split_patients(patches, folds=4, seed=seed)
        for fold in range(4):
            val = [n for n, side in split.sides(fold).items() if side == "val"]
            spread.append(sum(share[n] for n in val))
            random_spread.append(sum(p.tumour_share for p in patches if dealt[p.patient] == fold))
    assert np.std(spread) < 0.7 * np.std(random_spread)


def test_patient_split_depends_on_the_seed_and_not_on_the_order():
    patches = cohort()
    assert split_patients(patches, seed=3) == split_patients(patches[::-1], seed=3)
    assert len({split_patients(patches, seed=s).members for s in range(5)}) == 5


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_as_many_folds_as_patients(folds):
    patches = [
        Patch(f"{p}_{i}", f"{p}", 0.0) for p in range(folds) for i in range(1 + 9 * (p == 0))
    ]
    split = split_patients(patches, folds=folds)
    assert split.folds == tuple(range(folds))  # none is empty
    assert {m.patient for m in split.members if m.fold == 0} != set()


def test_impossible_splits_are_refused():
    with pytest.raises(UsageError, match="second patient"):
        split_patients([Patch("a", "one"), Patch("b", "one")])
    with pytest.raises(UsageError, match="--folds"):
        split_patients(cohort(), folds=1)
    with pytest.raises(UsageError, match=r"--folds.*31, got 32"):
        split_patients(cohort(), folds=32)
    with pytest.raises(UsageError, match="one in 31 is none"):
        split_paper(cohort()[:30])
    for bad in (0, 134, -1):
        with pytest.raises(UsageError, match="--val-count"):
            split_paper(cohort(), val_count=bad)
    with pytest.raises(ValueError, match="twice"):
        split_paper([Patch("a", "x"), Patch("a", "y")], val_count=1)


def test_a_file_reads_back_and_can_be_edited(tmp_path):
    patches = [Patch("a b", "pätient, 1", 0.5), Patch("病理", "2", 0.1), Patch("c", "3")]
    split = split_patients(patches, folds=2)
    path = tmp_path / "split.csv"
    write_split(path, split)
    assert read_split(path) == split
    assert fitted(read_split(path), patches, path) == split
    first = path.read_bytes()
    write_split(path, split)
    assert path.read_bytes() == first

    path.write_text("patch, patient, fold\nc,other,-\n\na b,x,\n病理,2,4\n", encoding="utf-8-sig")
    edited = fitted(read_split(path), patches, path)
    assert edited.folds == (4,)
    assert edited.sides(4) == {"a b": "train", "病理": "val"}
    assert [m.patient for m in edited.members] == ["3", "pätient, 1", "2"]


def test_a_patient_on_both_sides_is_named():
    split = Split((Member("a", "1", 0), Member("b", "1", None), Member("c", "2", 0)))
    assert split.straddlers() == ["1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first line must be patch,patient,fold, got 'nothing'"),
        ("a,b\n", "first line"),
        ("patch,patient,fold\na,1\n", "line 2 must be patch,patient,fold"),
        ("patch,patient,fold\n,1,0\n", "line 2 must be"),
        ("patch,patient,fold\na,1,x\n", "fold must be a number"),
        ("patch,patient,fold\na,1,٣\n", "fold must be a number"),
        ("patch,patient,fold\na,1,-1\n", "fold must be a number"),
        ("patch,patient,fold\na,1,0\na,1,1\n", "line 3: a patch must stand once"),
    ],
)
def test_bad_files_are_one_clear_line(tmp_path, text, message):
    path = tmp_path / "split.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SclcError, match=message) as caught:
        read_split(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_files_that_do_not_fit_the_dataset(tmp_path):
    patches = [Patch("a", "1"), Patch("b", "2")]
    with pytest.raises(SclcError, match=r"b \(1 in all\) has none"):
        fitted(Split((Member("a", "1", 0),)), patches, "s.csv")
    three = Split((Member("a", "1", 0), Member("b", "1", 0), Member("zz", "1", 0)))
    with pytest.raises(SclcError, match="zz"):
        fitted(three, patches, "s.csv")
    with pytest.raises(SclcError, match="split"):
        read_split(tmp_path / "missing.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\0\0")
    with pytest.raises(SclcError, match="UTF-8"):
        read_split(tmp_path / "binary.csv")
