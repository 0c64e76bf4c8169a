"""The figures of the table, as functions of sums over images, so that units can be drawn.

*Pooled* figures come from the counts of all pixels of all images, as the paper's and PaddleSeg's
do: large tumours weigh most. *Averaged* ones are computed for each image and averaged over the
images in which they are defined: each image weighs alike. The 95 % Hausdorff distance exists for
single images only, and so is averaged in both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.evaluation import ImageResult
from paddleseg_sclc.metrics.boundary import boundary_f
from paddleseg_sclc.metrics.figures import compute
from paddleseg_sclc.metrics.probability import CALIBRATION_BINS, calibration_error

# Figures of one confusion matrix.
OF_MATRIX = (
    "miou", "accuracy", "kappa", "tumour_dice", "sensitivity", "specificity", "precision",
)  # fmt: skip
POOLED = (*OF_MATRIX, "boundary_f", "hd95", "calibration_error")
AVERAGED = (*OF_MATRIX, "boundary_f", "hd95")
_PREFIX = "mean_"
# The order in which `Sums` gives figures.
ALL = (*POOLED, *(f"{_PREFIX}{name}" for name in AVERAGED))


def averaged(name: str) -> str:
    """The key of the averaged form of a figure."""
    return _PREFIX + name


@dataclass(frozen=True)
class Sums:
    """How images become rows of sums, and sums become figures.

    Attributes:
        num_classes: of the confusion matrices.
    """

    num_classes: int

    def rows(self, images: Sequence[ImageResult]) -> NDArray[np.float64]:
        """(n, D): what is added up over images."""
        return np.stack([self._row(image) for image in images])

    def _row(self, image: ImageResult) -> NDArray[np.float64]:
        boundary = image.boundary
        counts = boundary.counts if boundary else np.zeros(4)
        calibration = image.calibration
        if calibration is None:
            calibration = np.zeros((3, CALIBRATION_BINS))
        values = np.array(list(figures_of_image(image).values()))
        defined = ~np.isnan(values)
        return np.concatenate(
            [
                image.matrix.ravel(),
                counts,
                calibration.ravel(),
                np.where(defined, values, 0.0),
                defined,
            ]
        ).astype(np.float64)

    def figures(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """From (..., D) sums to (..., K) figures in the order of `ALL`."""
        lead = sums.shape[:-1]
        sizes = (self.num_classes**2, 4, 3 * CALIBRATION_BINS, len(AVERAGED), len(AVERAGED))
        matrix, boundary, calibration, totals, defined = np.split(
            sums, np.cumsum(sizes)[:-1], axis=-1
        )
        matrix = matrix.reshape(*lead, self.num_classes, self.num_classes)
        calibration = calibration.reshape(*lead, 3, CALIBRATION_BINS)
        means = np.divide(totals, defined, out=np.full(totals.shape, np.nan), where=defined > 0)
        pooled = dict(compute(matrix, OF_MATRIX))
        pooled["boundary_f"] = boundary_f(boundary)
        pooled["hd95"] = means[..., AVERAGED.index("hd95")]
        pooled["calibration_error"] = calibration_error(calibration)
        first = np.stack([np.asarray(pooled[name]) for name in POOLED], axis=-1)
        return np.concatenate([first, means], axis=-1)

    def figure(self, sums: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        """One figure, (..., 1)."""
        return self.figures(sums)[..., ALL.index(name), np.newaxis]


def figures_of_image(image: ImageResult) -> dict[str, float]:
    """The figures of one image, those of `AVERAGED`; NaN where undefined."""
    figures = {name: float(value) for name, value in compute(image.matrix, OF_MATRIX).items()}
    boundary = image.boundary
    figures["boundary_f"] = float(boundary_f(boundary.counts)) if boundary else float("nan")
    figures["hd95"] = boundary.hd95 if boundary else float("nan")
    return figures
