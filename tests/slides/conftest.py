"""Small slides of every kind that the reader must cope with, made on the spot."""

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture
def shared_slides() -> Path:
    folder = SHARED / "slides"
    if not folder.is_dir():
        pytest.skip(f"{folder} with real slides is not there")
    return folder


@pytest.fixture(scope="session")
def tissue_image() -> np.ndarray:
    """(700, 900, 3) uint8: smooth stains with edges, nothing like a flat test card."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:700, 0:900].astype(float)
    image = np.full((700, 900, 3), 242.0)
    for _ in range(180):
        centre, radius = rng.uniform((0, 0), (900, 700)), rng.uniform(6, 60)
        inside = np.hypot(x - centre[0], y - centre[1]) < radius
        image[inside] *= rng.uniform((0.75, 0.6, 0.8), (0.98, 0.9, 0.98))
    return np.clip(image, 0, 255).astype(np.uint8)


def write_ndpi(path: Path, image: np.ndarray, levels: int = 3, mpp: float = 0.46) -> Path:
    """An NDPI as Hamamatsu's, each level one JPEG strip without restart markers."""
    with tifffile.TiffWriter(path) as tiff:
        for index in [*range(levels), None]:
            pixels = image[:60, :200] if index is None else image[:: 2**index, :: 2**index]
            lens = -1.0 if index is None else 20.0 / 2**index
            jpeg = imagecodecs.jpeg8_encode(
                np.ascontiguousarray(pixels), level=95, outcolorspace="ycbcr", subsampling="444"
            )
            tiff.write(
                iter([jpeg]),
                shape=pixels.shape,
                dtype=np.uint8,
                photometric="ycbcr",
                compression="jpeg",
                subsampling=(1, 1),
                rowsperstrip=pixels.shape[0],
                resolution=(1e4 / (mpp * 2 ** (index or 0)),) * 2,
                resolutionunit="CENTIMETER",
                metadata=None,
                extratags=[
                    (65420, 4, 1, 1, True),
                    (65421, 11, 1, lens, True),
                    (65422, 9, 1, 12_000, True),
                    (65423, 9, 1, -3_000, True),
                    (65424, 9, 1, 0, True),
                ],
            )
    return path


@pytest.fixture(scope="session")
def ndpi(tmp_path_factory: pytest.TempPathFactory, tissue_image: np.ndarray) -> Path:
    return write_ndpi(tmp_path_factory.mktemp("ndpi") / "case 1.ndpi", tissue_image)


@pytest.fixture(scope="session")
def ndpi_writer():
    return write_ndpi


@pytest.fixture(scope="session")
def tiff(tmp_path_factory: pytest.TempPathFactory, tissue_image: np.ndarray) -> Path:
    """A tiled TIFF without loss, one level, 0.5 micrometres a pixel."""
    path = tmp_path_factory.mktemp("tiff") / "exact.tif"
    tifffile.imwrite(
        path,
        tissue_image,
        tile=(128, 128),
        photometric="rgb",
        resolution=(2e4, 2e4),
        resolutionunit="CENTIMETER",
        metadata=None,
    )
    return path
