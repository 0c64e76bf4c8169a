"""What lies where in a scene: organic shapes in micrometres, placed at random."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
TAU = 2 * np.pi


@dataclass(frozen=True)
class Shape:
    """A smooth closed outline around a centre, in micrometres.

    The distance of the outline from the centre in direction t, in the frame of the shape, is
    `radius * (1 + sum_k a_k cos(k t + p_k))`; that frame is turned by `angle` and its x axis
    stretched by `stretch`, its y axis by 1 / stretch.

    Attributes:
        kind: tumour, necrosis, lymphoid, cartilage, gland, vessel, lung, glass or tissue.
        x: of the centre.
        y: of the centre.
        radius: mean distance of the outline from the centre.
        stretch: of the first axis.
        angle: of the first axis.
        waves: (k, 2) amplitude a_k and phase p_k, from k = 2.
    """

    kind: str
    x: float
    y: float
    radius: float
    stretch: float = 1.0
    angle: float = 0.0
    waves: tuple[tuple[float, float], ...] = ()

    @property
    def reach(self) -> float:
        """No point of the outline is farther from the centre than this."""
        swell = 1 + sum(amplitude for amplitude, _ in self.waves)
        return self.radius * swell * max(self.stretch, 1 / self.stretch)

    def _profile(self, t: NDArray) -> NDArray:
        waves = (a * np.cos(k * t + p) for k, (a, p) in enumerate(self.waves, start=2))
        return self.radius * (1 + sum(waves, np.zeros_like(t)))

    def depth(self, x: NDArray, y: NDArray) -> NDArray:
        """How far inside the outline points are: > 0 inside, about in micrometres.

        Args:
            x: (n,) or (1, W) positions.
            y: (n,) or (H, 1) positions.
        """
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        dx, dy = x - self.x, y - self.y
        u = (dx * cos + dy * sin) / self.stretch
        v = (dy * cos - dx * sin) * self.stretch
        return self._profile(np.arctan2(v, u)) - np.sqrt(u * u + v * v)

    def outline(self, points: int) -> NDArray:
        """`points` positions (points, 2) around the outline, in order."""
        t = np.linspace(0, TAU, points, endpoint=False)
        r = self._profile(t)
        u, v = r * np.cos(t) * self.stretch, r * np.sin(t) / self.stretch
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.stack([self.x + u * cos - v * sin, self.y + u * sin + v * cos], axis=1)


@dataclass(frozen=True)
class Layout:
    """A scene's shapes and the general direction of its fibres.

    Attributes:
        width: of the scene in micrometres.
        height: of the scene in micrometres.
        shapes: in no order: the kind decides which lies above.
        direction: of the fibres, in radians.
    """

    width: float
    height: float
    shapes: tuple[Shape, ...] = field(default=())
    direction: float = 0.0

    def of(self, kind: str) -> list[Shape]:
        """The shapes of a kind."""
        return [shape for shape in self.shapes if shape.kind == kind]


def random_shape(
    rng: Rng, kind: str, x: float, y: float, radius: float, rough: float = 0.12
) -> Shape:
    """A shape with an organic outline; `rough` is the amplitude of its slowest wave."""
    waves = tuple(
        (float(rough * rng.uniform(0.3, 1) * 2 / k), float(rng.uniform(0, TAU)))
        for k in range(2, 8)
    )
    stretch = float(rng.uniform(1, 1 + 4 * rough))
    return Shape(kind, x, y, radius, stretch, float(rng.uniform(0, TAU)), waves)


# kind: (shapes a square millimetre, least and greatest radius, roughness)
_FURNITURE = {
    "lymphoid": (2.6, (60.0, 190.0), 0.12),
    "cartilage": (0.45, (120.0, 230.0), 0.1),
    "gland": (1.3, (70.0, 190.0), 0.15),
    "vessel": (1.6, (25.0, 80.0), 0.08),
    "lung": (0.4, (250.0, 500.0), 0.15),
}


def random_layout(rng: Rng, width: float, height: float) -> Layout:
    """A box of tissue around tumour, as annotated regions are cut out of slides.

    Args:
        rng: its state decides everything.
        width: of the box in micrometres.
        height: of the box in micrometres.
    """
    area = width * height / 1e6
    side = float(np.sqrt(width * height))
    shapes = []

    def anywhere() -> tuple[float, float]:
        return float(rng.uniform(0, width)), float(rng.uniform(0, height))

    for _ in range(1 + int(rng.poisson(0.9))):
        radius = side * float(rng.uniform(0.14, 0.36))
        shapes.append(random_shape(rng, "tumour", *anywhere(), radius, 0.16))
        if rng.random() < 0.3:
            inner = radius * float(rng.uniform(0.25, 0.4))
            last = shapes[-1]
            shapes.append(random_shape(rng, "necrosis", last.x, last.y, inner, 0.2))
    for kind, (density, radii, rough) in _FURNITURE.items():
        for _ in range(int(rng.poisson(density * area))):
            radius = float(rng.uniform(*radii))
            shapes.append(random_shape(rng, kind, *anywhere(), radius, rough))
    if rng.random() < 0.4:
        # The edge of the tissue: glass from some distance in one direction.
        t = float(rng.uniform(0, TAU))
        far = side * float(rng.uniform(2.15, 2.5))
        x, y = width / 2 + far * np.cos(t), height / 2 + far * np.sin(t)
        shapes.append(random_shape(rng, "glass", float(x), float(y), side * 2.0, 0.015))
    return Layout(width, height, tuple(shapes), float(rng.uniform(0, TAU)))
