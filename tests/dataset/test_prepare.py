import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from paddleseg_sclc.dataset.manifest import median_mpp, read_manifest, sha256_of
from paddleseg_sclc.dataset.paddleseg_format import check_samples, read_list
from paddleseg_sclc.dataset.split import read_split

GROUP = "Annotation Group 0"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def main(load_tool):
    return load_tool("prepare_dataset").main


@pytest.fixture(scope="module")
def slides(tmp_path_factory, make_slide, make_xml) -> Path:
    """Five slides of four patients, two to four tumours each."""
    folder = tmp_path_factory.mktemp("slides")
    for index in range(5):
        tumours = [
            [(x, 150), (x + 120, 170 + 10 * index), (x + 90, 330), (x + 10, 300)]
            for x in range(90, 90 + 180 * (2 + index % 3), 180)
        ]
        make_slide(folder / f"case {index}.tif", (900, 500), tumours, seed=index)
        outlines = [(f"t{i}", "Polygon", GROUP, points) for i, points in enumerate(tumours)]
        (folder / f"case {index}.xml").write_text(make_xml(outlines))
    (folder / "patients.csv").write_text("slide,patient\ncase 3.tif,case 0\n")
    return folder


def arguments(slides: Path, output: Path, *more: str) -> list[str]:
    """Small and quick; the painted slides are no H&E, so their colours are kept."""
    return ["--slides", str(slides), "--output", str(output), "--size", "64", "--jobs", "1",
            "--stain", "none", *more]  # fmt: skip


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def names_in(folder: Path, name: str) -> list[str]:
    return [sample.image.stem for sample in read_list(folder / name, folder)]


@pytest.fixture(scope="module")
def dataset(main, slides, tmp_path_factory) -> Path:
    """One uninterrupted run with default options."""
    output = tmp_path_factory.mktemp("dataset") / "out"
    assert main(arguments(slides, output, "--patients", str(slides / "patients.csv"))) == 0
    return output


def test_the_dataset_is_what_paddleseg_reads(dataset):
    train, val = (read_list(dataset / name, dataset) for name in ("train.txt", "val.txt"))
    check_samples([*train, *val], num_classes=2)
    assert {p.name for p in (dataset / "images").iterdir()} == {
        p.name for p in (dataset / "masks").iterdir()
    }
    listed = {sample.image.name for sample in [*train, *val]}
    assert listed == {p.name for p in (dataset / "images").iterdir()}
    assert len(train) + len(val) == len(listed)


def test_no_patient_is_on_both_sides_and_only_training_patches_have_copies(dataset):
    rows, side_of = read_manifest(dataset)
    by_side = {
        side: {row.patient for row in rows if side_of[row.name] == side}
        for side in ("train", "val")
    }
    assert by_side["train"] and by_side["val"]
    assert not by_side["train"] & by_side["val"]
    for row in rows:
        assert not (row.variant and side_of[row.name] == "val")
    copies = Counter(row.variant_of for row in rows if row.variant)
    originals = [r.name for r in rows if not r.variant and side_of[r.name] == "train"]
    assert copies == dict.fromkeys(originals, 4)
    assert {row.patient for row in rows if row.slide == "case_3"} == {"case 0"}


def test_the_manifest_holds_for_every_file(dataset, slides):
    rows, side_of = read_manifest(dataset)
    assert {row.name for row in rows} == {p.stem for p in (dataset / "images").iterdir()}
    for row in rows:
        assert row.image_sha256 == sha256_of(dataset / "images" / f"{row.name}.png")
        assert row.mask_sha256 == sha256_of(dataset / "masks" / f"{row.name}.png")
        assert row.mpp_x == pytest.approx(0.5 * row.width_l0 / 64)
        assert row.mpp_y == pytest.approx(0.5 * row.height_l0 / 64)
    for side in ("train", "val"):
        listed = names_in(dataset, f"{side}.txt")
        assert set(listed) == {name for name, where in side_of.items() if where == side}
    info = json.loads((dataset / "dataset.json").read_text())
    training = [row for row in rows if side_of[row.name] == "train" and not row.variant]
    assert info["median_mpp"] == pytest.approx(median_mpp(training))
    assert info["classes"] == ["background", "tumour"]
    assert [s["sha256"] for s in info["slides"]] == [
        sha256_of(slides / f"case {i}.tif") for i in range(5)
    ]
    assert info["patches"]["originals"] == 14


def test_every_slide_has_a_preview(dataset):
    names = sorted(p.name for p in (dataset / "previews").iterdir())
    assert names == [f"case_{i}.png" for i in range(5)]


def test_processes_make_the_same_bytes(main, slides, dataset, tmp_path):
    options = ("--jobs", "2", "--patients", str(slides / "patients.csv"))
    assert main(arguments(slides, tmp_path / "out", *options)) == 0
    assert snapshot(tmp_path / "out") == snapshot(dataset)


def test_two_interruptions_leave_no_trace(main, slides, dataset, tmp_path, monkeypatch, capsys):
    """Ctrl-C while slides are cut, and again while copies are made; then a run to the end."""
    from paddleseg_sclc.dataset import paddleseg_format

    real, output = paddleseg_format.write_png, tmp_path / "out"
    options = arguments(slides, output, "--patients", str(slides / "patients.csv"))
    for allowed in (11, 30):
        written = []

        def write_png(path, image, written=written, allowed=allowed):
            if len(written) == allowed:
                raise KeyboardInterrupt
            written.append(path)
            real(path, image)

        with monkeypatch.context() as patch:
            patch.setattr(paddleseg_format, "write_png", write_png)
            assert main(options) == 130
        assert "goes on where this one stopped" in capsys.readouterr().err
        assert not (output / "train.txt").exists()
    assert len(list((output / "images").glob("*_*_flip.png"))) > 0
    assert main(options) == 0
    assert snapshot(output) == snapshot(dataset)


def test_an_unchanged_run_writes_no_patch_again(main, slides, dataset, capsys):
    before = {p: p.stat().st_mtime_ns for p in dataset.rglob("*.png")}
    content = snapshot(dataset)
    assert main(arguments(slides, dataset, "--patients", str(slides / "patients.csv"))) == 0
    assert {p: p.stat().st_mtime_ns for p in dataset.rglob("*.png")} == before
    assert snapshot(dataset) == content
    assert capsys.readouterr().out.count("unchanged") == 5


def test_changed_and_removed_slides_leave_a_dataset_as_if_made_afresh(main, slides, tmp_path):
    folder = tmp_path / "slides"
    shutil.copytree(slides, folder)
    old, new = tmp_path / "old", tmp_path / "new"
    assert main(arguments(folder, old)) == 0
    (folder / "case 4.tif").unlink()
    (folder / "case 4.xml").unlink()
    text = (folder / "case 1.xml").read_text()
    (folder / "case 1.xml").write_text(text.replace('X="90"', 'X="60"'))
    assert main(arguments(folder, old)) == 0
    assert main(arguments(folder, new)) == 0
    assert snapshot(old) == snapshot(new)


def test_the_papers_protocol(main, slides, tmp_path, capsys):
    output = tmp_path / "out"
    assert main(arguments(slides, output, "--protocol", "paper")) == 0
    assert (len(names_in(output, "train.txt")), len(names_in(output, "val.txt"))) == (68, 2)
    assert "warning: --protocol paper leaks" in capsys.readouterr().err
    assert main(arguments(slides, output, "--protocol", "paper", "--val-count", "9")) == 0
    assert (len(names_in(output, "train.txt")), len(names_in(output, "val.txt"))) == (61, 9)
    assert len(names_in(output, "val.txt")) == len(set(names_in(output, "val.txt")))


def test_every_patch_validates_in_one_fold(main, slides, tmp_path):
    output = tmp_path / "out"
    assert main(arguments(slides, output, "--folds", "3", "--all-folds")) == 0
    originals = {
        name for name in (p.stem for p in (output / "images").iterdir()) if name[-1] in "0123456789"
    }
    seen = Counter()
    for fold in range(3):
        val = names_in_fold(output, fold, "val")
        train = names_in_fold(output, fold, "train")
        seen.update(val)
        assert not set(val) & set(train)
        assert set(val) | {name for name in train if name in originals} == originals
        # Copies of a validation patch are in no list of that fold.
        assert not any(name.startswith(tuple(val)) for name in train)
    assert seen == dict.fromkeys(originals, 1)
    assert (output / "train.txt").read_text() == (output / "folds/fold0/train.txt").read_text()


def names_in_fold(output: Path, fold: int, side: str) -> list[str]:
    return [s.image.stem for s in read_list(output / f"folds/fold{fold}/{side}.txt", output)]


def test_a_split_can_be_edited_and_used_again(main, slides, tmp_path, capsys):
    output, edited = tmp_path / "out", tmp_path / "mine.csv"
    assert main(arguments(slides, output)) == 0
    lines = (output / "split.csv").read_text().splitlines()
    chosen = lines[1].split(",")[0]
    edited.write_text("\n".join([lines[0], f"{chosen},x,7", *(
        ",".join([*line.split(",")[:2], ""]) for line in lines[2:]
    )]))  # fmt: skip
    assert main(arguments(slides, output, "--split", str(edited))) == 2
    assert "fold 0 must have patches, but only folds 7 do" in capsys.readouterr().err
    assert main(arguments(slides, output, "--split", str(edited), "--fold", "7")) == 0
    assert names_in(output, "val.txt") == [chosen]
    assert "patients) on both sides" in capsys.readouterr().err
    assert len(read_split(output / "split.csv").members) == len(lines) - 1


def test_without_copies_and_with_ignored_fill(main, slides, tmp_path):
    output = tmp_path / "out"
    assert main(arguments(slides, output, "--no-augment")) == 0
    assert len(list((output / "images").iterdir())) == 14
    options = ("--augment", "offset", "--fill", "ignore")
    assert main(arguments(slides, output, *options)) == 0
    rows, _ = read_manifest(output)
    assert {row.variant for row in rows} == {"", "offset"}
    assert all(row.ignored_share > 0 for row in rows if row.variant)
    assert main(arguments(slides, output, "--no-augment")) == 0
    assert len(list((output / "images").iterdir())) == 14


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(main, slides, tmp_path, capsys):
    assert main(arguments(slides, tmp_path / "out", "--dry-run")) == 0
    out = capsys.readouterr().out
    assert out.count("to do") == 5
    assert "5 slides" in out
    assert not (tmp_path / "out").exists()


def test_labels_beside_the_slides_are_used(main, slides, tmp_path, capsys):
    folder = tmp_path / "slides"
    shutil.copytree(slides, folder)
    (folder / "labels.yml").write_text(f"labels: {{other: 255, {GROUP}: 0}}\n")
    assert main(arguments(folder, tmp_path / "out")) == 1
    assert "must outline tumour, but none of its" in capsys.readouterr().err
    (folder / "labels.yml").write_text(f"labels: {{{GROUP}: 3}}\n")
    assert main(arguments(folder, tmp_path / "out")) == 2
    assert "values must be 0 (background) and 1 or 255" in capsys.readouterr().err


def test_bad_inputs_are_listed_and_the_others_go_on(main, slides, tmp_path, capsys, make_xml):
    folder, output = tmp_path / "slides", tmp_path / "out"
    shutil.copytree(slides, folder)
    slide = (folder / "case 0.tif").read_bytes()
    xml = (folder / "case 0.xml").read_text()
    entities = '<!DOCTYPE a [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>'
    bomb = f"{entities}<ASAP_Annotations>&b;</ASAP_Annotations>"
    away = make_xml([("far", "Polygon", GROUP, [(9000, 9000), (9100, 9000), (9100, 9100)])])
    empty = "<ASAP_Annotations><Annotations/><AnnotationGroups/></ASAP_Annotations>"
    bad = {
        "truncated.ndpi": (slide[: len(slide) // 2], xml),
        "picture.svs": (b"\x89PNG\r\n\x1a\n" + b"0" * 500, xml),
        "html.tif": (slide, "<html><body/></html>"),
        "bomb.tif": (slide, bomb),
        "empty.tif": (slide, empty),
        "outside.tif": (slide, away),
    }
    for name, (data, text) in bad.items():
        (folder / name).write_bytes(data)
        (folder / name).with_suffix(".xml").write_text(text)
    good = {"a..b.tif", "  blanks  and 汉字.tif"}
    for name in good:
        (folder / name).write_bytes(slide)
        (folder / name).with_suffix(".xml").write_text(xml)
    for sub in ("x", "y"):
        (folder / sub).mkdir()
        (folder / sub / "twin.tif").write_bytes(slide)
        (folder / sub / "twin.xml").write_text(xml)
    (folder / "lonely.tif").write_bytes(slide)
    (folder / "orphan.xml").write_text(xml)

    assert main(arguments(folder, output)) == 1
    err = capsys.readouterr().err
    for expected in (
        "truncated.ndpi: ", "picture.svs: must be a slide that OpenSlide reads", "html.xml: ",
        "bomb.xml: annotation XML must have no DOCTYPE", "empty.xml: must hold annotations",
        'outside.xml: annotation 0 "far": must lie on the slide', "x/twin.tif: the slide's name",
        "y/twin.tif: the slide's name", "lonely.tif: must have an annotation",
        "orphan.xml: an annotation without its slide",
    ):  # fmt: skip
        assert expected in err, expected
    assert err.count("error: ") == 10
    assert "10 left out; all else is done" in err
    assert "Traceback" not in err
    rows, _ = read_manifest(output)
    assert {row.slide for row in rows} == {
        *(f"case_{i}" for i in range(5)), "a..b", "__blanks__and_汉字",
    }  # fmt: skip
    train, val = (read_list(output / name, output) for name in ("train.txt", "val.txt"))
    check_samples([*train, *val], num_classes=2)
    # The next run lists them again.
    assert main(arguments(folder, output)) == 1
    assert capsys.readouterr().err.count("error: ") == 10


def test_no_slide_that_can_be_used(main, tmp_path, capsys):
    folder = tmp_path / "slides"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.ndpi").write_text("no slide")
        (folder / f"{name}.xml").write_text("<ASAP_Annotations/>")
    assert main(arguments(folder, tmp_path / "out")) == 1
    err = capsys.readouterr().err
    assert "no slide gave a patch" in err
    assert "b.ndpi: must be a slide" in err


def test_too_few_patients_because_of_bad_slides(main, slides, tmp_path, capsys):
    folder = tmp_path / "slides"
    folder.mkdir()
    for name in ("case 0.tif", "case 0.xml", "case 1.xml"):
        shutil.copy(slides / name, folder / name)
    (folder / "case 1.tif").write_text("no slide")
    assert main(arguments(folder, tmp_path / "out")) == 2
    err = capsys.readouterr().err
    assert "validation needs a second patient" in err
    assert "case 1.tif: must be a slide" in err


def test_no_slide_that_has_an_annotation(main, tmp_path, capsys):
    folder = tmp_path / "slides"
    folder.mkdir()
    (folder / "a.ndpi").touch()
    assert main(arguments(folder, tmp_path / "out")) == 1
    assert "a.ndpi: must have an annotation a.xml" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_said_and_a_later_run_goes_on(
    main, slides, dataset, tmp_path, monkeypatch, capsys
):
    output = tmp_path / "out"
    options = arguments(slides, output, "--patients", str(slides / "patients.csv"))
    real = Path.write_bytes
    room = [25]

    def write_bytes(self, data):
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_bytes)
        assert main(options) == 1
    err = capsys.readouterr().err
    assert "the disk is full; free some space and run the same command again" in err
    assert "Traceback" not in err
    assert not list(output.rglob("*.part*"))
    assert main(options) == 0
    assert snapshot(output) == snapshot(dataset)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--size", "4"), "--size: must be from 16 to 8192"),
        (("--mpp", "0"), "mpp: must be between"),
        (("--folds", "9"), "--folds"),
        (("--fold", "5"), "--fold"),
        (("--val-count", "3"), "--val-count: belongs to --protocol paper"),
        (("--protocol", "paper", "--folds", "3"), "belong to --protocol patient"),
        (("--patients", "gone.csv"), "no such patients file"),
        (("--labels", "gone.yml"), "gone.yml"),
        (("--split", "gone.csv"), "gone.csv"),
        (("--mode", "circles"), "--mode"),
    ],
)
def test_bad_usage(main, slides, tmp_path, capsys, more, message):
    try:
        code = main(arguments(slides, tmp_path / "out", *more))
    except SystemExit as stop:
        code = stop.code
    assert code in (1, 2)
    assert message in capsys.readouterr().err


def test_other_peoples_folders_are_left_alone(main, slides, tmp_path, capsys):
    (tmp_path / "holiday.jpg").touch()
    assert main(arguments(slides, tmp_path)) == 2
    assert "must be empty or a dataset" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]


def test_one_patient_is_too_few(main, slides, tmp_path, capsys):
    assert main(arguments(slides / "case 0.tif", tmp_path / "out")) == 2
    assert "validation needs a second patient, got 1" in capsys.readouterr().err
    options = ("--protocol", "paper", "--val-count", "1")
    assert main(arguments(slides / "case 0.tif", tmp_path / "out", *options)) == 0


@pytest.mark.slow
def test_killed_and_resumed_it_is_the_same_dataset(slides, dataset, tmp_path):
    """SIGKILL for all processes, four times, whenever some more patches are there."""
    output = tmp_path / "out"
    command = [sys.executable, str(ROOT / "tools" / "prepare_dataset.py")]
    command += arguments(slides, output, "--patients", str(slides / "patients.csv"), "--jobs", "2")
    for patches in (2, 7, 20, 40):
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list(output.glob("images/*.png"))) < patches:
            time.sleep(0.005)
        assert process.poll() is None, "it was done before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not (output / "train.txt").exists()
    subprocess.run(command, check=True)
    assert snapshot(output) == snapshot(dataset)


@pytest.mark.slow
def test_the_papers_numbers_from_31_demo_slides(load_tool, main, tmp_path, capsys):
    """134 annotations, 134 patches, 670 with copies, 649 to train on and 21 to validate on."""
    folder, output = tmp_path / "slides", tmp_path / "out"
    assert load_tool("make_demo_slides").main(["--output", str(folder), "--slides", "31"]) == 0
    options = ["--slides", str(folder), "--output", str(output), "--protocol", "paper"]
    assert main(options) == 0
    assert "31 slides" in capsys.readouterr().out
    rows, _ = read_manifest(output)
    assert sum(not row.variant for row in rows) == 134
    assert len(rows) == 670
    assert len({row.patient for row in rows}) == 31
    assert (len(names_in(output, "train.txt")), len(names_in(output, "val.txt"))) == (649, 21)
    assert main([*options, "--val-count", "20"]) == 0
    assert (len(names_in(output, "train.txt")), len(names_in(output, "val.txt"))) == (650, 20)
