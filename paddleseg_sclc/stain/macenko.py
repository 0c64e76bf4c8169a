"""Macenko et al., IEEE ISBI 2009: the two ends of the angles in the plane of the colours."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paddleseg_sclc.errors import TissueError
from paddleseg_sclc.stain.background import find_background
from paddleseg_sclc.stain.fit import StainFit
from paddleseg_sclc.stain.histogram import ColorHistogram, weighted_percentile
from paddleseg_sclc.stain.matrix_normalizer import (
    StainMatrixNormalizer,
    check_number,
    hematoxylin_first,
    largest_concentrations,
)
from paddleseg_sclc.stain.tissue_check import check_stains, find_tissue


class MacenkoNormalizer(StainMatrixNormalizer):
    """Stain vectors at the two ends of the angles in the plane of most variance.

    As published, but for what `VahadaneNormalizer` does too: the background is estimated, negative
    concentrations are cut at 0, and the percentile is taken over tissue.
    """

    method = "macenko"

    def __init__(
        self,
        percentile: float = 99,
        background: str | ArrayLike = "estimate",
        *,
        beta: float = 0.15,
        alpha: float = 1,
        exclude_ink: bool = True,
        target: str | StainFit | NDArray[np.uint8] = "warwick",
    ) -> None:
        """Choose how stains are found.

        Args:
            percentile: of a stain's positive concentrations, which is brought to the target's.
            background: "estimate", "released" (white pixels, else 255), or one or three whole
                intensities (R, G, B).
            beta: pixels with a channel of less optical density are left out.
            alpha: percentile of the angles that is taken as a stain, from either end.
            exclude_ink: leave the colours of pens out of the fit.
            target: "warwick", a fit, or an RGB image to fit.

        Raises:
            ValueError: an argument is not what it must be.
        """
        self._beta = check_number(beta, "beta", 0, 2)
        self._alpha = check_number(alpha, "alpha", 0, 50)
        self._exclude_ink = bool(exclude_ink)
        super().__init__(percentile, background, target)

    def options(self) -> dict[str, Any]:
        """Return the arguments of the constructor but `target`, as JSON holds them."""
        return {
            "percentile": self._percentile,
            "background": self._background,
            "beta": self._beta,
            "alpha": self._alpha,
            "exclude_ink": self._exclude_ink,
        }

    def _fit(self, histogram: ColorHistogram, where: str) -> StainFit:
        white = find_background(self._background, histogram)
        colors = histogram.colors()
        od = colors.od(white)
        tissue = find_tissue(colors, od, where, self._exclude_ink)
        od, weights = od[:, tissue], colors.weights[tissue]
        dense = (od >= self._beta).all(axis=0)
        if np.count_nonzero(dense) < 3:
            raise TissueError(
                f"{where}: at least 3 colours must have an optical density of {self._beta:g} in "
                f"all channels, got {np.count_nonzero(dense)}; choose a smaller beta"
            )
        matrix = hematoxylin_first(self._extreme_directions(od[:, dense], weights[dense]))
        check_stains(matrix, od, weights, where)
        largest = largest_concentrations(od, weights, matrix, self._percentile)
        return StainFit.of(matrix, largest, white)

    def _extreme_directions(
        self, od: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        plane = np.linalg.eigh(np.cov(od, aweights=weights))[1][:, [2, 1]]
        plane *= np.where(plane.sum(axis=0) < 0, -1, 1)
        along, across = plane.T @ od
        angle = np.arctan2(across, along)
        ends = [
            weighted_percentile(angle, weights, percentile)
            for percentile in (self._alpha, 100 - self._alpha)
        ]
        vectors = np.array([plane @ (np.cos(end), np.sin(end)) for end in ends])
        # A stain does not brighten: what noise makes slightly negative is 0.
        vectors = np.maximum(vectors, 0)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
