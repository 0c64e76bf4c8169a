"""From stain concentrations to an RGB image: stain matrix, light, optics and sensor."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.demo.noise import Array

# Unit rows, hematoxylin then eosin, in optical density of R, G, B: close to what dictionary
# learning finds on the small-cell patches this project is about.
REFERENCE_MATRIX = np.array([[0.57, 0.75, 0.33], [0.17, 0.90, 0.40]])


@dataclass(frozen=True)
class Stain:
    """How one patient's slide was stained and scanned.

    Attributes:
        matrix: (2, 3) stain matrix: `od = concentrations @ matrix`, unit rows.
        strength: (2,) factor on the concentrations.
        light: (3,) intensity of the empty slide, 0-255.
        blur: of the optics, standard deviation in micrometres.
        noise: of the sensor, standard deviation in grey levels.
    """

    matrix: NDArray[np.float64]
    strength: NDArray[np.float64]
    light: NDArray[np.float64]
    blur: float
    noise: float


def random_stain(rng: np.random.Generator) -> Stain:
    """A stain as it varies from laboratory to laboratory and from day to day."""
    matrix = REFERENCE_MATRIX + rng.normal(size=(2, 3)) * [[0.04], [0.035]]
    matrix = np.clip(matrix, 0.03, None)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    strength = np.exp(rng.normal(size=2) * [0.23, 0.18])
    light = 246 - rng.gamma(1.5, 3.0) - rng.uniform(0, 4, size=3)
    blur, noise = rng.uniform(0.35, 0.7), rng.uniform(1.0, 2.6)
    return Stain(matrix, strength, light, float(blur), float(noise))


def transmit(concentrations: Array, stain: Stain) -> NDArray[np.uint16]:
    """Light through the tissue: (H, W, 2) concentrations to (H, W, 3) uint16, 256 a grey level.

    Intensities come from a table of exp(-od), so they do not depend on the processor.
    """
    matrix = (stain.matrix * stain.strength[:, None]).astype(np.float32)
    table = np.exp(-np.arange(8 * 4096) / 4096.0)
    hematoxylin, eosin = concentrations[..., 0], concentrations[..., 1]
    out = np.empty((*hematoxylin.shape, 3), np.uint16)
    for channel in range(3):
        od = hematoxylin * matrix[0, channel] + eosin * matrix[1, channel]
        index = np.minimum(od * 4096, len(table) - 1).astype(np.uint16)
        intensity = np.rint(table * stain.light[channel] * 256).astype(np.uint16)
        out[..., channel] = np.take(intensity, index)
    return out


def shrink(image: NDArray[np.uint16], factor: int) -> NDArray[np.uint16]:
    """Mean over blocks of factor x factor pixels, as a sensor with larger pixels sees light."""
    parts = (image[i::factor, j::factor] for i in range(factor) for j in range(factor))
    total = np.zeros((image.shape[0] // factor, image.shape[1] // factor, 3), np.uint32)
    for part in parts:
        total += part
    return (total // factor**2).astype(np.uint16)


def focus(image: NDArray[np.uint16], blur_px: float) -> NDArray[np.uint16]:
    """Blur by the optics. OpenCV's Gaussian is fixed-point, so exact, on 16-bit images."""
    if blur_px < 0.2:
        return image
    return cv2.GaussianBlur(image, (0, 0), blur_px, borderType=cv2.BORDER_REPLICATE)
