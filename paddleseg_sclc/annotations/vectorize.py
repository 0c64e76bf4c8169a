"""From masks to annotations: outlines that draw the same mask again.

Under the `centre` rule an outline runs along the edges of the mask's pixels, scaled to level 0, and
holes stay holes. Under `asap` it has to go where ASAP's corner test finds the same pixels:

- pixel (x, y) stands for the corner (x, y), so edges run half a level-0 pixel to the upper left;
- a corner counts for a vertical edge of length L from a distance of 1 / L on, so an edge one
  level-0 pixel long runs a whole pixel to the left;
- but the outline's right end stays at half a pixel, for corners must lie strictly inside the
  bounding box, which there keeps the next corner out;
- holes, which ASAP's files do not know, are joined to the outline by a horizontal cut.

So no pixel is lost under `asap` either, thin shapes and nested holes included, where the mask's
downsample is 1 or more (below 1 several pixels stand for one corner).
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from skimage.measure import approximate_polygon

from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.keyhole import join_holes
from paddleseg_sclc.annotations.model import Annotation, AnnotationGroup, AnnotationSet, signed_area
from paddleseg_sclc.annotations.scanline import Rule
from paddleseg_sclc.annotations.trace import Region, trace

# Of the groups, in turn; dark enough to be seen on H&E.
COLORS = ("#1B9E77", "#D95F02", "#7570B3", "#E7298A", "#66A61E", "#E6AB02", "#A6761D", "#666666")


def vectorize(
    mask: NDArray[np.uint8],
    grid: Grid,
    groups: Mapping[int, str],
    rule: Rule = "centre",
    min_pixels: int = 1,
    tolerance: float = 0.0,
) -> AnnotationSet:
    """Outline the regions of a mask.

    Args:
        mask: (grid.height, grid.width) uint8; not changed.
        grid: where its pixels lie on level 0.
        groups: value -> name of the group that its regions get. Other values are background.
        rule: the rule that is to draw the mask again.
        min_pixels: smaller regions are left out and smaller holes closed.
        tolerance: how far, in level-0 pixels, an outline may leave its course to save points. Above
            0 the mask is not the same again.

    Returns:
        One annotation a region, of the kind Polygon: `<group> 0`, `<group> 1`, ...

    Raises:
        ValueError: the shapes differ, or a value is not from 1 to 255.
    """
    if mask.shape != (grid.height, grid.width):
        raise ValueError(f"vectorize: mask {mask.shape} must fit {grid.height} x {grid.width}")
    if not all(0 < value < 256 for value in groups):
        raise ValueError(f"vectorize: values must be from 1 to 255, got {sorted(groups)}")
    annotations = []
    listed = dict.fromkeys(groups.values())
    for number, name in enumerate(listed):
        values = [value for value, group in groups.items() if group == name]
        color = COLORS[number % len(COLORS)]
        regions = [r for r in trace(np.isin(mask, values)) if r.pixels >= min_pixels]
        for index, region in enumerate(regions):
            outline, *holes = _placed(_without_specks(region, min_pixels), grid, rule)
            rings = [_simplified(ring, tolerance) for ring in (outline, *holes)]
            annotations.append(
                Annotation(
                    f"{name} {index}", rings[0], holes=tuple(rings[1:]), group=name, color=color
                )
            )
    return AnnotationSet(
        tuple(annotations),
        tuple(
            AnnotationGroup(name, color=COLORS[number % len(COLORS)])
            for number, name in enumerate(listed)
        ),
    )


def _without_specks(region: Region, min_pixels: int) -> Region:
    if min_pixels <= 1:
        return region
    holes = tuple(hole for hole in region.holes if -signed_area(hole) >= min_pixels)
    return Region(region.outline, holes, region.pixels)


def _placed(region: Region, grid: Grid, rule: Rule) -> list[NDArray[np.float64]]:
    """Outline and holes in level-0 pixels."""
    if rule == "centre":
        origin = np.array([grid.x_l0, grid.y_l0])
        scale = np.array([grid.downsample_x, grid.downsample_y])
        return [origin + ring * scale for ring in (region.outline, *region.holes)]
    return [_around_corners(join_holes(region.outline, region.holes), grid)]


def _around_corners(ring: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """Place a chain of horizontal and vertical edges so that ASAP's test finds its pixels."""
    x_index, y_index = ring.astype(np.int64).T
    wider = replace(grid, width=grid.width + 1, height=grid.height + 1)
    x, y = wider.x_corners()[x_index], wider.y_corners()[y_index]
    length = np.abs(np.roll(y, -1) - y)  # of the edge that starts at each point, if vertical
    short = np.flatnonzero((length == 1) & (x < x.max()))
    shift = np.full(len(ring), 0.5)
    shift[short] = shift[(short + 1) % len(ring)] = 1.0
    return np.stack([x - shift, y - 0.5], axis=1)


def _simplified(ring: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    if tolerance <= 0 or len(ring) < 5:
        return ring
    simple = approximate_polygon(np.concatenate([ring, ring[:1]]), tolerance)[:-1]
    return simple if len(simple) >= 3 else ring
