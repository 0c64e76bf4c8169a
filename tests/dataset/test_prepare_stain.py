"""Preparing with stain normalisation, on small slides of synthetic tissue."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from paddleseg_sclc.dataset.manifest import read_manifest
from paddleseg_sclc.dataset.normalize import fit_slide
from paddleseg_sclc.dataset.paddleseg_format import read_image
from paddleseg_sclc.demo.patches import PatchPlan, draw_patch
from paddleseg_sclc.slides.pyramid import PyramidWriter
from paddleseg_sclc.slides.reader import open_slide
from paddleseg_sclc.stain import StainNormalizer, VahadaneNormalizer

SIDE, MPP = 640, 2.0
BOXES = [
    [(60, 60), (260, 60), (260, 200), (60, 200)],
    [(330, 340), (560, 340), (560, 580), (330, 580)],
]


@pytest.fixture(scope="module")
def main(load_tool):
    return load_tool("prepare_dataset").main


def write_tiff(path: Path, image: np.ndarray) -> None:
    with PyramidWriter(path, SIDE, SIDE, 3, MPP, tile=128, compression="deflate") as writer:
        for y in range(0, SIDE, 128):
            writer.write_band(y, image[y : y + 128])


@pytest.fixture(scope="module")
def slides(tmp_path_factory, make_xml) -> Path:
    """Three patients' slides, each stained in its own way."""
    folder = tmp_path_factory.mktemp("stained")
    plan = PatchPlan(size=SIDE, mpp=MPP, seed=5)
    for patient in range(3):
        write_tiff(folder / f"p{patient}.tif", draw_patch(plan, patient, 0)[0])
        outlines = [(f"a{i}", "Polygon", "None", box) for i, box in enumerate(BOXES)]
        (folder / f"p{patient}.xml").write_text(make_xml(outlines))
    return folder


def prepare(main, slides: Path, output: Path, *more: str) -> int:
    options = ["--size", "96", "--jobs", "1", "--no-augment", *more]
    return main(["--slides", str(slides), "--output", str(output), *options])


@pytest.fixture(scope="module")
def raw(main, slides, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("raw") / "out"
    assert prepare(main, slides, output, "--stain", "none") == 0
    assert not (output / "stain_target.json").exists()
    return output


@pytest.fixture(scope="module")
def normalized(main, slides, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("normalized") / "out"
    assert prepare(main, slides, output) == 0
    return output


def fits_of(dataset: Path) -> dict[str, dict]:
    info = json.loads((dataset / "dataset.json").read_text())
    return {slide["name"]: slide["stain_fit"] for slide in info["slides"]}


def test_patches_are_normalised_by_the_fit_of_their_slide(slides, raw, normalized):
    rows, _ = read_manifest(normalized)
    fits, saved = fits_of(normalized), json.loads((normalized / "stain_target.json").read_text())
    assert saved["source"] is None
    for row in rows:
        assert row.stain == "slide"
        normalizer = StainNormalizer.from_dict({**saved, "source": fits[row.slide]})
        before, after = (read_image(d / "images" / f"{row.name}.png") for d in (raw, normalized))
        np.testing.assert_array_equal(normalizer.transform(before), after)
        assert (before != after).mean() > 0.5
        masks = [(d / "masks" / f"{row.name}.png").read_bytes() for d in (raw, normalized)]
        assert masks[0] == masks[1]
    with open_slide(slides / "p1.tif") as slide:
        assert fit_slide(slide, VahadaneNormalizer()).source.to_dict() == fits["p1"]


def test_a_second_run_and_a_dry_run_find_all_unchanged(main, slides, normalized, capsys):
    for more in ((), ("--dry-run",)):
        assert prepare(main, slides, normalized, *more) == 0
        assert capsys.readouterr().out.count("unchanged") == 3


def test_another_target_is_another_dataset(main, slides, normalized, tmp_path, capsys):
    output = tmp_path / "out"
    shutil.copytree(normalized, output)
    assert prepare(main, slides, output, "--stain-target", "median") == 0
    assert capsys.readouterr().out.count("made") == 3
    fits = list(fits_of(output).values())
    target = json.loads((output / "stain_target.json").read_text())["target"]
    expected = np.median([fit["max_concentrations"] for fit in fits], axis=0)
    np.testing.assert_allclose(target["max_concentrations"], expected, atol=1e-6)
    # Back to what it was, to the byte.
    assert prepare(main, slides, output) == 0
    for path in (normalized / "images").iterdir():
        assert (output / "images" / path.name).read_bytes() == path.read_bytes()
    assert prepare(main, slides, output, "--stain", "none") == 0
    assert not (output / "stain_target.json").exists()


def test_each_patch_by_its_own_fit(main, slides, normalized, tmp_path):
    output = tmp_path / "out"
    options = ("--stain", "reinhard", "--stain-per-patch")
    assert prepare(main, slides, output, *options) == 0
    rows, _ = read_manifest(output)
    assert {row.stain for row in rows} <= {"patch", "slide"}
    assert "patch" in {row.stain for row in rows}
    assert json.loads((output / "stain_target.json").read_text())["method"] == "reinhard"


def test_padding_stays_white(main, slides, tmp_path):
    output = tmp_path / "out"
    assert prepare(main, slides, output, "--keep-aspect") == 0
    rows, _ = read_manifest(output)
    padded = [row for row in rows if row.ignored_share > 0]
    assert padded
    for row in padded:
        image = read_image(output / "images" / f"{row.name}.png")
        mask = read_image(output / "masks" / f"{row.name}.png")[..., 0]
        assert (image[mask == 255] == 255).all()


def test_a_slide_without_stained_tissue_keeps_its_colours(main, slides, tmp_path, capsys):
    folder, output = tmp_path / "slides", tmp_path / "out"
    shutil.copytree(slides, folder)
    rng = np.random.default_rng(0)
    grey = rng.normal(120, 3, (SIDE, SIDE, 1)).repeat(3, axis=2).astype(np.uint8)
    write_tiff(folder / "p2.tif", grey)
    assert prepare(main, folder, output) == 0
    rows, _ = read_manifest(output)
    assert {row.slide: row.stain for row in rows} == {"p0": "slide", "p1": "slide", "p2": "kept"}
    assert fits_of(output)["p2"] is None
    err = capsys.readouterr().err
    assert "p2.tif" in err
    assert "keep their colours" in err


def test_a_damaged_tile_leaves_the_rest_normalised(main, slides, tmp_path, capsys):
    folder, output = tmp_path / "slides", tmp_path / "out"
    shutil.copytree(slides, folder)
    path = folder / "p1.tif"
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        place = 3 * 5 + 3  # x 384 to 511, y 384 to 511: in the second box
        offset, count = page.dataoffsets[place], page.databytecounts[place]
    data = bytearray(path.read_bytes())
    data[offset : offset + count] = b"\xff" * count
    path.write_bytes(data)
    assert prepare(main, folder, output, "--size", "512") == 1
    assert capsys.readouterr().err.count("cannot be decoded") == 1
    rows, _ = read_manifest(output)
    assert len(rows) == 5
    assert {row.stain for row in rows} == {"slide"}


@pytest.mark.parametrize(
    ("target", "message"),
    [("gone.png", "gone.png"), ("moon", "moon")],
)
def test_targets_that_are_none(main, slides, tmp_path, capsys, target, message):
    assert prepare(main, slides, tmp_path / "out", "--stain-target", target) == 2
    assert message in capsys.readouterr().err
