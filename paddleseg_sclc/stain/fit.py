"""What a fit finds out about the stains of an image or a slide: ten numbers, as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.stain.optical_density import check_background

# More than a fit determines, and few enough that the last bits, in which machines differ, are gone.
_DIGITS = 6
# Two stains less than half a degree apart cannot be told apart.
_MOST_COSINE = 0.99996


@dataclass(frozen=True, eq=False)
class StainFit:
    """The stains of an image or a slide.

    Attributes:
        stain_matrix: float64, (2, 3): optical density of hematoxylin and of eosin, unit rows.
        max_concentrations: float64, (2,): a high percentile of the concentration of each.
        background: float64, (3,): intensity of bare glass, R, G, B, whole numbers.
    """

    stain_matrix: NDArray[np.float64]
    max_concentrations: NDArray[np.float64]
    background: NDArray[np.float64]

    @classmethod
    def of(
        cls, stain_matrix: ArrayLike, max_concentrations: ArrayLike, background: ArrayLike
    ) -> "StainFit":
        """Return a checked fit, rounded to six decimals.

        Raises:
            ValueError: the rows are not of norm 1 or not independent, a concentration is not
                positive, a background is not a whole intensity, or a number is not finite.
        """
        matrix = np.round(check_stain_matrix(stain_matrix), _DIGITS)
        largest = np.round(finite_array(max_concentrations, (2,), "max_concentrations"), _DIGITS)
        if not np.all((largest > 0) & (largest < 1e3)):
            raise ValueError(
                f"max_concentrations: must be above 0 and below 1000, got {largest.tolist()}"
            )
        white = check_background(finite_array(background, (3,), "background"))
        for array in (matrix, largest, white):
            array.flags.writeable = False
        return cls(matrix, largest, white)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the figures as plain lists, for JSON."""
        return {
            "stain_matrix": self.stain_matrix.tolist(),
            "max_concentrations": self.max_concentrations.tolist(),
            "background": [int(value) for value in self.background],
        }

    @classmethod
    def from_dict(cls, figures: Any, where: str = "stain fit") -> "StainFit":
        """Read what `to_dict` wrote.

        Raises:
            SclcError: something is missing, or is not what it must be.
        """
        names = ("stain_matrix", "max_concentrations", "background")
        check_keys(figures, names, where)
        try:
            return cls.of(*(figures[name] for name in names))
        except ValueError as error:
            raise SclcError(f"{where}: {error}") from error

    @classmethod
    def median(cls, fits: Sequence["StainFit"]) -> "StainFit":
        """Return the element-wise median of one fit or more, its rows brought back to norm 1."""
        matrix = np.median([fit.stain_matrix for fit in fits], axis=0)
        return cls.of(
            matrix / np.linalg.norm(matrix, axis=1, keepdims=True),
            np.median([fit.max_concentrations for fit in fits], axis=0),
            np.rint(np.median([fit.background for fit in fits], axis=0)),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StainFit) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(str(self.to_dict()))


def check_stain_matrix(stain_matrix: ArrayLike) -> NDArray[np.float64]:
    """Return two unit rows as float64, (2, 3).

    Raises:
        ValueError: they are not finite, below 0, not of norm 1, or not different.
    """
    matrix = finite_array(stain_matrix, (2, 3), "stain_matrix")
    if not np.allclose(np.linalg.norm(matrix, axis=1), 1, atol=1e-4):
        raise ValueError(f"stain_matrix: must have rows of norm 1, got {matrix.tolist()}")
    if matrix.min() < 0:
        raise ValueError(f"stain_matrix: must have no entry below 0, got {matrix.tolist()}")
    if abs(float(matrix[0] @ matrix[1])) > _MOST_COSINE:
        raise ValueError(f"stain_matrix: must have two different stains, got {matrix.tolist()}")
    return matrix


def check_keys(figures: Any, names: tuple[str, ...], where: str) -> None:
    """Check that `figures` is an object with exactly these keys.

    Raises:
        SclcError: it is not.
    """
    if not isinstance(figures, dict):
        raise SclcError(f"{where}: must be a JSON object, got {type(figures).__name__}")
    if set(figures) != set(names):
        raise SclcError(
            f"{where}: must have the keys {', '.join(names)}, got "
            f"{', '.join(map(str, figures))[:200]}"
        )


def finite_array(values: Any, shape: tuple[int, ...], name: str) -> NDArray[np.float64]:
    """Return `values` as float64.

    Raises:
        ValueError: they are of another shape, or not all finite numbers.
    """
    array = np.asarray(values, dtype=object)
    # Strings and booleans would pass as numbers, and integers may be too large for a float.
    plain = all(
        isinstance(value, (int, float, np.integer, np.floating))
        and not isinstance(value, bool)
        and -1e9 < value < 1e9
        for value in array.ravel()
    )
    if array.shape != shape or not plain:
        raise ValueError(f"{name}: must be finite numbers of shape {shape}, got {str(values)[:80]}")
    return array.astype(np.float64)
