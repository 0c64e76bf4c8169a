"""The two rules, written as plainly as they can be: what `rasterize` is held to.

Nothing here is shared with the package. Each pixel is tested against each edge.
"""

import math

import numpy as np

F = np.float32


def asap_pixel(points, x, y):
    """Whether ASAP fills the level-0 corner (x, y): scalars, one edge at a time."""
    points = [(F(px), F(py)) for px, py in points]
    x, y = F(x), F(y)
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    if not (min(xs) < x < max(xs) and min(ys) < y < max(ys)):
        return False
    winding = 0
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
        cross = (bx - ax) * (ay - y) - (x - ax) * (ay - by)
        assert isinstance(cross, F)
        if ay <= y < by and math.trunc(float(cross)) > 0:
            winding += 1
        if by <= y < ay and math.trunc(float(cross)) < 0:
            winding -= 1
    return winding != 0


def asap_mask(points, xs, ys):
    """(len(ys), len(xs)) bool: `asap_pixel` for all corners, one edge at a time."""
    points = np.asarray(points, np.float64).astype(F)
    x, y = np.asarray(xs, F)[None, :], np.asarray(ys, F)[:, None]
    winding = np.zeros((len(ys), len(xs)), int)
    if not len(points):
        return winding != 0
    for (ax, ay), (bx, by) in zip(points, np.roll(points, -1, axis=0), strict=True):
        cross = (bx - ax) * (ay - y) - (x - ax) * (ay - by)
        assert cross.dtype == F
        cross = np.trunc(cross)
        winding += (ay <= y) & (y < by) & (cross > 0)
        winding -= (by <= y) & (y < ay) & (cross < 0)
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return (winding != 0) & (x0 < x) & (x < x1) & (y0 < y) & (y < y1)


def centre_pixel(points, x, y, winding_rule="nonzero"):
    """Whether the centre (x, y) lies within: scalars, one edge at a time."""
    winding = 0
    for (ax, ay), (bx, by) in zip(points, [*points[1:], points[0]], strict=True):
        (upper_x, upper_y), (lower_x, lower_y) = sorted([(ax, ay), (bx, by)], key=lambda p: p[1])
        if not upper_y <= y < lower_y:
            continue
        crossing = upper_x + (y - upper_y) * (lower_x - upper_x) / (lower_y - upper_y)
        crossing = min(max(crossing, min(ax, bx)), max(ax, bx))
        if crossing <= x:
            winding += 1 if by > ay else -1
    return bool(winding % 2) if winding_rule == "evenodd" else winding != 0


def centre_mask(points, xs, ys, winding_rule="nonzero"):
    """(len(ys), len(xs)) bool: `centre_pixel` for all centres, one edge at a time."""
    points = np.asarray(points, np.float64)
    x, y = np.asarray(xs)[None, :], np.asarray(ys)[:, None]
    winding = np.zeros((len(ys), len(xs)), int)
    for a, b in zip(points, np.roll(points, -1, axis=0), strict=True):
        (ax, ay), (bx, by) = (a, b) if a[1] < b[1] else (b, a)
        if ay == by:
            continue
        crossing = ax + (y - ay) * (bx - ax) / (by - ay)
        crossing = np.clip(crossing, min(ax, bx), max(ax, bx))
        counted = (ay <= y) & (y < by) & (crossing <= x)
        winding += counted if b[1] > a[1] else -counted.astype(int)
    return winding % 2 == 1 if winding_rule == "evenodd" else winding != 0


def random_polygon(rng, side=40):
    """Points around a field of `side` pixels: crossing themselves, both ways round, on and off
    its border, tiny, huge, with whole numbers, repeated points and slivers."""
    n = int(rng.integers(1, 16))
    kind = rng.integers(9)
    if kind == 0:  # whole numbers: corners lie on edges and points
        points = rng.integers(-4, side + 5, (n, 2)).astype(float)
    elif kind == 1:  # halves and quarters, rectilinear
        points = np.repeat(rng.integers(-8, 4 * side + 8, (n, 2)) / 4, 2, axis=0)
        points[1::2, 0] = np.roll(points[::2, 0], -1)
    elif kind == 2:  # tiny
        points = rng.uniform(0, side, 2) + rng.normal(0, rng.choice([1e-3, 0.1, 0.7]), (n, 2))
    elif kind == 3:  # huge, the field a part of it
        points = rng.normal(side / 2, rng.choice([1e3, 1e5]), (n, 2))
    elif kind == 4:  # star around a centre, maybe partly outside, like an outline
        angle = np.sort(rng.uniform(0, 2 * np.pi, n))
        radius = rng.uniform(0.3, 1, n) * rng.uniform(1, side)
        points = rng.uniform(-5, side + 5, 2) + np.stack(
            [radius * np.cos(angle), radius * np.sin(angle)], axis=1
        )
    elif kind == 5:  # sliver
        points = (
            rng.uniform(-3, side + 3, 2)
            + np.outer(rng.normal(0, side, n), rng.normal(size=2))
            + rng.normal(0, 0.02, (n, 2))
        )
    elif kind == 6:  # nearly horizontal edges
        points = np.stack(
            [rng.uniform(-3, side + 3, n), rng.integers(0, side) + rng.normal(0, 1e-4, n)], axis=1
        )
    else:  # anything, crossing itself
        points = rng.uniform(-10, side + 10, (n, 2))
    if rng.random() < 0.3:
        points = points[::-1]
    if rng.random() < 0.2:
        points = np.concatenate([points, points[:1]])  # closed explicitly
    if rng.random() < 0.1:
        points = np.repeat(points, 2, axis=0)
    if rng.random() < 0.1:
        points[:, int(rng.integers(2))] = np.clip(points[:, 0], 0, side)  # on the border
    return points
