"""Other laboratories' stains, for augmentation: as if the section had been stained again."""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from paddleseg_sclc.stain.dictionary import RUIFROK
from paddleseg_sclc.stain.fit import check_stain_matrix
from paddleseg_sclc.stain.optical_density import check_background, check_image, od_table
from paddleseg_sclc.stain.recolor import unmixing_matrix


def jitter_stains(
    image: NDArray[np.uint8],
    generator: np.random.Generator,
    stain_matrix: ArrayLike = RUIFROK,
    background: ArrayLike = 255,
    *,
    scale: float = 0.2,
    shift: float = 0.0,
    turn: float = 3.0,
) -> NDArray[np.uint8]:
    """Change how much of each stain there is, and the colour of each, at random.

    Each concentration is multiplied by one factor, and each stain vector is turned, alike for the
    whole image; what the two stains do not explain (pigment, ink) stays. With all strengths 0 the
    image stays as it is. After Tellez et al., IEEE TMI 37(9), 2018, who leave the vectors alone.

    Args:
        image: RGB uint8, (H, W, 3) or (n, 3); not changed.
        generator: where the randomness comes from: the same state gives the same image.
        stain_matrix: (2, 3), hematoxylin first, unit rows: the image's, or that of the target it
            was normalised to.
        background: intensity of bare glass, one or three whole numbers.
        scale: a concentration is multiplied by exp(u), u uniform in -scale to scale.
        shift: so much, uniform in -shift to shift, is added to the concentration everywhere,
            glass included.
        turn: a stain vector is turned by up to so many degrees, in any direction.

    Returns:
        uint8 of the same shape.

    Raises:
        ValueError: an argument is not what it must be.
    """
    pixels = np.ascontiguousarray(check_image(image)).reshape(1, -1, 3)
    matrix, white = check_stain_matrix(stain_matrix), check_background(background)
    if not all(0 <= value <= 90 for value in (scale, shift, turn)):
        raise ValueError(f"scale, shift, turn: must be 0 to 90, got {scale}, {shift} and {turn}")
    factors = np.exp(generator.uniform(-scale, scale, 2))
    shifts = generator.uniform(-shift, shift, 2)
    turned = np.array([_turn(row, turn, generator) for row in matrix])

    # od' = od + concentrations @ (factors * turned - matrix) + shifts @ turned
    change = np.zeros((3, 4), np.float32)
    change[:, :2] = (factors[:, None] * turned - matrix).T
    change[:, 3] = shifts @ turned
    unmix = np.zeros((3, 3), np.float32)
    unmix[:2] = unmixing_matrix(matrix).T
    od = cv2.LUT(pixels, od_table(white).astype(np.float32)[None])
    _, amounts = cv2.threshold(cv2.transform(od, unmix), 0, 0, cv2.THRESH_TOZERO)
    # Pixels brighter than the background have an optical density of 0: as a factor on the image,
    # the change leaves them as bright.
    factor = cv2.exp(-cv2.transform(amounts, change))
    jittered = cv2.multiply(pixels, factor, dtype=cv2.CV_8U)
    return jittered.reshape(image.shape)


def _turn(
    vector: NDArray[np.float64], most: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Turn a unit vector by up to `most` degrees, uniform over the cone; no entry below 0."""
    angle = np.radians(most) * np.sqrt(generator.uniform())
    aside = generator.standard_normal(3)
    aside -= (aside @ vector) * vector
    turned = np.cos(angle) * vector + np.sin(angle) * aside / np.linalg.norm(aside)
    turned = np.maximum(turned, 0)
    return turned / np.linalg.norm(turned)
