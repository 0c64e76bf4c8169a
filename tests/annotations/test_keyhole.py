import numpy as np
import pytest

from paddleseg_sclc.annotations import keyhole
from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.keyhole import join_holes
from paddleseg_sclc.annotations.model import Annotation, AnnotationSet, signed_area
from paddleseg_sclc.annotations.rasterize import rasterize

OUTLINE = [(0, 0), (10, 0), (10, 10), (0, 10)]


def test_one_hole_by_hand():
    joined = join_holes(np.array(OUTLINE, float), [np.array([(4, 4), (6, 4), (6, 6), (4, 6)])])
    assert joined.tolist() == [
        [0, 0], [10, 0], [10, 10], [0, 10], [0, 4], [4, 4], [4, 6], [6, 6], [6, 4], [4, 4], [0, 4],
    ]  # fmt: skip


def random_holes(rng, count):
    """Triangles and squares in cells of their own, so that they do not meet."""
    cells = rng.permutation(15 * 15)[:count]
    for cell in cells:
        corner = 20 + 12.0 * np.array(divmod(int(cell), 15))
        points = corner + rng.uniform(1, 11, (int(rng.integers(3, 5)), 2))
        if len(points) == 4:
            x0, y0 = np.floor(points.min(axis=0))
            x1, y1 = np.ceil(points.max(axis=0))
            points = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
        yield points if rng.random() < 0.5 else points[::-1]


@pytest.mark.parametrize("chunk", [2_000_000, 50])
def test_a_joined_outline_draws_the_same(monkeypatch, chunk):
    monkeypatch.setattr(keyhole, "_CHUNK", chunk)
    rng = np.random.default_rng(0)
    grid = Grid(220, 220)
    for _ in range(25):
        holes = list(random_holes(rng, int(rng.integers(1, 120))))
        outline = np.array([(5, 2), (215, 8), (212, 214), (3, 210)], float)[:: rng.choice((-1, 1))]
        joined = join_holes(outline, holes)
        area = abs(signed_area(outline)) - sum(abs(signed_area(hole)) for hole in holes)
        assert abs(signed_area(joined)) == pytest.approx(area)
        assert len(joined) == len(outline) + sum(len(hole) + 3 for hole in holes)
        one = AnnotationSet((Annotation("a", joined),))
        two = AnnotationSet((Annotation("a", outline, holes=tuple(holes)),))
        for winding in ("nonzero", "evenodd"):
            np.testing.assert_array_equal(
                rasterize(one, grid, rule="centre", winding=winding),
                rasterize(two, grid, rule="centre", winding=winding),
            )


def test_holes_in_a_row_and_one_above_the_other():
    row = [np.array([(x, 4), (x + 1, 4), (x + 1, 6), (x, 6)], float) for x in (7, 1, 3, 5)]
    column = [np.array([(3, y), (4, y), (4, y + 1)], float) for y in (7, 1, 3, 5)]
    for holes in (row, column):
        joined = join_holes(np.array(OUTLINE, float), holes)
        removed = sum(abs(signed_area(hole)) for hole in holes)
        assert signed_area(joined) == 100 - removed


def test_a_hole_outside_cuts_nothing():
    outline = np.array(OUTLINE, float)
    for away in (-20, 20):
        joined = join_holes(outline, [np.add([(4, 4), (6, 4), (6, 6)], (0, away))])
        np.testing.assert_array_equal(joined, outline)
    np.testing.assert_array_equal(join_holes(outline, []), outline)


def test_no_hole_is_changed():
    hole = np.array([(4, 4), (6, 4), (6, 6)], float)
    before = hole.copy()
    join_holes(np.array(OUTLINE, float), [hole])
    np.testing.assert_array_equal(hole, before)
