"""One image, two stains: how much there is of each, and how each would look alone."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paddleseg_sclc.stain.fit import check_stain_matrix
from paddleseg_sclc.stain.optical_density import od_to_rgb, rgb_to_od
from paddleseg_sclc.stain.recolor import unmixing_matrix


def concentrations(
    image: NDArray[np.uint8], stain_matrix: ArrayLike, background: ArrayLike = 255
) -> NDArray[np.float32]:
    """Return how much hematoxylin and eosin each pixel holds: `max(0, od @ pinv(stain_matrix))`.

    Args:
        image: RGB uint8, (H, W, 3) or (n, 3); not changed.
        stain_matrix: (2, 3), hematoxylin first, unit rows.
        background: intensity of bare glass, one or three whole numbers.

    Returns:
        float32, (H, W, 2) or (n, 2).

    Raises:
        ValueError: an argument is not what it must be.
    """
    unmix = unmixing_matrix(check_stain_matrix(stain_matrix)).astype(np.float32)
    return np.maximum(rgb_to_od(image, background) @ unmix, 0)


def separate(
    image: NDArray[np.uint8], stain_matrix: ArrayLike, background: ArrayLike = 255
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return an image of the hematoxylin alone and one of the eosin alone, on the same glass.

    Args:
        image: RGB uint8, (H, W, 3) or (n, 3); not changed.
        stain_matrix: (2, 3), hematoxylin first, unit rows.
        background: intensity of bare glass, one or three whole numbers.

    Returns:
        Two uint8 arrays of the image's shape.
    """
    amounts = concentrations(image, stain_matrix, background)
    matrix = np.asarray(stain_matrix, np.float32)
    hematoxylin, eosin = (
        od_to_rgb(amounts[..., stain, None] * matrix[stain], background) for stain in range(2)
    )
    return hematoxylin, eosin
