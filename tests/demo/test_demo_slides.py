import numpy as np
import openslide
import pytest

from paddleseg_sclc.annotations.asap import read_asap
from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.labels import PAPER_GROUP, read_labels
from paddleseg_sclc.annotations.model import AnnotationSet
from paddleseg_sclc.annotations.rasterize import rasterize
from paddleseg_sclc.demo.slide_layout import HOLE_GROUP
from paddleseg_sclc.demo.slides import SlidePlan, macro_image, slide_scene, tumour_count

SIZE = (1024, 1088)


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("make_demo_slides")


@pytest.fixture(scope="module")
def made(tool, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "slides"
    arguments = ["--output", str(folder), "--slides", "2", "--size", *map(str, SIZE)]
    assert tool.main([*arguments, "--seed", "3", "--jobs", "1"]) == 0
    return folder


def test_thirty_one_slides_have_the_papers_annotations():
    assert sum(tumour_count(index) for index in range(31)) == 134
    assert {tumour_count(index) for index in range(31)} == {4, 5}
    count = 0
    for index in range(31):
        _, annotations = slide_scene(SlidePlan(), index)
        groups = [annotation.group for annotation in annotations]
        assert groups.count(PAPER_GROUP) == tumour_count(index)
        count += groups.count(PAPER_GROUP)
    assert count == 134


def test_what_is_written(made):
    assert sorted(path.name for path in made.iterdir()) == [
        "labels.yml",
        "patient01.ndpi",
        "patient01.xml",
        "patient02.ndpi",
        "patient02.xml",
    ]
    with openslide.OpenSlide(str(made / "patient01.ndpi")) as reader:
        assert reader.dimensions == SIZE
        assert reader.properties["openslide.vendor"] == "hamamatsu"
        assert float(reader.properties["openslide.mpp-x"]) == pytest.approx(0.92, rel=1e-4)
        assert reader.associated_images["macro"].size == (1248, 416)


def test_the_file_is_the_scene_within_jpeg_noise(made):
    scene, _ = slide_scene(SlidePlan(2, *SIZE, seed=3), 0)
    region = (300, 420, 256, 200)
    drawn = scene.render(*region, 0.92)
    with openslide.OpenSlide(str(made / "patient01.ndpi")) as reader:
        read = np.asarray(reader.read_region(region[:2], 0, region[2:]).convert("RGB"))
    # Most of the difference is sensor noise that JPEG does not keep.
    assert np.abs(drawn.astype(int) - read).mean() < 5
    assert abs(drawn.mean() - read.mean()) < 1


def test_first_slide_shows_every_kind_of_annotation(made):
    annotations = read_asap(made / "patient01.xml")
    assert not annotations.findings
    tumours = [a for a in annotations if a.group == PAPER_GROUP]
    holes = [a for a in annotations if a.group == HOLE_GROUP]
    assert len(tumours) == 4
    assert holes
    assert {a.kind for a in tumours} == {"Polygon", "Spline", "Rectangle"}
    assert any(a.bounds[0] < 0 or a.bounds[2] > SIZE[0] for a in tumours)
    assert len({len(a.points) for a in tumours}) > 1


def test_holes_lie_in_tumours(made):
    for name in ("patient01", "patient02"):
        annotations = read_asap(made / f"{name}.xml")
        labels = read_labels(made / "labels.yml")
        with_holes = rasterize(annotations, Grid.of_slide(*SIZE), labels)
        assert set(np.unique(with_holes)) == {0, 255}
        for hole in annotations:
            if hole.group == HOLE_GROUP:
                x, y = hole.points.mean(axis=0).astype(int)
                assert with_holes[y, x] == 0
                ring = hole.points + 0.35 * (hole.points - hole.points.mean(axis=0))
                inside = with_holes[ring[:, 1].astype(int), ring[:, 0].astype(int)]
                assert (inside == 255).mean() > 0.6


def test_annotations_agree_with_what_is_drawn():
    plan = SlidePlan()
    for index in range(3):
        scene, annotations = slide_scene(plan, index)
        mpp = plan.mpp * 8
        grid = Grid.of_slide(plan.width, plan.height, 8)
        drawn = scene.mask(0, 0, grid.width, grid.height, mpp) > 0
        masks = {}
        for group in (PAPER_GROUP, HOLE_GROUP):
            some = AnnotationSet(tuple(a for a in annotations if a.group == group))
            masks[group] = rasterize(some.with_groups_defined(), grid, rule="centre") > 0
        annotated = masks[PAPER_GROUP] & ~masks[HOLE_GROUP]
        assert (drawn & annotated).sum() / (drawn | annotated).sum() > 0.9


def test_tumours_are_apart_and_most_of_the_slide_is_tissue():
    for index in range(6):
        scene, annotations = slide_scene(SlidePlan(), index)
        boxes = [a.bounds for a in annotations if a.group == PAPER_GROUP]
        centres = np.array([((a + c) / 2, (b + d) / 2) for a, b, c, d in boxes])
        distances = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
        assert distances[np.triu_indices(len(boxes), 1)].min() > 300
        x, y = np.arange(0, 4096, 16)[None, :] * 0.92, np.arange(0, 3072, 16)[:, None] * 0.92
        tissue = np.max([piece.depth(x, y) for piece in scene.layout.of("tissue")], axis=0) > 0
        assert 0.35 < tissue.mean() < 0.9


def test_same_seed_same_bytes_in_one_process_or_two(tool, made, tmp_path):
    arguments = ["--output", str(tmp_path / "again"), "--slides", "2", "--seed", "3"]
    assert tool.main([*arguments, "--size", *map(str, SIZE), "--jobs", "2"]) == 0
    for path in made.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_macro_shows_the_section():
    image = np.zeros((1024, 1024, 3), np.uint8)
    macro = macro_image(image, 0.92)
    # 1024 px of 0.92 um at 60 um a pixel.
    assert (macro == 0).all(axis=-1).sum() == 16 * 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--slides", "0"], "--slides: must be from 1 to 999, got 0"),
        (["--size", "1000", "2048"], "--size: must be from 1024"),
        (["--size", "1100", "2048"], "--size: must be multiples of 64, got 1100 2048"),
        (["--seed", "-1"], "--seed: must be"),
        (["--jobs", "0"], "--jobs: must be"),
    ],
)
def test_bad_numbers_are_one_line(tool, tmp_path, capsys, arguments, message):
    assert tool.main(["--output", str(tmp_path / "o"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1
    assert not (tmp_path / "o").exists()
