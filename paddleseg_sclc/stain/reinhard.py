"""Reinhard et al., Color transfer between images, IEEE CG&A 21(5), 2001, in CIE Lab."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.stain.fit import check_keys, finite_array
from paddleseg_sclc.stain.histogram import ColorHistogram
from paddleseg_sclc.stain.normalizer import StainNormalizer
from paddleseg_sclc.stain.tissue_check import find_tissue


@dataclass(frozen=True, eq=False)
class LabFit:
    """Mean and standard deviation of the tissue's colours in CIE Lab (D65).

    Attributes:
        mean: float64, (3,): L* 0 to 100, a*, b*.
        deviation: float64, (3,), above 0.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def of(cls, mean: ArrayLike, deviation: ArrayLike) -> "LabFit":
        """Return a checked fit, rounded to six decimals.

        Raises:
            ValueError: a number is not finite, out of Lab's range, or a deviation not above 0.
        """
        center = np.round(finite_array(mean, (3,), "mean"), 6)
        width = np.round(finite_array(deviation, (3,), "deviation"), 6)
        if np.abs(center).max() > 128 or not np.all((width > 0) & (width <= 128)):
            raise ValueError(
                "mean and deviation: must be within Lab, the deviation above 0, got "
                f"{center.tolist()} and {width.tolist()}"
            )
        for array in (center, width):
            array.flags.writeable = False
        return cls(center, width)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the figures as plain lists, for JSON."""
        return {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}

    @classmethod
    def from_dict(cls, figures: Any, where: str = "fit") -> "LabFit":
        """Read what `to_dict` wrote.

        Raises:
            SclcError: something is missing, or is not what it must be.
        """
        check_keys(figures, ("mean", "deviation"), where)
        try:
            return cls.of(figures["mean"], figures["deviation"])
        except ValueError as error:
            raise SclcError(f"{where}: {error}") from error

    @classmethod
    def median(cls, fits: Sequence["LabFit"]) -> "LabFit":
        """Return the element-wise median of one fit or more."""
        return cls.of(
            np.median([fit.mean for fit in fits], axis=0),
            np.median([fit.deviation for fit in fits], axis=0),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabFit) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(str(self.to_dict()))


class ReinhardNormalizer(StainNormalizer):
    """Mean and standard deviation of each channel of Lab brought to the target's.

    Knows no stains, and tints what is not tissue: here to compare with. Lab is OpenCV's in 8 bits,
    as in other toolkits, so neighbouring intensities may fall together.
    """

    method = "reinhard"
    fit_type = LabFit
    source: LabFit | None
    target: LabFit

    def __init__(self, *, target: str | LabFit | NDArray[np.uint8] = "warwick") -> None:
        """Choose the target: "warwick", a fit, or an RGB image to fit."""
        super().__init__(target)

    def options(self) -> dict[str, Any]:
        """Return the arguments of the constructor but `target`: there are none."""
        return {}

    def _fit(self, histogram: ColorHistogram, where: str) -> LabFit:
        colors = histogram.colors()
        tissue = find_tissue(colors, colors.od(np.full(3, 255.0)), where)
        rgb = colors.rgb[:, tissue].T.astype(np.float32)[None] / np.float32(255)
        lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)[0].astype(np.float64)
        weights = colors.weights[tissue]
        mean = np.average(lab, axis=0, weights=weights)
        return LabFit.of(mean, np.sqrt(np.average((lab - mean) ** 2, axis=0, weights=weights)))

    def _make_map(self) -> "_LabMap":
        assert self.source is not None
        return _LabMap(self.source, self.target)


class _LabMap:
    """Takes pixels from one Lab mean and deviation to another's."""

    def __init__(self, source: LabFit, target: LabFit) -> None:
        # OpenCV's 8-bit Lab: L * 255 / 100, a + 128, b + 128.
        unit, zero = np.array([100 / 255, 1, 1]), np.array([0, 128, 128])
        lab = (np.arange(256.0)[:, None] - zero) * unit
        moved = (lab - source.mean) * (target.deviation / source.deviation) + target.mean
        self._table = np.clip(np.rint(moved / unit + zero), 0, 255).astype(np.uint8)[None]

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        pixels = image.reshape(-1, 1, 3) if image.ndim == 2 else image
        lab = cv2.LUT(cv2.cvtColor(pixels, cv2.COLOR_RGB2Lab), self._table)
        return cv2.cvtColor(lab, cv2.COLOR_Lab2RGB).reshape(image.shape)
