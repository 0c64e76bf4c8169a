import numpy as np
import pytest
from PIL import Image

from paddleseg_sclc.dataset.paddleseg_format import check_samples, read_image, read_list, read_mask

SIZE = (12, 9)


@pytest.fixture
def folders(tmp_path):
    """Four images with 0/255 masks: names with a blank, Chinese characters and other formats."""
    rng = np.random.default_rng(0)
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    for name, suffix in (("a b", ".png"), ("切片", ".png"), ("c", ".jpg"), ("d", ".tif")):
        pixels = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{name}{suffix}")
        mask = np.where(rng.random(SIZE) < 0.5, 255, 0).astype(np.uint8)
        Image.fromarray(mask).save(masks / f"{name}.png")
    return tmp_path


@pytest.fixture
def run(load_tool, folders):
    def call(*options):
        places = ["--images", folders / "images", "--masks", folders / "masks"]
        argv = [*places, "--output", folders / "out", *options]
        return load_tool("import_patches").main([str(x) for x in argv])

    return call


def write_groups(folders, text):
    (folders / "groups.csv").write_text(text, encoding="utf-8")
    return ["--groups", folders / "groups.csv"]


def names(folders, side):
    return {s.image.stem for s in read_list(folders / "out" / f"{side}.txt", folders / "out")}


def test_a_dataset_that_paddleseg_reads(run, folders):
    from paddleseg.datasets import Dataset
    from paddleseg.transforms import Normalize

    assert run("--val-fraction", "0.25") == 0
    root = folders / "out"
    lists = {side: read_list(root / f"{side}.txt", root) for side in ("train", "val")}
    assert [len(samples) for samples in lists.values()] == [3, 1]
    assert {s.image.stem for samples in lists.values() for s in samples} == {
        "a_b",
        "切片",
        "c",
        "d",
    }
    for samples in lists.values():
        check_samples(samples, num_classes=2)
    dataset = Dataset("val", str(root), [Normalize()], 2, val_path=str(root / "val.txt"))
    sample = dataset[0]
    assert sample["img"].shape == (3, *SIZE)
    assert set(np.unique(sample["label"])) == {0, 1}


def test_pixels_and_masks_are_the_sources(run, folders):
    run()
    for name, source in (("a_b", "a b.png"), ("d", "d.tif")):
        np.testing.assert_array_equal(
            read_image(folders / "out" / "images" / f"{name}.png"),
            read_image(folders / "images" / source),
        )
        original = read_mask(folders / "masks" / source.replace(".tif", ".png"))
        written = read_mask(folders / "out" / "masks" / f"{name}.png")
        np.testing.assert_array_equal(written, original // 255)


def test_groups_stay_together_and_seed_decides(run, folders):
    groups = write_groups(folders, "patch,patient\na b.png,P1\n切片,P1\nc,P2\nd,P2\n")
    assert run(*groups, "--val-fraction", "0.5") == 0
    assert names(folders, "val") in ({"a_b", "切片"}, {"c", "d"})


def test_chosen_groups(run, folders):
    groups = write_groups(folders, "a b,P1\n切片,P2\nc,P3\nd,P4\n")
    assert run(*groups, "--val-groups", "P2", "P4") == 0
    assert names(folders, "val") == {"切片", "d"}


def spoil(folders, case):
    if case == "missing mask":
        (folders / "masks" / "c.png").unlink()
    elif case == "missing image":
        (folders / "images" / "c.jpg").unlink()
    elif case == "other size":
        Image.fromarray(np.zeros((5, 5), np.uint8)).save(folders / "masks" / "c.png")
    elif case == "three values":
        values = np.zeros(SIZE, np.uint8)
        values[0, :2] = 128, 255
        Image.fromarray(values).save(folders / "masks" / "c.png")
    elif case == "unreadable image":
        (folders / "images" / "c.jpg").write_bytes(b"\xff\xd8 no image")
    elif case == "cut image":
        content = (folders / "images" / "a b.png").read_bytes()
        (folders / "images" / "a b.png").write_bytes(content[: len(content) // 2])
    elif case == "colour mask":
        colour = np.zeros((*SIZE, 3), np.uint8)
        colour[..., 0] = 255
        Image.fromarray(colour).save(folders / "masks" / "c.png")
    elif case == "two of one name":
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(folders / "images" / "c.png")


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("missing mask", "c.jpg: an image must have a mask of its name"),
        ("missing image", "c.png: a mask must have an image of its name"),
        ("other size", "must have the size of its image c.jpg (9x12), got 5x5"),
        ("three values", "must hold two values, 0 and 1 or 0 and 255, got 3 (0, 128, 255)"),
        ("unreadable image", "c.jpg: an image must be a readable PNG"),
        ("cut image", "a b.png: an image must be a readable PNG"),
        ("colour mask", "a mask must be grey, got a colour image"),
        ("two of one name", "has the same name as"),
    ],
)
def test_bad_input_gives_one_line_and_leaves_nothing(run, folders, capsys, case, message):
    spoil(folders, case)
    assert run() == 1
    err = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(err) == 1
    assert message in err[0]
    assert not (folders / "out").exists()
    assert not list(folders.glob(".out*"))


def test_all_faults_are_told_at_once(run, folders, capsys):
    spoil(folders, "three values")
    spoil(folders, "cut image")
    assert run() == 1
    err = capsys.readouterr().err
    assert "c.png" in err
    assert "a b.png" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--val-fraction", "1.5"], "--val-fraction must be in [0, 1)"),
        (["--groups", "nowhere.csv"], "there is no such groups file"),
        (["--val-groups", "P9"], "must name groups, got P9"),
    ],
)
def test_bad_usage_exits_with_2(run, capsys, options, message):
    try:
        code = run(*options)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_patch_without_group_is_named(run, folders, capsys):
    assert run(*write_groups(folders, "a b,P1\nc,P2\n")) == 1
    assert "d, 切片 (2 in all) has none" in capsys.readouterr().err


def test_empty_folder(load_tool, tmp_path, capsys):
    argv = ["--images", tmp_path, "--masks", tmp_path, "--output", tmp_path / "out"]
    assert load_tool("import_patches").main([str(x) for x in argv]) == 1
    assert "must hold images" in capsys.readouterr().err


def test_output_that_holds_something_is_left_alone(run, folders, capsys):
    (folders / "out").mkdir()
    (folders / "out" / "mine.txt").write_text("mine")
    assert run() == 2
    assert [p.name for p in (folders / "out").iterdir()] == ["mine.txt"]
    assert "holds something already" in capsys.readouterr().err


def test_jpeg_masks_are_thresholded_if_they_are_near_two_values(run, folders):
    blocks = np.kron(np.array([[0, 255], [255, 0]], np.uint8), np.ones((8, 8), np.uint8))[:12, :9]
    (folders / "masks" / "c.png").unlink()
    Image.fromarray(blocks).save(folders / "masks" / "c.jpg", quality=95)
    assert run() == 0
    assert set(np.unique(read_mask(folders / "out" / "masks" / "c.png"))) == {0, 1}


def test_transparent_pixels_are_white(tmp_path):
    Image.new("RGBA", (2, 2), (10, 20, 30, 0)).save(tmp_path / "x.png")
    assert (read_image(tmp_path / "x.png") == 255).all()


def test_an_image_that_claims_to_be_huge_is_refused_unread(tmp_path, monkeypatch):
    from paddleseg_sclc.dataset import paddleseg_format
    from paddleseg_sclc.errors import SclcError

    Image.new("L", (20, 20)).save(tmp_path / "x.png")
    monkeypatch.setattr(paddleseg_format, "MAX_PIXELS", 399)
    with pytest.raises(SclcError, match="must have at most"):
        read_image(tmp_path / "x.png")


def test_the_authors_released_patches(load_tool, shared, tmp_path):
    patches = shared / "sclc_patches"
    groups = tmp_path / "groups.csv"
    groups.write_text("patch,patient\n1,A\n2,A\n4,B\n5,B\n7,C\n8,D\n9,E\n")
    places = ["--images", patches / "images", "--masks", patches / "masks"]
    argv = [*places, "--output", tmp_path / "out", "--groups", groups, "--val-groups", "B"]
    assert load_tool("import_patches").main([str(x) for x in argv]) == 0
    samples = read_list(tmp_path / "out" / "val.txt", tmp_path / "out")
    assert [s.image.stem for s in samples] == ["4", "5"]
    check_samples(samples, num_classes=2)
