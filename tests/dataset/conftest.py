"""Small slides with ASAP annotations beside them, painted where the annotations are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from skimage.draw import polygon as fill_polygon

from paddleseg_sclc.slides.pyramid import PyramidWriter

GLASS, STROMA, TUMOUR = (243, 242, 244), (226, 165, 200), (120, 70, 150)
Outline = Sequence[tuple[float, float]]


def asap_xml(outlines: Sequence[tuple[str, str, str, Outline]]) -> str:
    """ASAP XML of (name, kind, group, points)."""
    groups = sorted({group for _, _, group, _ in outlines if group != "None"})
    annotations = "".join(
        f'<Annotation Name="{name}" Type="{kind}" PartOfGroup="{group}" Color="#F4FA58">'
        "<Coordinates>"
        + "".join(f'<Coordinate Order="{i}" X="{x}" Y="{y}" />' for i, (x, y) in enumerate(points))
        + "</Coordinates></Annotation>"
        for name, kind, group, points in outlines
    )
    defined = "".join(
        f'<Group Name="{group}" PartOfGroup="None" Color="#00ff00"><Attributes /></Group>'
        for group in groups
    )
    return (
        '<?xml version="1.0"?><ASAP_Annotations>'
        f"<Annotations>{annotations}</Annotations>"
        f"<AnnotationGroups>{defined}</AnnotationGroups></ASAP_Annotations>"
    )


def write_slide(
    path: Path,
    size: tuple[int, int] = (1500, 1100),
    tumours: Sequence[Outline] = (),
    mpp: tuple[float, float] | None = (0.5, 0.5),
    seed: int = 0,
) -> Path:
    """A tiled TIFF: tissue in a frame of glass, dark where the outlines are."""
    width, height = size
    image = np.empty((height, width, 3), np.float32)
    image[:] = GLASS
    image[height // 10 : -height // 10, width // 10 : -width // 10] = STROMA
    for outline in tumours:
        points = np.asarray(outline, float)
        rows, columns = fill_polygon(points[:, 1] - 0.5, points[:, 0] - 0.5, (height, width))
        image[rows, columns] = TUMOUR
    noise = np.random.default_rng(seed).normal(0, 4, (height, width, 1)).astype(np.float32)
    pixels = np.clip(image + noise, 0, 255).astype(np.uint8)
    with PyramidWriter(path, width, height, 3, mpp, tile=256, compression="deflate") as writer:
        for y in range(0, height, 256):
            writer.write_band(y, pixels[y : y + 256])
    return path


STAR = [
    (400, 300),
    (650, 380),
    (900, 300),
    (800, 560),
    (880, 800),
    (640, 700),
    (420, 820),
    (480, 540),
]
BLOCK = [(820, 500), (1200, 500), (1200, 900), (820, 900)]


@pytest.fixture(scope="session")
def make_slide():
    return write_slide


@pytest.fixture(scope="session")
def make_xml():
    return asap_xml


@pytest.fixture(scope="session")
def case(tmp_path_factory) -> Path:
    """A slide with two tumours that overlap a bit; its annotations lie beside it."""
    folder = tmp_path_factory.mktemp("case")
    write_slide(folder / "case.tif", tumours=[STAR, BLOCK])
    group = "Annotation Group 0"
    text = asap_xml([("star", "Polygon", group, STAR), ("block", "Rectangle", group, BLOCK)])
    (folder / "case.xml").write_text(text)
    return folder / "case.tif"
