import json
import os

import cv2
import numpy as np
import pytest

from paddleseg_sclc.slides.pyramid import PyramidWriter
from paddleseg_sclc.slides.reader import open_slide
from paddleseg_sclc.stain import StainNormalizer, VahadaneNormalizer


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("normalize_stain")


def tissue(seed=0, shape=(260, 300), strength=(1.5, 0.9)):
    rng = np.random.default_rng(seed)
    nuclei = cv2.GaussianBlur(rng.standard_normal(shape), (0, 0), 6) > 0
    grain = np.exp(cv2.GaussianBlur(rng.standard_normal(shape), (0, 0), 2))
    amounts = np.stack([nuclei * strength[0], ~nuclei * strength[1]], -1) * grain[..., None]
    matrix = np.array([[0.57, 0.75, 0.33], [0.17, 0.90, 0.40]])
    return np.rint(250 * np.exp(-amounts @ matrix)).astype(np.uint8)


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, image[..., ::-1])[1].tobytes())
    return path


def read(path):
    return cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.fixture
def folder(tmp_path):
    """Two patients' patches, one with a blank name and accents, in subfolders."""
    root = tmp_path / "in"
    write(root / "a" / "1.png", tissue(0))
    write(root / "a" / "zwei ä.png", tissue(1))
    write(root / "b" / "1.png", tissue(2, strength=(0.8, 0.5)))
    return root


@pytest.fixture
def slide(tmp_path):
    image = tissue(5, (900, 1100))
    image[:300] = np.random.default_rng(0).integers(246, 251, (300, 1100, 3))
    path = tmp_path / "case 3.tif"
    with PyramidWriter(path, 1100, 900, 3, 1.0, compression="deflate") as writer:
        for row in range(writer.rows):
            for column in range(writer.columns):
                x, y, w, h = writer.tile_box(row, column)
                writer.write_tile(row, column, image[y : y + h, x : x + w])
    return path


def test_a_folder_has_one_fit(tool, folder, tmp_path, capsys):
    output = tmp_path / "out"
    assert tool.main([str(folder), "--output", str(output), "--jobs", "1"]) == 0
    assert capsys.readouterr().out == f"{output}: 3 files: 3 by the fit of its slide\n"
    pair = [tissue(0), tissue(1)]
    fitted = VahadaneNormalizer().fit_blocks(pair)
    for image, name in zip(pair, ("1.png", "zwei ä.png"), strict=True):
        np.testing.assert_array_equal(read(output / "a" / name), fitted.transform(image))
    alone = VahadaneNormalizer().fit_transform(tissue(2, strength=(0.8, 0.5)))
    np.testing.assert_array_equal(read(output / "b" / "1.png"), alone)
    fits = json.loads((output / "fits.json").read_text())["fits"]
    assert fits["a"] == fitted.source.to_dict()
    assert StainNormalizer.load(output / "stain_target.json").to_dict() == (
        VahadaneNormalizer().to_dict()
    )


def test_per_patch_each_has_its_own(tool, folder, tmp_path, capsys):
    output = tmp_path / "out"
    assert tool.main([str(folder), "--output", str(output), "--per-patch", "--jobs", "1"]) == 0
    assert "3 by its own fit" in capsys.readouterr().out
    np.testing.assert_array_equal(
        read(output / "a" / "1.png"), VahadaneNormalizer().fit_transform(tissue(0))
    )


def test_processes_change_nothing(tool, tmp_path):
    for index in range(9):
        write(tmp_path / "in" / f"{index}.png", tissue(index, (90, 120)))
    for jobs in ("1", "2"):
        argv = [str(tmp_path / "in"), "--output", str(tmp_path / jobs), "--jobs", jobs]
        assert tool.main(argv) == 0
    for index in range(9):
        assert (tmp_path / "1" / f"{index}.png").read_bytes() == (
            tmp_path / "2" / f"{index}.png"
        ).read_bytes()


def test_a_second_run_goes_on(tool, folder, tmp_path, capsys):
    output = tmp_path / "out"
    argv = [str(folder), "--output", str(output), "--jobs", "1"]
    assert tool.main(argv) == 0
    before = (output / "a" / "1.png").stat().st_mtime_ns
    (output / "a" / "zwei ä.png").unlink()
    os.utime(folder / "b" / "1.png")  # newer than its output
    os.utime(output / "b" / "1.png", (0, 0))
    capsys.readouterr()
    assert tool.main(argv) == 0
    assert capsys.readouterr().out.endswith("2 by the fit of its slide, 1 were there already\n")
    assert (output / "a" / "1.png").stat().st_mtime_ns == before
    assert (output / "a" / "zwei ä.png").is_file()


def test_other_settings_need_another_folder_or_overwrite(tool, folder, tmp_path, capsys):
    argv = [str(folder), "--output", str(tmp_path / "out"), "--jobs", "1"]
    assert tool.main(argv) == 0
    assert tool.main([*argv, "--method", "macenko"]) == 2
    assert "normalised with other settings" in capsys.readouterr().err
    assert tool.main([*argv, "--method", "macenko", "--overwrite"]) == 0
    assert StainNormalizer.load(tmp_path / "out" / "stain_target.json").method == "macenko"


def test_a_batch_with_all_kinds_of_trouble_finishes(tool, tmp_path, capsys):
    root = tmp_path / "in"
    rng = np.random.default_rng(0)
    images = {
        "good": tissue(0),
        "white": np.full((260, 300, 3), 255, np.uint8),
        "noise": rng.integers(240, 256, (260, 300, 3), np.uint8),
        "black": np.zeros((260, 300, 3), np.uint8),
        "flat": np.full((260, 300, 3), (220, 150, 190), np.uint8),
        "grey": np.repeat(tissue(1)[..., :1], 3, axis=2),
        "small": tissue(2)[:1, :1],
    }
    for name, image in images.items():
        write(root / f"{name}.png", image)
    (root / "damaged.png").write_bytes((root / "good.png").read_bytes()[:900])
    (root / "no image.jpg").write_text("<svg/>")
    output = tmp_path / "out"
    assert tool.main([str(root), "--output", str(output), "--per-patch", "--jobs", "2"]) == 1
    captured = capsys.readouterr()
    assert "9 files: 1 by its own fit, 6 left as it is, 2 left out" in captured.out
    assert captured.err.count("error: ") == 2
    for name in ("damaged.png", "no image.jpg"):
        assert f"error: {root / name}: " in captured.err
    assert "Traceback" not in captured.err
    for name, image in images.items():
        assert (read(output / f"{name}.png") != image).any() == (name == "good")


def test_trouble_among_the_patches_of_a_slide_does_not_spoil_its_fit(tool, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for i in range(3):
        write(tmp_path / "in" / f"{i}.png", tissue(i))
        write(tmp_path / "good" / f"{i}.png", tissue(i))
    for i in range(9):
        write(tmp_path / "in" / f"random {i}.png", rng.integers(0, 256, (260, 300, 3), np.uint8))
    for name in ("in", "good"):
        assert tool.main([str(tmp_path / name), "--output", str(tmp_path / f"{name} out")]) == 0
    captured = capsys.readouterr()
    assert "12 files: 12 by the fit of its slide" in captured.out
    assert "the 3 that can be fitted by themselves were fitted together" in captured.err
    for i in range(3):
        results = [read(tmp_path / f"{name} out" / f"{i}.png") for name in ("in", "good")]
        np.testing.assert_array_equal(*results)
        assert (results[0] != tissue(i)).any()


def test_a_folder_of_blanks_is_copied_and_said_so(tool, tmp_path, capsys):
    write(tmp_path / "in" / "1.png", np.full((50, 60, 3), 240, np.uint8))
    assert tool.main([str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--jobs", "1"]) == 0
    captured = capsys.readouterr()
    assert "1 left as it is" in captured.out
    assert "not fitted: " in captured.err
    assert (read(tmp_path / "out" / "1.png") == 240).all()


def test_a_slide_its_fit_and_a_preview(tool, slide, folder, tmp_path, capsys):
    output, fit = tmp_path / "out", tmp_path / "fits" / "fit.json"
    argv = [str(slide), "--output", str(output), "--save-fit", str(fit), "--preview"]
    assert tool.main([*argv, "--jobs", "2", "--compression", "deflate"]) == 0
    fitted = StainNormalizer.load(fit)
    with open_slide(slide) as before, open_slide(output / "case 3.tif") as after:
        assert after.dimensions == before.dimensions
        np.testing.assert_allclose(after.mpp, before.mpp)
        np.testing.assert_array_equal(
            after.read_level(0, 0, 0, 1100, 900),
            fitted.transform(before.read_level(0, 0, 0, 1100, 900)),
        )
    sheet = read(output / "stain_preview.png")
    assert sheet.shape == (348, 4 * 326, 3)
    assert sheet.std() > 20
    # That fit on patches: they are normalised as the slide was.
    argv = [str(folder / "a"), "--output", str(tmp_path / "patches"), "--fit", str(fit)]
    assert tool.main([*argv, "--jobs", "1"]) == 0
    np.testing.assert_array_equal(read(tmp_path / "patches" / "1.png"), fitted.transform(tissue(0)))


def test_a_blank_slide_is_left_out(tool, tmp_path, capsys):
    path = tmp_path / "blank.tif"
    with PyramidWriter(path, 600, 500, 3, 1.0, fill=244):
        pass
    assert tool.main([str(path), "--output", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert f"error: {path}: stained tissue must be" in captured.err
    assert "1 left out" in captured.out
    assert not (tmp_path / "out" / "blank.tif").exists()


@pytest.mark.parametrize("method", ["vahadane", "macenko", "reinhard"])
def test_any_image_slide_or_run_is_a_target(tool, folder, slide, tmp_path, method):
    # Macenko's method loses pale eosin.
    image = write(tmp_path / "target.png", tissue(7, strength=(2.0, 1.6)))
    for number, target in enumerate((image, slide)):
        argv = [str(folder / "a"), "--method", method, "--jobs", "1", "--target"]
        first, second = tmp_path / f"{number}first", tmp_path / f"{number}second"
        assert tool.main([*argv, str(target), "--output", str(first)]) == 0
        assert tool.main([*argv, str(first / "stain_target.json"), "--output", str(second)]) == 0
        for name in ("1.png", "zwei ä.png", "stain_target.json"):
            assert (first / name).read_bytes() == (second / name).read_bytes()


def test_the_median_of_the_inputs_is_a_target(tool, folder, slide, tmp_path):
    argv = [str(folder), str(slide), "--target", "median", "--output", str(tmp_path / "out")]
    assert tool.main([*argv, "--jobs", "1"]) == 0
    content = json.loads((tmp_path / "out" / "fits.json").read_text())["fits"]
    assert set(content) == {"in/a", "in/b", "case 3.tif"}
    strengths = [fit["max_concentrations"] for fit in content.values()]
    target = StainNormalizer.load(tmp_path / "out" / "stain_target.json").target
    np.testing.assert_allclose(target.max_concentrations, np.median(strengths, axis=0), atol=1e-6)


def test_output_inside_the_input_is_not_taken_for_input(tool, folder, capsys):
    argv = [str(folder), "--output", str(folder / "out"), "--jobs", "1"]
    assert tool.main(argv) == 0
    assert tool.main(argv) == 0
    assert "3 files: 3 were there already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "oxford"], "target: must be warwick or a JSON, image or slide"),
        (["--save-fit", "x.json"], "--save-fit: needs one slide or one folder"),
        (["--fit", "none.json"], "none.json: cannot be read"),
    ],
)
def test_wrong_usage_is_one_line(tool, folder, tmp_path, capsys, options, message):
    argv = [str(folder), "--output", str(tmp_path / "out"), "--jobs", "1", *options]
    assert tool.main(argv) in (1, 2)
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not list((tmp_path / "out").rglob("*.png"))


def test_missing_and_foreign_inputs_are_usage_errors(tool, folder, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    for name in ("none", "notes.txt", "empty"):
        assert tool.main([str(tmp_path / name), "--output", str(tmp_path / "out")]) == 2
        assert str(tmp_path / name) in capsys.readouterr().err
    write(folder / "a" / "1.jpg", tissue())
    assert tool.main([str(folder), "--output", str(tmp_path / "out")]) == 2
    assert "would overwrite" in capsys.readouterr().err
    assert tool.main([str(folder / "b" / "1.png"), "--output", str(folder / "b")]) == 2


def test_numbers_out_of_range_are_usage_errors(tool, folder, tmp_path, capsys):
    for option, value in (("--quality", "0"), ("--jobs", "0"), ("--mpp", "-1")):
        with pytest.raises(SystemExit) as caught:
            tool.main([str(folder), "--output", str(tmp_path / "out"), option, value])
        assert caught.value.code == 2
        assert option in capsys.readouterr().err
