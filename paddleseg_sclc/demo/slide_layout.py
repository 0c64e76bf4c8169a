"""A slide's worth of tissue with a number of tumours, and how a pathologist outlines them."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.annotations.labels import PAPER_GROUP
from paddleseg_sclc.annotations.model import Annotation, AnnotationGroup, AnnotationSet, Kind
from paddleseg_sclc.demo.layout import (
    TAU,
    Layout,
    Rng,
    Shape,
    furnish,
    random_shape,
    tissue_habits,
)

HOLE_GROUP = "hole"
_COLORS = {PAPER_GROUP: "#F4FA58", HOLE_GROUP: "#64FE2E"}
_GAP_UM = 130.0


@dataclass(frozen=True)
class TumourPlan:
    """One tumour of a slide.

    Attributes:
        kind: how it is annotated: Polygon, Spline or Rectangle.
        over_edge: whether the edge of the scanned area cuts it.
        necrotic: whether it has a necrosis, which the pathologist takes out as a hole.
    """

    kind: Kind = "Polygon"
    over_edge: bool = False
    necrotic: bool = False


def plan_tumours(rng: Rng, count: int, everything: bool) -> list[TumourPlan]:
    """How `count` tumours of a slide are to be; `everything` shows each kind at least once."""
    plans = [TumourPlan(necrotic=bool(rng.random() < 0.3)) for _ in range(count)]
    if everything:
        special = (
            TumourPlan(necrotic=True),
            TumourPlan(over_edge=True),
            TumourPlan("Spline"),
            TumourPlan("Rectangle"),
        )
        plans[: len(special)] = special[:count]
    elif rng.random() < 0.4:
        plans[0] = TumourPlan(over_edge=True)
    return plans


def slide_layout(
    rng: Rng, width: float, height: float, plans: list[TumourPlan]
) -> tuple[Layout, list[tuple[Shape, TumourPlan]]]:
    """Place tumours, the pieces of tissue around them, and the rest.

    Args:
        rng: its state decides everything.
        width: of the slide in micrometres.
        height: of the slide in micrometres.
        plans: of the tumours.

    Returns:
        The layout, and each tumour or necrosis with the plan of its tumour.
    """
    side = float(np.sqrt(width * height))
    tumours: list[Shape] = []
    for plan in plans:
        tumours.append(_place_tumour(rng, width, height, plan, tumours))
    outlined = list(zip(tumours, plans, strict=True))
    for tumour, plan in list(outlined):
        if plan.necrotic:
            radius = tumour.radius * float(rng.uniform(0.25, 0.38))
            necrosis = random_shape(rng, "necrosis", tumour.x, tumour.y, radius, 0.2)
            outlined.append((necrosis, plan))
    pieces = [random_shape(rng, "tissue", width / 2, height / 2, 0.36 * side, 0.14)]
    # The tissue reaches beyond every tumour, or the tumour would be cut where it is outlined.
    pieces += [replace(t, kind="tissue", radius=1.25 * t.radius + 0.03 * side) for t in tumours]
    around = [_follicle(rng, tumour) for tumour in tumours for _ in range(rng.integers(1, 4))]
    inside = (shape for shape, _ in outlined)
    shapes = (*inside, *around, *pieces, *furnish(rng, width, height))
    return Layout(shapes, *tissue_habits(rng)), outlined


def _follicle(rng: Rng, tumour: Shape) -> Shape:
    """A lymphoid aggregate that leans on a tumour, as dark as it."""
    edge = tumour.outline(64)[rng.integers(64)]
    outward = edge - [tumour.x, tumour.y]
    radius = tumour.radius * float(rng.uniform(0.3, 0.55))
    x, y = edge + outward / np.linalg.norm(outward) * 0.7 * radius
    return random_shape(rng, "lymphoid", float(x), float(y), radius)


def _place_tumour(
    rng: Rng, width: float, height: float, plan: TumourPlan, others: list[Shape]
) -> Shape:
    """A tumour that keeps clear of the others, smaller where there is no room."""
    radius = float(np.sqrt(width * height) * rng.uniform(0.085, 0.15))
    while True:
        margin = -0.35 * radius if plan.over_edge else 1.3 * radius
        x, y = rng.uniform(margin, width - margin), rng.uniform(1.3 * radius, height - 1.3 * radius)
        if plan.over_edge:
            x = 0.3 * radius if rng.random() < 0.5 else width - 0.3 * radius
        shape = random_shape(rng, "tumour", float(x), float(y), radius, 0.12)
        if plan.kind == "Rectangle":
            # Nearly a rectangle, as a core biopsy is, so that a rectangle fits it.
            waves = ((0.0, 0.0), (0.0, 0.0), (0.11, np.pi))
            shape = replace(shape, waves=waves, stretch=float(rng.uniform(1, 1.3)), angle=0.0)
        if all(_apart(shape, other) for other in others):
            return shape
        radius *= 0.985


def _apart(one: Shape, other: Shape) -> bool:
    distance = np.hypot(one.x - other.x, one.y - other.y)
    return bool(distance > one.reach + other.reach + _GAP_UM)


def annotate(rng: Rng, outlined: list[tuple[Shape, TumourPlan]], mpp: float) -> AnnotationSet:
    """Outline shapes as a pathologist does: smoothly, not quite on the edge, in any direction.

    Args:
        rng: its state decides where the hand goes.
        outlined: tumours, and necroses that become holes.
        mpp: micrometres a level-0 pixel.

    Returns:
        Annotations in level-0 pixels, tumours first.
    """
    annotations: list[Annotation] = []
    for shape, plan in outlined:
        kind: Kind = "Polygon" if shape.kind == "necrosis" else plan.kind
        points = _rectangle(shape) if kind == "Rectangle" else _by_hand(rng, shape, kind)
        if rng.random() < 0.4:
            points = points[::-1]
        group = HOLE_GROUP if shape.kind == "necrosis" else PAPER_GROUP
        name = f"Annotation {len(annotations)}"
        pixels = np.round(points / mpp, 2)
        annotations.append(Annotation(name, pixels, kind, group=group, color=_COLORS[group]))
    used = {annotation.group for annotation in annotations}
    groups = (AnnotationGroup(name, color=color) for name, color in _COLORS.items() if name in used)
    return AnnotationSet(tuple(annotations), tuple(groups))


def _by_hand(rng: Rng, shape: Shape, kind: Kind) -> NDArray:
    """An outline with a slow error of a few micrometres; a spline has fewer points."""
    spacing = 55.0 if kind == "Spline" else 22.0
    points = shape.outline(int(np.clip(TAU * shape.radius / spacing, 16, 400)))
    t = np.linspace(0, TAU, len(points), endpoint=False)
    error = sum(rng.normal() * 3.0 * np.cos(k * t + rng.uniform(0, TAU)) for k in (1, 2, 3, 5))
    outward = points - [shape.x, shape.y]
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    return points + outward * np.asarray(error)[:, None]


def _rectangle(shape: Shape) -> NDArray:
    """The upright rectangle that fits a nearly rectangular shape."""
    points = shape.outline(360)
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
