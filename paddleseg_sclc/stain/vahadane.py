"""Vahadane et al., IEEE TMI 35(8), 2016: structure-preserving, as the paper improved it."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paddleseg_sclc.stain.background import find_background
from paddleseg_sclc.stain.dictionary import RUIFROK, learn_dictionary
from paddleseg_sclc.stain.fit import StainFit
from paddleseg_sclc.stain.histogram import ColorHistogram, Colors, histogram_of
from paddleseg_sclc.stain.matrix_normalizer import (
    StainMatrixNormalizer,
    check_number,
    hematoxylin_first,
    largest_concentrations,
)
from paddleseg_sclc.stain.optical_density import stain_angles
from paddleseg_sclc.stain.tissue_check import check_stains, find_tissue

# So much may the stains turn, in degrees, before pale pixels are let in (see `tissue`).
_PALE_TURN = 1.0


class VahadaneNormalizer(StainMatrixNormalizer):
    """Stain vectors by sparse non-negative dictionary learning on the tissue.

    Where this departs from the release of the paper's authors, an argument has the value
    "released", which brings their way back; `docs/stain.md` has the list, and what each changes.
    """

    method = "vahadane"

    def __init__(
        self,
        sparsity: float = 0.1,
        percentile: float = 99,
        background: str | ArrayLike = "estimate",
        *,
        tissue: str = "auto",
        scale: str = "tissue",
        logs: str = "one",
        exclude_ink: bool = True,
        target: str | StainFit | NDArray[np.uint8] = "warwick",
    ) -> None:
        """Choose how stains are found.

        Args:
            sparsity: lambda of the dictionary learning. Below 0.02 the problem is ill-conditioned.
            percentile: of a stain's positive concentrations, which is brought to the target's.
            background: "estimate", "released" (white pixels, else 255), or one or three whole
                intensities (R, G, B).
            tissue: what the stain vectors come from. "released": pixels with all channels < 220,
                which loses pale eosin, bright in red; "stained": any channel < 220; "auto":
                the first, unless the second turns a vector by more than a degree.
            scale: what the percentile is taken over: "tissue", or "released": all that is seen,
                glass included.
            logs: "one" definition of the optical density, or the "released" two.
            exclude_ink: leave the colours of pens out of the fit.
            target: "warwick", a fit, or an RGB image to fit.

        Raises:
            ValueError: an argument is not what it must be.
        """
        self._sparsity = check_number(sparsity, "sparsity", 0, 1)
        self._tissue = _choice(tissue, "tissue", ("auto", "stained", "released"))
        self._scale = _choice(scale, "scale", ("tissue", "released"))
        self._logs = _choice(logs, "logs", ("one", "released"))
        self._log_offset = int(logs == "released")
        self._exclude_ink = bool(exclude_ink)
        super().__init__(percentile, background, target)

    def options(self) -> dict[str, Any]:
        """Return the arguments of the constructor but `target`, as JSON holds them."""
        return {
            "sparsity": self._sparsity,
            "percentile": self._percentile,
            "background": self._background,
            "tissue": self._tissue,
            "scale": self._scale,
            "logs": self._logs,
            "exclude_ink": self._exclude_ink,
        }

    def _fit(self, histogram: ColorHistogram, where: str) -> StainFit:
        white = find_background(self._background, histogram)
        colors = histogram.colors()
        od = colors.od(white, self._log_offset)
        tissue = find_tissue(colors, od, where, self._exclude_ink)
        # The release's other logarithm, for the vectors only.
        shift = np.log1p(1 / white)[:, None] * self._log_offset
        matrix = hematoxylin_first(self._learn(colors, od - shift, tissue))
        check_stains(matrix, od[:, tissue], colors.weights[tissue], where)
        counted = tissue if self._scale == "tissue" else slice(None)
        largest = largest_concentrations(
            od[:, counted], colors.weights[counted], matrix, self._percentile
        )
        return StainFit.of(matrix, largest, white)

    def _learn(
        self, colors: Colors, od: NDArray[np.float64], tissue: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        def learn(chosen: NDArray[np.bool_], start: NDArray[np.float64]) -> NDArray[np.float64]:
            return learn_dictionary(od[:, chosen], colors.weights[chosen], self._sparsity, start)

        dark = tissue & colors.dark
        if self._tissue == "stained" or not dark.any():
            return learn(tissue, RUIFROK)
        matrix = learn(dark, RUIFROK)
        if self._tissue == "released" or np.array_equal(dark, tissue):
            return matrix
        # Begun from the first, so that the two differ by what the pale pixels add alone.
        whole = learn(tissue, matrix)
        return whole if stain_angles(matrix, whole).max() > _PALE_TURN else matrix


def estimate_stain_matrix(
    image: NDArray[np.uint8],
    sparsity: float = 0.1,
    background: str | ArrayLike = "estimate",
    **options: Any,
) -> NDArray[np.float64]:
    """Return the stain matrix of an image by Vahadane's method.

    Args:
        image: RGB uint8, (H, W, 3) or (n, 3); not changed.
        sparsity: lambda of the dictionary learning.
        background: "estimate", "released", or one or three whole intensities.
        options: further arguments of `VahadaneNormalizer`.

    Returns:
        float64, (2, 3): hematoxylin, eosin; unit rows.

    Raises:
        TissueError: it shows too little stained tissue, or no H&E.
    """
    normalizer = VahadaneNormalizer(sparsity, background=background, **options)
    return normalizer.fit_of(histogram_of([image])).stain_matrix


def _choice(value: Any, name: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(f"{name}: must be {' or '.join(choices)}, got {value!r}")
    return str(value)
