import numpy as np
import pytest

from paddleseg_sclc.annotations.asap import read_asap
from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.labels import LabelMap
from paddleseg_sclc.annotations.rasterize import rasterize
from paddleseg_sclc.dataset.extract import CutOptions, PatchCutter, check_labels, mask_shares
from paddleseg_sclc.errors import UsageError
from paddleseg_sclc.slides.reader import open_slide

STROMA_GREEN, TUMOUR_GREEN = 165, 70


def cutter_of(path, labels=None, **options):
    return PatchCutter(
        open_slide(path), read_asap(path.with_suffix(".xml")), labels, CutOptions(**options)
    )


def dark(image):
    """Where the painted tumour is."""
    return image[..., 1] < (STROMA_GREEN + TUMOUR_GREEN) / 2


@pytest.mark.parametrize(
    "options",
    [
        {"size": 512},
        {"size": 300, "keep_aspect": True, "border": 37},
        {"size": 256, "mode": "grid", "tile_mpp": 0.9},
        {"size": 512, "rule": "centre"},
    ],
)
def test_image_and_mask_show_the_same_place(case, options):
    cutter = cutter_of(case, **options)
    regions, problems = cutter.regions("case.xml")
    assert not problems
    assert len(regions) >= 2
    for region in regions:
        image, mask = cutter.cut(region)
        assert image.shape == (*region.size[::-1], 3)
        assert image.dtype == mask.dtype == np.uint8
        seen = mask != 255
        # Only pixels on an outline, which the image blends, may be of two minds.
        assert np.mean(dark(image)[seen] != (mask[seen] == 1)) < 0.01


def test_the_mask_is_asaps_full_mask_seen_from_pixel_centres(case):
    cutter = cutter_of(case, size=333)
    width, height = cutter.slide.dimensions
    full = rasterize(read_asap(case.with_suffix(".xml")), Grid.of_slide(width, height))
    for region in cutter.regions("x")[0]:
        _, mask = cutter.cut(region)
        x = np.floor(region.x_l0 + (np.arange(333) + 0.5) * region.width_l0 / 333).astype(int)
        y = np.floor(region.y_l0 + (np.arange(333) + 0.5) * region.height_l0 / 333).astype(int)
        np.testing.assert_array_equal(mask, full[np.ix_(y, x)] > 0)


def test_the_mask_shows_every_annotation_that_reaches_into_the_box(case):
    cutter = cutter_of(case, size=400)
    star, _ = cutter.regions("x")[0]
    assert cutter.annotations_in(star) == [0, 1]
    _, mask = cutter.cut(star)
    # A place that only the other annotation covers: level 0 (950, 850), within the border.
    column = int((950 - star.x_l0) / star.downsample[0])
    row = int((850 - star.y_l0) / star.downsample[1])
    assert mask[row, column] == 1


def test_annotations_that_are_background_cut_holes_and_make_no_patch(
    tmp_path, make_slide, make_xml
):
    outer = [(200, 200), (900, 200), (900, 800), (200, 800)]
    hole = [(400, 400), (600, 400), (600, 600), (400, 600)]
    path = make_slide(tmp_path / "case.tif", tumours=[outer])
    outlines = [
        ("t", "Polygon", "Tumour", outer),
        ("h", "Polygon", "Hole", hole),
        ("d", "Dot", "Tumour", [(5, 5)]),
        ("p", "PointSet", "Tumour", [(1000, 900), (1200, 900), (1200, 1000)]),
    ]
    (tmp_path / "case.xml").write_text(make_xml(outlines))
    labels = LabelMap({"Tumour": 1, "Hole": 0}, ("Tumour", "Hole"))
    cutter = cutter_of(path, labels, size=350, border=0)
    regions, problems = cutter.regions("x")
    assert [region.annotation for region in regions] == [0]
    assert not problems
    _, mask = cutter.cut(regions[0])
    assert mask[150, 150] == 0
    assert mask[50, 50] == 1
    assert mask_shares(mask)[0] == pytest.approx(1 - 200 * 200 / (700 * 600), abs=0.01)
    # The point set marks things, it outlines none.
    whole = cutter_of(path, labels, mode="grid", size=1500, tile_mpp=0.5, free_ratio=0)
    _, mask = whole.cut(whole.regions("x")[0][0])
    assert mask[960, 1180] == 0


def test_padding_and_what_is_no_slide_is_ignored(case):
    cutter = cutter_of(case, size=200, keep_aspect=True)
    region = cutter.regions("x")[0][1]
    image, mask = cutter.cut(region)
    left, upper, width, height = region.inner
    assert (left, upper) != (0, 0)
    outside = np.ones((200, 200), bool)
    outside[upper : upper + height, left : left + width] = False
    assert (mask[outside] == 255).all()
    assert (image[outside] == 255).all()
    assert set(np.unique(mask[~outside])) == {0, 1}

    grid = cutter_of(case, mode="grid", size=400, tile_mpp=0.5)
    tile = next(r for r in grid.regions("x")[0] if r.bounds[2] > 1500 or r.bounds[3] > 1100)
    image, mask = grid.cut(tile)
    x = tile.x_l0 + np.arange(400) + 0.5
    y = tile.y_l0 + np.arange(400) + 0.5
    np.testing.assert_array_equal(mask == 255, (y[:, None] >= 1100) | (x[None, :] >= 1500))


def test_grid_tiles_hold_each_annotated_pixel_once(case):
    cutter = cutter_of(case, mode="grid", size=128, tile_mpp=0.8)
    regions, _ = cutter.regions("x")
    tiles = [region for region in regions if region.origin == "tile"]
    assert len({region.name("s") for region in regions}) == len(regions)
    full = rasterize(read_asap(case.with_suffix(".xml")), Grid.of_slide(*cutter.slide.dimensions))
    count = np.zeros(full.shape, int)
    for tile in tiles:
        x0, y0, x1, y1 = (round(v) for v in tile.bounds)
        count[y0:y1, x0:x1] += 1
        assert (cutter.cut(tile)[1] == 1).any()
    # Where an annotation barely enters a tile, no pixel of the patch may fall into it.
    assert (count[full > 0] >= 1).mean() > 0.999
    assert (count > 1).mean() < 0.02  # the bounds were rounded here
    columns = np.array([tile.x_l0 / (128 * 1.6) for tile in tiles])
    np.testing.assert_allclose(columns, columns.round(), atol=1e-9)


def test_free_tiles_are_tissue_without_annotation(case):
    cutter = cutter_of(case, mode="grid", size=64, tile_mpp=0.8, free_ratio=0.5, min_tissue=0.9)
    regions, _ = cutter.regions("x")
    free = [region for region in regions if region.origin == "free"]
    tiles = [region for region in regions if region.origin == "tile"]
    assert len(free) == round(len(tiles) / 2)
    for region in free:
        image, mask = cutter.cut(region)
        assert not (mask == 1).any()
        assert np.mean(image[..., 1] < 220) > 0.85  # stroma, not glass


def test_free_tiles_depend_on_seed_and_slide_only(case):
    def free(seed, where):
        cutter = cutter_of(case, mode="grid", size=64, tile_mpp=0.8, free_ratio=0.3, seed=seed)
        return [r.name("s") for r in cutter.regions(where)[0] if r.origin == "free"]

    assert free(1, "a.xml") == free(1, "a.xml")
    assert free(1, "a.xml") != free(2, "a.xml")
    assert free(1, "a.xml") != free(1, "b.xml")


def test_the_least_annotated_share_of_a_tile(case):
    def count(share):
        cutter = cutter_of(
            case, mode="grid", size=100, tile_mpp=0.7, min_annotated=share, free_ratio=0
        )
        return len(cutter.regions("x")[0])

    assert count(0.0) > count(0.3) > count(0.99) > 0


def test_annotations_outside_the_slide_and_grids_too_coarse(tmp_path, make_slide, make_xml):
    path = make_slide(tmp_path / "case.tif", size=(600, 500))
    inside = [(100, 100), (130, 100), (130, 130), (100, 130)]
    beyond = [(700, 100), (800, 100), (800, 200)]
    edge = [(580, 480), (900, 480), (900, 900), (580, 900)]
    (tmp_path / "case.xml").write_text(
        make_xml(
            [(n, "Polygon", "None", p) for n, p in zip("abc", (inside, beyond, edge), strict=True)]
        )
    )
    regions, problems = cutter_of(path, size=64).regions("case.xml")
    assert [region.annotation for region in regions] == [0, 2]
    assert len(problems) == 1
    assert 'case.xml: annotation 1 "b": must lie on the slide (600 x 500)' in problems[0]
    coarse = cutter_of(path, mode="grid", size=600, tile_mpp=0.5, min_annotated=0.5)
    regions, problems = coarse.regions("case.xml")
    assert not regions
    assert "lower --min-annotated" in problems[1]


def test_labels_must_know_two_classes():
    check_labels(None)
    check_labels(LabelMap({"T": 255, "N": 0}))
    check_labels(LabelMap({"T": 1}))
    for bad in ({"T": 2}, {"N": 0}, {"T": 1, "S": 7}):
        with pytest.raises(UsageError, match="--labels: values must be 0"):
            check_labels(LabelMap(bad))


def test_shares_of_a_mask():
    mask = np.zeros((4, 5), np.uint8)
    mask[0] = 255
    mask[1, :3] = 1
    assert mask_shares(mask) == (3 / 15, 5 / 20)
    assert mask_shares(np.full((2, 2), 255, np.uint8)) == (0.0, 1.0)
