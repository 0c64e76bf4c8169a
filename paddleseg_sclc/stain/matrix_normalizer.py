"""What the methods that know stains by their vectors share."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paddleseg_sclc.stain.background import find_background
from paddleseg_sclc.stain.fit import StainFit
from paddleseg_sclc.stain.histogram import ColorHistogram, weighted_percentile
from paddleseg_sclc.stain.normalizer import StainNormalizer
from paddleseg_sclc.stain.recolor import Recolor, unmixing_matrix


class StainMatrixNormalizer(StainNormalizer):
    """Base of Vahadane's and Macenko's method, with the attributes of what was fitted."""

    fit_type = StainFit
    source: StainFit | None
    target: StainFit
    _log_offset = 0

    def __init__(self, percentile: float, background: str | ArrayLike, target: Any) -> None:
        """Check the options that both methods have; see theirs."""
        self._percentile = check_number(percentile, "percentile", 50, 100)
        # Checked here rather than at the first fit.
        find_background(background, _WHITE)
        self._background = (
            background if isinstance(background, str) else np.asarray(background).tolist()
        )
        super().__init__(target)

    @property
    def stain_matrix(self) -> NDArray[np.float64]:
        """The fitted stains: float64, (2, 3), hematoxylin first, unit rows."""
        return self._fitted().stain_matrix

    @property
    def max_concentrations(self) -> NDArray[np.float64]:
        """The fitted percentile of each stain's concentrations: float64, (2,)."""
        return self._fitted().max_concentrations

    @property
    def background(self) -> NDArray[np.float64]:
        """The fitted intensity of bare glass: float64, (3,)."""
        return self._fitted().background

    def _make_map(self) -> Recolor:
        return Recolor(self._fitted(), self.target, self._log_offset)

    def _fitted(self) -> StainFit:
        if self.source is None:
            raise ValueError("normaliser: must be fitted first, got none; call fit")
        return self.source


def hematoxylin_first(stain_matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Order two stain vectors: hematoxylin absorbs more red for the blue it absorbs."""
    red_to_blue = np.arctan2(stain_matrix[:, 0], stain_matrix[:, 2])
    return stain_matrix if red_to_blue[0] >= red_to_blue[1] else stain_matrix[::-1]


def largest_concentrations(
    od: NDArray[np.float64],
    weights: NDArray[np.float64],
    stain_matrix: NDArray[np.float64],
    percentile: float,
) -> NDArray[np.float64]:
    """Return a percentile of the positive concentrations of each stain.

    Args:
        od: optical densities, (3, n).
        weights: how often each occurs, (n,).
        stain_matrix: (2, 3).
        percentile: 50 to 100.

    Returns:
        float64, (2,).
    """
    largest = []
    for stain in unmixing_matrix(stain_matrix).T @ od:
        positive = stain > 0
        largest.append(weighted_percentile(stain[positive], weights[positive], percentile))
    return np.array(largest)


def check_number(value: Any, name: str, least: float, most: float) -> float:
    """Return an option as a float.

    Raises:
        ValueError: it is not a number from `least` to `most`.
    """
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:
        raise ValueError(f"{name}: must be a number from {least:g} to {most:g}, got {value!r}")
    return float(value)


_WHITE = ColorHistogram()
_WHITE.add(np.full((1, 1, 3), 255, np.uint8))
