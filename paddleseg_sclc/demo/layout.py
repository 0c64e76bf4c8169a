"""What lies where in a scene: organic shapes in micrometres, placed at random."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
TAU = 2 * np.pi
KINDS = (
    "tumour",
    "necrosis",
    "lymphoid",
    "cartilage",
    "gland",
    "bronchus",
    "vessel",
    "lung",
    "tissue",
    "glass",
)


@dataclass(frozen=True)
class Shape:
    """A smooth closed outline around a centre, in micrometres.

    The distance of the outline from the centre in direction t, in the frame of the shape, is
    `radius * (1 + sum_k a_k cos(k t + p_k))`, k from 2; that frame is turned by `angle`, its
    x axis stretched by `stretch` and its y axis by 1 / stretch.

    Attributes:
        kind: one of `KINDS`.
        x: of the centre.
        y: of the centre.
        radius: mean distance of the outline from the centre.
        stretch: of the first axis.
        angle: of the first axis, radians.
        waves: amplitude a_k and phase p_k of each wave.
        tint: factor on the hematoxylin of what lies inside.
    """

    kind: str
    x: float
    y: float
    radius: float
    stretch: float = 1.0
    angle: float = 0.0
    waves: tuple[tuple[float, float], ...] = ()
    tint: float = 1.0

    @property
    def reach(self) -> float:
        """No point of the outline is farther from the centre than this."""
        swell = 1 + sum(amplitude for amplitude, _ in self.waves)
        return self.radius * swell * max(self.stretch, 1 / self.stretch)

    def depth(self, x: NDArray, y: NDArray) -> NDArray:
        """How far inside the outline points are, about in micrometres: negative outside.

        Args:
            x: positions, broadcast against `y`.
            y: positions.
        """
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        dx, dy = x - self.x, y - self.y
        u = (dx * cos + dy * sin) / self.stretch
        v = (dy * cos - dx * sin) * self.stretch
        distance = np.sqrt(u * u + v * v) + 1e-9
        # cos(k t + p) is the real part of exp(ip) z^k, z = exp(it): a polynomial, by Horner's rule.
        z = (u + 1j * v) / distance
        swell = np.zeros_like(z)
        for amplitude, phase in reversed(self.waves):
            swell = (swell + amplitude * np.exp(1j * phase)) * z
        return self.radius * (1 + (swell * z).real) - distance

    def outline(self, points: int) -> NDArray:
        """Positions (points, 2) around the outline, in order."""
        t = np.linspace(0, TAU, points, endpoint=False)
        swell = sum(a * np.cos(k * t + p) for k, (a, p) in enumerate(self.waves, start=2))
        distance = self.radius * (1 + swell)
        u, v = distance * np.cos(t) * self.stretch, distance * np.sin(t) / self.stretch
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.stack([self.x + u * cos - v * sin, self.y + u * sin + v * cos], axis=1)


@dataclass(frozen=True)
class Layout:
    """A scene's shapes and what holds for all of its tissue.

    Attributes:
        shapes: in no order: the kind decides which lies above.
        direction: of the fibres, radians.
        shrinkage: how far tumour has drawn back from itself and its stroma in fixation, in
            micrometres: the width of the clefts.
        hyperchromasia: factor on the hematoxylin of tumour nuclei.
    """

    shapes: tuple[Shape, ...] = ()
    direction: float = 0.0
    shrinkage: float = 2.0
    hyperchromasia: float = 1.0

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
    stretch, angle = float(rng.uniform(1, 1 + 3 * rough)), float(rng.uniform(0, TAU))
    return Shape(kind, x, y, radius, stretch, angle, waves, float(rng.uniform(0.78, 1.22)))


# kind: (shapes in a box of one square millimetre, least and greatest radius, roughness). Much of
# it is as dark as tumour, so that colour alone does not tell tumour from the rest.
_FURNITURE = {
    "lymphoid": (4.4, (60.0, 250.0), 0.14),
    "cartilage": (0.7, (110.0, 230.0), 0.1),
    "gland": (1.2, (70.0, 190.0), 0.15),
    "bronchus": (0.5, (70.0, 170.0), 0.22),
    "vessel": (1.6, (22.0, 75.0), 0.1),
    "lung": (0.4, (250.0, 500.0), 0.15),
}


def furnish(rng: Rng, width: float, height: float) -> list[Shape]:
    """Everything that is neither tumour nor glass, in clusters, as around the bronchi of a lung.

    The larger the box, the larger and the sparser the shapes: a section shows a few large
    structures, not ever more small ones.
    """
    area = width * height / 1e6
    swell = max(area, 1.0) ** 0.12
    centres = rng.uniform(0, 1, size=(1 + int(area**0.6), 2)) * [width, height]
    spread = 0.45 * np.sqrt(width * height / len(centres))
    shapes = []
    for kind, (share, radii, rough) in _FURNITURE.items():
        for _ in range(int(rng.poisson(share * area**0.75))):
            x, y = centres[rng.integers(len(centres))] + rng.normal(size=2) * spread
            radius = float(rng.uniform(*radii)) * swell
            shapes.append(random_shape(rng, kind, float(x), float(y), radius, rough))
    return shapes


def random_layout(rng: Rng, width: float, height: float) -> Layout:
    """A box of tissue around tumour, as annotated regions are cut out of slides.

    Args:
        rng: its state decides everything.
        width: of the box in micrometres.
        height: of the box in micrometres.
    """
    side = float(np.sqrt(width * height))
    shapes = []
    for _ in range(1 + int(rng.poisson(0.9))):
        x, y = float(rng.uniform(0, width)), float(rng.uniform(0, height))
        shapes += random_tumour(rng, x, y, side * float(rng.uniform(0.17, 0.4)))
    shapes += furnish(rng, width, height)
    if rng.random() < 0.4:
        shapes.append(_glass_edge(rng, width, height))
    return Layout(tuple(shapes), *tissue_habits(rng))


def random_tumour(rng: Rng, x: float, y: float, radius: float) -> list[Shape]:
    """A tumour, about one in three with a necrosis inside."""
    shapes = [random_shape(rng, "tumour", x, y, radius, 0.16)]
    if rng.random() < 0.3:
        inner = radius * float(rng.uniform(0.25, 0.4))
        shapes.append(random_shape(rng, "necrosis", x, y, inner, 0.2))
    return shapes


def tissue_habits(rng: Rng) -> tuple[float, float, float]:
    """Direction of the fibres, shrinkage and hyperchromasia of a Layout."""
    return float(rng.uniform(0, TAU)), float(rng.uniform(-1, 4.5)), float(rng.uniform(0.85, 1.15))


def _glass_edge(rng: Rng, width: float, height: float) -> Shape:
    """The edge of the tissue on one side of the box: glass is the inside of a large shape."""
    side, t = float(np.sqrt(width * height)), float(rng.uniform(0, TAU))
    far = side * float(rng.uniform(2.15, 2.5))
    x, y = width / 2 + far * np.cos(t), height / 2 + far * np.sin(t)
    return random_shape(rng, "glass", float(x), float(y), side * 2.0, 0.015)
