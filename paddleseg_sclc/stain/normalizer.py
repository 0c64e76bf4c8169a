"""The interface of all normalisers: fit to a source, transform to a target, save and load."""

import copy
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.errors import SclcError, TissueError
from paddleseg_sclc.stain.fit import check_keys
from paddleseg_sclc.stain.histogram import SAMPLE_PIXELS, ColorHistogram, histogram_of
from paddleseg_sclc.stain.optical_density import check_image
from paddleseg_sclc.stain.storage import read_json, write_json
from paddleseg_sclc.stain.targets import built_in_target

_FORMAT = "paddleseg_sclc stain normaliser"
_VERSION = 1


class Outcome(str, Enum):
    """By which fit an image was normalised."""

    OWN_FIT = "by its own fit"
    GIVEN_FIT = "by the fit of its slide"
    UNCHANGED = "left as it is"


AnyNormalizer = TypeVar("AnyNormalizer", bound="StainNormalizer")


class StainNormalizer(ABC):
    """Brings the stains of a source to those of a target.

    A source is an image or a slide: `fit` (or `fit_blocks`, for a slide) finds out its stains,
    `transform` brings any patch of it to the target. Fitted once on a slide, every patch of it is
    transformed alike; `fit_transform` fits each image anew, which increases the spread of
    hematoxylin between patches and is meant for images that have no slide.

    Attributes:
        target: the fit that images are brought to.
        source: the fit of what they are brought from, None before `fit`.
    """

    method: ClassVar[str]
    fit_type: ClassVar[Any]  # StainFit or LabFit: what a fit finds out, with to_dict and from_dict
    _methods: ClassVar[dict[str, type["StainNormalizer"]]] = {}

    def __init_subclass__(cls) -> None:
        if "method" in vars(cls):
            StainNormalizer._methods[cls.method] = cls

    def __init__(self, target: Any = "warwick") -> None:
        """Choose the target; a subclass sets its options first.

        Args:
            target: the name of a built-in target, a fit of the method's own type, or an RGB image
                to fit.
        """
        self.source: Any = None
        self._map: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None
        self.target = self._find_target(target)

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Return the arguments of the constructor but `target`, as JSON holds them."""

    @abstractmethod
    def _fit(self, histogram: ColorHistogram, where: str) -> Any:
        """Return the fit of one pixel or more."""

    @abstractmethod
    def _make_map(self) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
        """Return the function that takes pixels from `source` to `target`."""

    def fit(self: AnyNormalizer, image: Any, where: str = "image") -> AnyNormalizer:
        """Find out the stains of an image.

        Args:
            image: RGB uint8, (H, W, 3); not changed. A large one is looked at on evenly spaced
                rows, 262,144 pixels in all.
            where: what to call it in an error.

        Returns:
            The normaliser itself.

        Raises:
            TissueError: it shows too little stained tissue, or no H&E.
        """
        return self.fit_blocks([check_image(image, where)], where)

    def fit_blocks(
        self: AnyNormalizer,
        blocks: Iterable[Any],
        where: str = "image",
        max_pixels: int | None = SAMPLE_PIXELS,
    ) -> AnyNormalizer:
        """Find out the stains of a slide from blocks of its pixels, in bounded memory.

        The order of the blocks changes nothing.

        Args:
            blocks: RGB uint8, each (H, W, 3) or (n, 3); not changed.
            where: what to call the slide in an error.
            max_pixels: looked at in a block; None looks at all.

        Returns:
            The normaliser itself.

        Raises:
            TissueError: they show too little stained tissue, or no H&E.
        """
        return self.fit_histogram(histogram_of(blocks, max_pixels), where)

    def fit_of(self, histogram: ColorHistogram, where: str = "image") -> Any:
        """Return the fit of what was counted, without keeping it.

        Raises:
            TissueError: it shows too little stained tissue, or no H&E.
        """
        if histogram.pixels == 0:
            raise TissueError(f"{where}: must show tissue, got nothing but what was not scanned")
        return self._fit(histogram, where)

    def fit_histogram(
        self: AnyNormalizer, histogram: ColorHistogram, where: str = "image"
    ) -> AnyNormalizer:
        """Find out the stains of what was counted, in one process or in several and merged."""
        return self._use(self.fit_of(histogram, where))

    def with_source(self: AnyNormalizer, fit: Any) -> AnyNormalizer:
        """Return a copy that transforms from a given fit, such as that of the patch's slide."""
        return copy.copy(self)._use(self._check_fit(fit, "fit"))

    def with_median_target(self: AnyNormalizer, fits: Sequence[Any]) -> AnyNormalizer:
        """Return an unfitted copy whose target is the element-wise median of fits.

        Args:
            fits: one of each image or slide of a training set, one or more.

        Raises:
            ValueError: there is none.
        """
        if not fits:
            raise ValueError("fits: must have at least one, got none")
        median = self.fit_type.median([self._check_fit(fit, "fits") for fit in fits])
        return type(self)(**self.options(), target=median)

    def transform(self, image: Any) -> NDArray[np.uint8]:
        """Bring an image from the fitted source to the target.

        Args:
            image: RGB uint8, (H, W, 3) or (n, 3); not changed. A blank one is fine.

        Returns:
            uint8 of the same shape. Every pixel depends on itself alone.

        Raises:
            ValueError: the normaliser is not fitted.
        """
        if self._map is None:
            raise ValueError("normaliser: must be fitted before transform, got none; call fit")
        return self._map(check_image(image))

    def fit_transform(self, image: Any, where: str = "image") -> NDArray[np.uint8]:
        """Fit an image and transform it.

        Raises:
            TissueError: it shows too little stained tissue, or no H&E.
        """
        return self.fit(image, where).transform(image)

    def transform_by_given_fit(self, image: Any) -> tuple[NDArray[np.uint8], Outcome]:
        """Normalise an image by this normaliser's fit; without one, leave it as it is.

        Args:
            image: RGB uint8, (H, W, 3); not changed.

        Returns:
            The image, uint8, and what became of it.
        """
        if self.source is None:
            return image.copy(), Outcome.UNCHANGED
        return self.transform(image), Outcome.GIVEN_FIT

    def transform_by_own_fit(self, image: Any) -> tuple[NDArray[np.uint8], Outcome]:
        """Normalise an image by its own fit, else by this normaliser's, else leave it as it is.

        The normaliser is not changed. For batches: a blank image stops nothing.

        Args:
            image: RGB uint8, (H, W, 3); not changed.

        Returns:
            The image, uint8, and what became of it.
        """
        try:
            return copy.copy(self).fit_transform(image), Outcome.OWN_FIT
        except TissueError:
            return self.transform_by_given_fit(image)

    def to_dict(self) -> dict[str, Any]:
        """Return method, options, target and source, for JSON."""
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "method": self.method,
            "options": self.options(),
            "target": self.target.to_dict(),
            "source": None if self.source is None else self.source.to_dict(),
        }

    @classmethod
    def from_dict(
        cls: type[AnyNormalizer], figures: Any, where: str = "normaliser"
    ) -> AnyNormalizer:
        """Return the normaliser that `to_dict` described.

        Called on `StainNormalizer`, it returns whatever method was saved.

        Raises:
            SclcError: something is missing, is not what it must be, or is another method.
        """
        keys = ("format", "version", "method", "options", "target", "source")
        check_keys(figures, keys, where)
        if (figures["format"], figures["version"]) != (_FORMAT, _VERSION):
            raise SclcError(
                f'{where}: must be a "{_FORMAT}" of version {_VERSION}, got '
                f"{str(figures['format'])[:60]!r} of version {str(figures['version'])[:20]}"
            )
        known = {name: kind for name, kind in cls._methods.items() if issubclass(kind, cls)}
        kind = known.get(figures["method"]) if isinstance(figures["method"], str) else None
        if kind is None:
            raise SclcError(
                f"{where}: method must be {' or '.join(known)}, got {str(figures['method'])[:40]!r}"
            )
        if not isinstance(figures["options"], dict):
            raise SclcError(f"{where}: options must be a JSON object")
        target = kind.fit_type.from_dict(figures["target"], f"{where}: target")
        try:
            normalizer = kind(**figures["options"], target=target)
        except (TypeError, ValueError) as error:
            raise SclcError(f"{where}: options: {error}") from error
        if figures["source"] is None:
            return normalizer
        return normalizer._use(kind.fit_type.from_dict(figures["source"], f"{where}: source"))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write method, options, target and source to a JSON file.

        Raises:
            SclcError: it cannot be written.
        """
        write_json(path, self.to_dict())

    @classmethod
    def load(cls: type[AnyNormalizer], path: str | os.PathLike[str]) -> AnyNormalizer:
        """Read what `save` wrote.

        Raises:
            SclcError: it cannot be read or is something else.
        """
        return cls.from_dict(read_json(path), str(path))

    def _use(self: AnyNormalizer, fit: Any) -> AnyNormalizer:
        self.source = fit
        self._map = self._make_map()
        return self

    def _find_target(self, target: Any) -> Any:
        if isinstance(target, str):
            return self.fit_type.from_dict(built_in_target(target, self.method), target)
        if isinstance(target, np.ndarray):
            return self.fit_of(histogram_of([check_image(target, "target")]), "target")
        return self._check_fit(target, "target")

    def _check_fit(self, fit: Any, where: str) -> Any:
        if not isinstance(fit, self.fit_type):
            raise ValueError(
                f"{where}: must be a {self.fit_type.__name__}, got {type(fit).__name__}"
            )
        return fit
