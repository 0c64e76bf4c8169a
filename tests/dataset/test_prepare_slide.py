import dataclasses
import shutil

import cv2
import numpy as np
import pytest
import tifffile

from paddleseg_sclc.dataset.extract import CutOptions
from paddleseg_sclc.dataset.ledger import Ledger
from paddleseg_sclc.dataset.manifest import sha256_of
from paddleseg_sclc.dataset.slide_task import SlideTask, prepare_slide
from paddleseg_sclc.dataset.sources import find_slides
from paddleseg_sclc.errors import SclcError

SQUARE = [(200, 200), (500, 200), (500, 450), (200, 450)]


def task_of(folder, output, **options):
    sources, _ = find_slides(folder)
    cut = CutOptions(**{"size": 96, **options})
    return SlideTask(sources[0], output, cut)


def snapshot(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_patches_manifest_and_preview_of_a_slide(case, tmp_path):
    output = tmp_path / "out"
    result = prepare_slide(task_of(case.parent, output))
    assert not result.problems
    assert (result.annotations, result.planned, result.reused) == (2, 2, False)
    assert result.info["sha256"] == sha256_of(case)
    assert result.info["mpp"] == [0.5, 0.5]
    star = result.rows[0]
    assert star.name == "case_a0000_x000300_y000200"
    assert (star.x_l0, star.y_l0, star.width_l0, star.height_l0) == (300, 200, 700, 720)
    assert star.mpp_x == pytest.approx(0.5 * 700 / 96)
    assert star.mpp_y == pytest.approx(0.5 * 720 / 96)
    assert star.also_shown == "1"
    for row in result.rows:
        assert row.image_sha256 == sha256_of(output / "images" / f"{row.name}.png")
        assert row.mask_sha256 == sha256_of(output / "masks" / f"{row.name}.png")
        mask = cv2.imread(str(output / "masks" / f"{row.name}.png"), cv2.IMREAD_UNCHANGED)
        assert set(np.unique(mask)) == {0, 1}
        assert row.tumour_share == np.mean(mask == 1)
    preview = cv2.imread(str(output / "previews" / "case.png"))
    assert preview.shape == (276, 504, 3)


def test_a_second_run_writes_nothing(case, tmp_path):
    task = task_of(case.parent, tmp_path / "out")
    first = prepare_slide(task)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")}
    again = prepare_slide(task)
    assert again.reused
    assert dataclasses.replace(again, reused=False) == first
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")} == before


@pytest.mark.parametrize("change", ["annotation", "slide", "option", "patient", "missing"])
def test_what_changed_is_done_again(case, tmp_path, change):
    folder, output = tmp_path / "slides", tmp_path / "out"
    shutil.copytree(case.parent, folder)
    task = task_of(folder, output)
    first = prepare_slide(task)
    if change == "annotation":
        text = (folder / "case.xml").read_text()
        (folder / "case.xml").write_text(text.replace('X="820"', 'X="777"'))
    elif change == "slide":
        (folder / "case.tif").touch()
    elif change == "option":
        task = task_of(folder, output, border=3)
    elif change == "patient":
        task = dataclasses.replace(task, source=dataclasses.replace(task.source, patient="p"))
    else:
        (output / "masks" / f"{first.rows[0].name}.png").unlink()
    second = prepare_slide(task)
    assert not second.reused
    names = {f"{row.name}.png" for row in second.rows}
    assert {p.name for p in (output / "images").iterdir()} == names
    assert {p.name for p in (output / "masks").iterdir()} == names


def test_a_dry_run_writes_nothing(case, tmp_path):
    task = dataclasses.replace(task_of(case.parent, tmp_path / "out"), dry_run=True)
    result = prepare_slide(task)
    assert (result.annotations, result.planned, result.rows) == (2, 2, ())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("moment", range(6))
def test_an_interrupted_slide_is_made_again_to_the_byte(case, tmp_path, monkeypatch, moment):
    import paddleseg_sclc.dataset.slide_task as module

    whole = tmp_path / "whole"
    prepare_slide(task_of(case.parent, whole))

    class Killed(BaseException):
        pass

    calls = []

    def dying(function):
        def wrapper(*args):
            calls.append(function)
            if len(calls) > moment:
                raise Killed
            return function(*args)

        return wrapper

    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        for name in ("write_sample", "sha256_of", "write_sheet"):
            patch.setattr(module, name, dying(getattr(module, name)))
        with pytest.raises(Killed):
            prepare_slide(task_of(case.parent, output))
    prepare_slide(task_of(case.parent, output))
    assert snapshot(output) == snapshot(whole)


def test_a_corrupt_tile_costs_its_own_patch_only(tmp_path, make_slide, make_xml):
    folder = tmp_path / "slides"
    folder.mkdir()
    path = make_slide(folder / "case.tif", tumours=[SQUARE])
    far = [(1100, 800), (1300, 800), (1300, 900)]
    (folder / "case.xml").write_text(
        make_xml([("a", "Polygon", "None", SQUARE), ("b", "Polygon", "None", far)])
    )
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        offset, count = page.dataoffsets[1], page.databytecounts[1]  # x 256 to 511, y 0 to 255
    data = bytearray(path.read_bytes())
    data[offset : offset + count] = b"\xff" * count
    path.write_bytes(data)
    task = task_of(folder, tmp_path / "out", size=512)
    result = prepare_slide(task)
    assert [row.annotation_name for row in result.rows] == ["b"]
    assert len(result.problems) == 1
    assert "cannot be decoded" in result.problems[0]
    assert str(path) in result.problems[0]
    assert result.planned == 2
    assert prepare_slide(task).problems == result.problems


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold annotations, got an empty file"),
        ("<html></html>", "ASAP"),
        ("no xml at all", "XML"),
        ('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><ASAP_Annotations/>', "DOCTYPE"),
        ("<ASAP_Annotations><Annotations/><AnnotationGroups/></ASAP_Annotations>", "list is empty"),
    ],
)
def test_annotations_that_are_none(case, tmp_path, text, message):
    folder = tmp_path / "slides"
    shutil.copytree(case.parent, folder)
    (folder / "case.xml").write_text(text)
    with pytest.raises(SclcError, match=message) as info:
        prepare_slide(task_of(folder, tmp_path / "out"))
    assert "case.xml" in str(info.value)
    assert "\n" not in str(info.value)
    assert not (tmp_path / "out").exists()


def test_annotations_without_tumour_or_points(case, tmp_path, make_xml):
    folder = tmp_path / "slides"
    shutil.copytree(case.parent, folder)
    (folder / "case.xml").write_text(make_xml([("d", "Dot", "None", [(5, 5)])]))
    with pytest.raises(SclcError, match="must outline tumour, but none of its 1 annotations"):
        prepare_slide(task_of(folder, tmp_path / "out"))
    two = [("a", "Polygon", "None", SQUARE), ("b", "Polygon", "None", [(1, 1), (9, 9)])]
    (folder / "case.xml").write_text(make_xml(two))
    result = prepare_slide(task_of(folder, tmp_path / "out"))
    assert len(result.rows) == 1
    assert 'annotation 1 "b": an outline needs at least 3 points, got 2' in result.problems[0]


def test_a_slide_without_mpp(tmp_path, make_slide, make_xml):
    folder = tmp_path / "slides"
    folder.mkdir()
    make_slide(folder / "case.tif", mpp=None)
    (folder / "case.xml").write_text(make_xml([("a", "Polygon", "None", SQUARE)]))
    task = task_of(folder, tmp_path / "out")
    with pytest.raises(SclcError, match=r"says no mpp .*pass --mpp"):
        prepare_slide(task)
    result = prepare_slide(dataclasses.replace(task, mpp=0.4))
    assert result.rows[0].mpp_x == pytest.approx(0.4 * 500 / 96)


def test_names_with_blanks_chinese_characters_and_dots(case, tmp_path):
    folder = tmp_path / "slides"
    folder.mkdir()
    for stem in ("病例 七", "a..b", "..c"):
        shutil.copy(case, folder / f"{stem}.tif")
        shutil.copy(case.with_suffix(".xml"), folder / f"{stem}.xml")
    sources, problems = find_slides(folder)
    # `..c.tif` is a hidden file.
    assert [s.name for s in sources] == ["a..b", "病例_七"]
    assert not problems
    for source in sources:
        result = prepare_slide(SlideTask(source, tmp_path / "out", CutOptions(size=64)))
        assert not result.problems
        assert (tmp_path / "out" / "images" / f"{source.name}_a0000_x000300_y000200.png").is_file()
    assert {p.name for p in tmp_path.iterdir()} == {"slides", "out"}


def test_grid_mode(case, tmp_path):
    task = task_of(case.parent, tmp_path / "out", mode="grid", tile_mpp=1.0, free_ratio=0.3)
    result = prepare_slide(task)
    origins = [row.origin for row in result.rows]
    assert origins.count("free") == round(origins.count("tile") * 0.3)
    assert {row.mpp_x for row in result.rows} == {1.0}
    assert Ledger(tmp_path / "out").finished(task.name, task.key())
