"""tools/convert_annotations.py and tools/check_annotations.py, as their users call them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from paddleseg_sclc.annotations.asap import read_asap, write_asap
from paddleseg_sclc.annotations.geojson import read_geojson
from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.model import Annotation, AnnotationGroup, AnnotationSet
from paddleseg_sclc.annotations.rasterize import rasterize

TOOLS = Path(__file__).parents[2] / "tools"
BOX = [(100, 100), (500.5, 120), (520, 400), (130, 420)]


@pytest.fixture
def convert(load_tool):
    return lambda *argv: load_tool("convert_annotations").main([str(a) for a in argv])


@pytest.fixture
def check(load_tool):
    return lambda *argv: load_tool("check_annotations").main([str(a) for a in argv])


@pytest.fixture
def case(tmp_path):
    path = tmp_path / "a case 病理.xml"
    hole = [(200, 200), (300, 200), (300, 300)]
    write_asap(
        path,
        AnnotationSet(
            (
                Annotation("one", BOX, group="Tumor"),
                Annotation("two", hole, group="Necrosis"),
            ),
            (AnnotationGroup("Tumor"), AnnotationGroup("Necrosis")),
        ),
    )
    return path


def test_there_and_back(convert, case, tmp_path, capsys):
    assert convert(case, tmp_path / "a.geojson") == 0
    assert "2 annotations, 7 points, 2 groups (geojson)" in capsys.readouterr().out
    assert convert(tmp_path / "a.geojson", "-o", tmp_path / "b.xml") == 0
    assert read_asap(tmp_path / "b.xml") == read_asap(case)
    assert convert(case, tmp_path / "c.xml", "--format", "imagescope") == 0
    assert "<Regions>" in (tmp_path / "c.xml").read_text()


def test_to_a_mask(convert, case, tmp_path, capsys):
    assert convert(case, "--size", 700, 600, "-o", tmp_path / "m.tif") == 0
    mask = tifffile.imread(tmp_path / "m.tif", key=0)
    np.testing.assert_array_equal(mask, rasterize(read_asap(case), Grid(700, 600)))
    assert f"700 x 600 px, 255: {(mask > 0).sum()} px" in capsys.readouterr().out

    labels = tmp_path / "labels.yml"
    labels.write_text("labels: {Tumor: 255, Necrosis: 0}\norder: [Tumor, Necrosis]\n")
    options = ("--downsample", 4, "--labels", labels, "--rule", "centre")
    assert convert(case, tmp_path / "n.tif", "--size", 700, 600, *options) == 0
    small = tifffile.imread(tmp_path / "n.tif", key=0)
    assert small.shape == (150, 175) and small[50, 30] == 255 and small[55, 70] == 0

    assert convert(tmp_path / "n.tif", tmp_path / "n.geojson", "--size", 700, 600) == 0
    outlines = read_geojson(tmp_path / "n.geojson")
    again = rasterize(outlines, Grid.of_slide(700, 600, 4), rule="centre")
    np.testing.assert_array_equal(again, small)


def test_over_a_slide(convert, shared, tmp_path, capsys):
    slide = shared / "slides" / "hamamatsu-dapi.ndpi"
    ndpa = shared / "annotations" / "mixed.ndpa"
    assert convert(ndpa, tmp_path / "a.xml", "--slide", slide) == 0
    assert "Empty annotation" in capsys.readouterr().err  # what is left out is said
    assert len(read_asap(tmp_path / "a.xml")) == 3
    assert convert(tmp_path / "a.xml", "--slide", slide, "--mpp", 8, "-o", tmp_path / "m.tif") == 0
    assert tifffile.imread(tmp_path / "m.tif", key=0).ndim == 2


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (("a.xml",), 2, "OUT must be given once"),
        (("a.xml", "b.xml", "-o", "c.xml"), 2, "OUT must be given once"),
        (("a.xml", "b.tif"), 2, "pass --slide or --size"),
        (("a.xml", "b.tif", "--size", "0", "5"), 2, "--size: must be > 0"),
        (("a.xml", "b.tif", "--size", "9", "9", "--downsample", "0"), 2, "--downsample: must be"),
        (("a.xml", "b.tif", "--size", "9", "9", "--downsample", "nan"), 2, "--downsample: must be"),
        (("a.xml", "b.tif", "--size", "9", "9", "--mpp", "1"), 2, "--slide-mpp"),
        (("a.xml", "b.tif", "--size", "9", "9", "--even-odd"), 2, "--rule centre"),
        (("a.xml", "b.docx"), 2, "must end in .xml"),
        (("a.xml", "b.ndpa"), 2, "pass --slide"),
        (("a.xml", "a.xml"), 2, "OUT must not be IN"),
        (("a.xml", "b.xml", "--labels", "l.yml"), 2, "are for masks"),
        (("missing.xml", "b.xml"), 1, "cannot be read"),
        (("page.html", "b.xml"), 1, "must be ASAP_Annotations"),
        (("empty.xml", "b.tif", "--size", "9", "9"), 1, "must hold annotations"),
        (("a.xml", "b.tif", "--slide", "a.xml"), 1, "a.xml"),
        (("a.xml", "file/b.xml"), 1, "cannot be written"),
    ],
)
def test_bad_usage_is_one_line(convert, case, tmp_path, monkeypatch, capsys, argv, code, message):
    monkeypatch.chdir(tmp_path)
    case.rename("a.xml")
    Path("page.html").write_text("<html><body/></html>")
    Path("empty.xml").write_text("<ASAP_Annotations/>")
    Path("file").write_text("")
    before = sorted(p.name for p in tmp_path.iterdir())
    try:
        got = convert(*argv)
    except SystemExit as stop:
        got = stop.code
    assert got == code
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_checking_good_and_bad_files(check, case, tmp_path, capsys):
    assert check("--size", 700, 600, case) == 0
    assert "nothing found" in capsys.readouterr().out
    assert check("--size", 450, 410, case) == 0  # over the edge is a warning
    assert "over-edge" in capsys.readouterr().out

    bad = tmp_path / "bad.xml"
    bad.write_text(
        case.read_text().replace("500.5", "500,5").replace('"Necrosis" Color', '"X" Color', 1)
    )
    assert check("--size", 700, 600, bad, case, tmp_path / "missing.xml") == 1
    out = capsys.readouterr()
    assert "decimal-comma" in out.out and "unknown-group" in out.out
    assert "nothing found" in out.out and "missing.xml: cannot be read" in out.err


def test_repairing(check, case, tmp_path, capsys):
    bad = tmp_path / "bad.xml"
    bad.write_text(case.read_text().replace("500.5", "500,5"))
    assert check("--size", 700, 600, bad, "--repair", tmp_path / "good.xml") == 1
    assert "1 changes" in capsys.readouterr().out
    assert check("--size", 700, 600, tmp_path / "good.xml") == 0
    assert read_asap(tmp_path / "good.xml") == read_asap(case)
    assert check("--size", 700, 600, bad, case, "--repair", tmp_path / "all") == 1
    assert sorted(p.name for p in (tmp_path / "all").iterdir()) == sorted([bad.name, case.name])
    capsys.readouterr()
    assert check("--size", 700, 600, bad, "--repair", bad) == 1
    assert "must not replace" in capsys.readouterr().err
    assert check("--size", 20, 20, bad, "--repair", tmp_path / "none.xml") == 1
    assert "is it of this slide?" in capsys.readouterr().err
    assert not (tmp_path / "none.xml").exists()


def test_checking_against_a_slide(check, shared, capsys):
    slide = shared / "slides" / "CMU-1-Small-Region.svs"
    annotation = shared / "annotations" / "decimal_comma.xml"
    assert check(slide, annotation) == 1
    assert "decimal-comma" in capsys.readouterr().out
    assert check(annotation, annotation) == 1  # the first must be a slide
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("tool", ["convert_annotations", "check_annotations"])
def test_run_as_a_program(tool):
    path = TOOLS / f"{tool}.py"
    shown = subprocess.run([sys.executable, path, "--help"], capture_output=True, text=True)
    assert shown.returncode == 0 and f"python tools/{tool}.py" in shown.stdout
    assert subprocess.run([sys.executable, path], capture_output=True).returncode == 2
