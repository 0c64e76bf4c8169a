"""Synthetic tissue whose stains are known, and images that show too little of it."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

RUIFROK = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
MACENKO = np.array([[0.5626, 0.7201, 0.4062], [0.2159, 0.8012, 0.5581]])
SMALL_CELL = np.array([[0.535, 0.786, 0.309], [0.25, 0.89, 0.36]])


def unit(matrix: np.ndarray) -> np.ndarray:
    return matrix / np.linalg.norm(matrix, axis=-1, keepdims=True)


def field(rng: np.random.Generator, size: int, scale: float) -> np.ndarray:
    """A smooth random field, its values evenly spread over 0 to 1."""
    noise = cv2.GaussianBlur(rng.standard_normal((size, size)), (0, 0), scale)
    return np.argsort(np.argsort(noise.ravel())).reshape(size, size) / size**2


def texture(rng: np.random.Generator, size: int, scale: float) -> np.ndarray:
    """Smooth random factors around 1."""
    noise = cv2.GaussianBlur(rng.standard_normal((size, size)), (0, 0), scale)
    return np.exp(0.25 * noise / noise.std())


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1])


def tissue(
    matrix: np.ndarray,
    ratio: float = 1.0,
    *,
    size: int = 640,
    strength: tuple[float, float] = (1.6, 1.0),
    grain: float = 10.0,
    glass: float = 0.15,
    noise: float = 0.0,
    quality: int | None = None,
    tint: tuple[float, float, float] = (1, 1, 1),
    seed: int = 0,
) -> np.ndarray:
    """Hematoxylin in cells of about `grain` pixels, eosin around them, glass beside.

    `ratio` is the area of hematoxylin to that of eosin. Returns RGB uint8 (size, size, 3).
    """
    rng = np.random.default_rng(seed)
    nuclei = field(rng, size, grain) < ratio / (1 + ratio)
    amounts = np.stack(
        [
            np.where(nuclei, strength[0], 0) * texture(rng, size, 1.5),
            np.where(nuclei, 0, strength[1]) * texture(rng, size, 2.0),
        ],
        axis=-1,
    )
    amounts = cv2.GaussianBlur(amounts, (0, 0), 0.7)
    amounts *= (field(rng, size, 15) >= glass)[..., None]
    light = 255 * np.exp(-amounts @ unit(matrix)) * np.array(tint)
    light += noise * rng.standard_normal(light.shape)
    image = np.clip(np.rint(light), 0, 255).astype(np.uint8)
    return image if quality is None else jpeg(image, quality)


def degenerate(size: int = 384) -> dict[str, np.ndarray]:
    """Images that no stains can be fitted to, by what is wrong with them."""
    rng = np.random.default_rng(1)
    shape = (size, size, 3)

    def noisy(color: tuple[int, ...], deviation: float) -> np.ndarray:
        values = np.array(color) + deviation * rng.standard_normal(shape)
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)

    good = tissue(MACENKO, size=size)
    grey = np.repeat(cv2.cvtColor(good, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    images = {
        "white": np.full(shape, 255, np.uint8),
        "glass": noisy((243, 241, 244), 2),
        "noisy glass": noisy((245, 245, 245), 6),
        "one colour": np.full(shape, (220, 150, 190), np.uint8),
        "one noisy colour": noisy((120, 60, 140), 3),
        "black": np.zeros(shape, np.uint8),
        "grey": grey,
        "noisy grey": np.clip(grey + 3 * rng.standard_normal(shape), 0, 255).astype(np.uint8),
        "out of focus": cv2.GaussianBlur(good, (0, 0), 60),
        "random": rng.integers(0, 256, shape, np.uint8),
    }
    speck = noisy((243, 241, 244), 2)
    cv2.circle(speck, (100, 100), 8, (120, 60, 130), -1)
    images["nearly blank"] = speck
    pens = {"blue": (30, 50, 170), "green": (20, 140, 70), "black": (25, 25, 28)}
    for name, color in {**pens, "red": (200, 30, 40)}.items():
        ink = texture(rng, size, 5)[..., None] * -np.log(np.array(color) / 255)
        images[f"{name} pen"] = noisy((0, 0, 0), 2) + (250 * np.exp(-ink)).astype(np.uint8)
        images[f"{name} pen"][:, ::3] = 244
    for row, name in enumerate(("hematoxylin", "eosin")):
        amount = 0.5 * texture(rng, size, 3) ** 4
        light = 255 * np.exp(-amount[..., None] * unit(MACENKO)[row])
        images[f"{name} alone"] = np.rint(light).astype(np.uint8)
    return images


@pytest.fixture(scope="session")
def make_tissue() -> Callable[..., np.ndarray]:
    """The function `tissue`."""
    return tissue


@pytest.fixture(scope="session")
def he_image() -> np.ndarray:
    """A good H&E image, (640, 640, 3)."""
    return tissue(SMALL_CELL, noise=2)


@pytest.fixture(scope="session")
def degenerate_images() -> dict[str, np.ndarray]:
    """Images that no stains can be fitted to, by what is wrong with them."""
    return degenerate()


@pytest.fixture(scope="session")
def stains() -> dict[str, np.ndarray]:
    """Published stain matrices, unit rows."""
    return {
        "ruifrok": unit(RUIFROK),
        "macenko": unit(MACENKO),
        "small cell": unit(SMALL_CELL),
    }


@pytest.fixture(scope="session")
def patches(shared) -> dict[str, np.ndarray]:
    """The seven real patches and the target, by file name."""
    files = sorted((shared / "sclc_patches" / "images").glob("*.png"))
    files.append(shared / "stain" / "warwick_target.png")
    return {file.name: cv2.imread(str(file))[..., ::-1].copy() for file in files}
