"""What an annotation file says, whatever its format: outlines in level-0 pixels, in groups."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

# The first seven are ASAP's. A Line is open and has no area: GeoJSON and NDPA know it, ASAP not.
Kind = Literal["None", "Dot", "Polygon", "Spline", "PointSet", "Measurement", "Rectangle", "Line"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ASAP_KINDS = KINDS[:7]
AREA_KINDS: tuple[Kind, ...] = ("Polygon", "Rectangle", "Spline", "None")

DEFAULT_COLOR = "#F4FA58"  # ASAP's
# A position farther out than this is no pixel of any slide, and float32 holds integers up to here.
MAX_COORDINATE = 2.0**24

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """Something noticed about an annotation file.

    Attributes:
        severity: `error` if the file cannot be used as its author meant it, else `warning`.
        code: a short word for the kind of problem, such as `decimal-comma`.
        where: the annotation or group, such as `annotation 3 "Tumour"`.
        message: what is wrong, in one line.
    """

    severity: Severity
    code: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def as_points(points: ArrayLike) -> NDArray[np.float64]:
    """Copy positions into a read-only array (n, 2) of float64.

    Raises:
        ValueError: not of that shape, not finite or beyond MAX_COORDINATE.
    """
    array = np.array(points, dtype=np.float64, copy=True).reshape(-1, 2)
    if not (np.abs(array) <= MAX_COORDINATE).all():
        raise ValueError(f"points: must lie within +-{MAX_COORDINATE:g} pixels and be finite")
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class Annotation:
    """One outline, dot, line or set of points.

    Attributes:
        name: as the file gives it; need not be unique.
        points: (n, 2) float64, x and y in level-0 pixels, read-only. A closed outline does not
            repeat its first point. Pixel (0, 0) covers [0, 1) x [0, 1).
        kind: ASAP's type, or Line.
        holes: outlines cut out of this one, each (n, 2) as `points`.
        group: name of the group it belongs to directly, None for none.
        color: `#RRGGBB`.
        object_id: of the object in its file; annotations that share one are the parts of a
            multipolygon. Empty where the format has none.
        properties: what else the format holds about it, JSON values; written back to that format.
    """

    name: str
    points: NDArray[np.float64]
    kind: Kind = "Polygon"
    holes: tuple[NDArray[np.float64], ...] = ()
    group: str | None = None
    color: str = DEFAULT_COLOR
    object_id: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: must be one of {', '.join(KINDS)}, got {self.kind!r}")
        object.__setattr__(self, "points", as_points(self.points))
        object.__setattr__(self, "holes", tuple(as_points(hole) for hole in self.holes))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Annotation):
            return NotImplemented
        rings, others = (self.points, *self.holes), (other.points, *other.holes)
        return len(rings) == len(others) and all(
            [
                getattr(self, f.name) == getattr(other, f.name)
                for f in fields(self)
                if f.name not in ("points", "holes")
            ]
            + [np.array_equal(a, b) for a, b in zip(rings, others, strict=True)]
        )

    @property
    def has_area(self) -> bool:
        """Whether it outlines something, as polygons, rectangles and splines do."""
        return self.kind in AREA_KINDS and len(self.points) >= 3

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Least x and y, greatest x and y, in level-0 pixels.

        Raises:
            ValueError: it has no points.
        """
        if not len(self.points):
            raise ValueError(f"{self.name}: bounds need a point")
        (x0, y0), (x1, y1) = self.points.min(axis=0), self.points.max(axis=0)
        return float(x0), float(y0), float(x1), float(y1)

    @property
    def area(self) -> float:
        """Area in level-0 pixels, holes taken off (exact for outlines that do not cross)."""
        if not self.has_area:
            return 0.0
        return abs(signed_area(self.points)) - sum(abs(signed_area(h)) for h in self.holes)


def signed_area(points: NDArray[np.float64]) -> float:
    """Area within a closed outline (n, 2); positive if it runs clockwise on the screen, y down."""
    if len(points) < 3:
        return 0.0
    # Relative to a point of its own, so that far-away small shapes keep their digits.
    x, y = (points - points[0]).T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


@dataclass(frozen=True)
class AnnotationGroup:
    """A group (ASAP), class (QuPath) or layer (ImageScope) of annotations.

    Attributes:
        name: unique within a file.
        parent: name of the group it lies in, None for none.
        color: `#RRGGBB`.
        attributes: names and values, as ASAP and ImageScope let users add them.
    """

    name: str
    parent: str | None = None
    color: str = DEFAULT_COLOR
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AnnotationSet:
    """All that one file says about one slide.

    Attributes:
        annotations: in the file's order.
        groups: in the file's order.
        source: the file, for messages; None if it was not read from one.
        findings: what the reader noticed. They do not count when sets are compared.
    """

    annotations: tuple[Annotation, ...] = ()
    groups: tuple[AnnotationGroup, ...] = ()
    source: Path | None = field(default=None, compare=False)
    findings: tuple[Finding, ...] = field(default=(), compare=False)

    def __iter__(self) -> Iterator[Annotation]:
        return iter(self.annotations)

    def __len__(self) -> int:
        return len(self.annotations)

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of the groups, in order."""
        return tuple(group.name for group in self.groups)

    def where(self, index: int) -> str:
        """How messages call an annotation: `annotation 3 "Tumour"`."""
        return f'annotation {index} "{self.annotations[index].name}"'

    def with_groups_defined(self) -> "AnnotationSet":
        """The same with a group for each name that annotations or groups refer to.

        ASAP's reader drops everything where a group is used and not defined.
        """
        known = set(self.group_names)
        missing = []
        for name, color in [
            *((a.group, a.color) for a in self.annotations),
            *((g.parent, g.color) for g in self.groups),
        ]:
            if name is not None and name not in known:
                known.add(name)
                missing.append(AnnotationGroup(name, color=color))
        return replace(self, groups=(*self.groups, *missing)) if missing else self
