"""Is there enough hematoxylin and eosin to fit? What is refused here would come out as garbage."""

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.errors import TissueError
from paddleseg_sclc.stain.histogram import Colors
from paddleseg_sclc.stain.optical_density import stain_angles

# Tissue has a channel < 220 and a mean optical density above this, which noise on glass has not.
_MIN_OD = 0.1
_MIN_SHARE = 0.005
_MIN_PIXELS = 100
# Ink of pens is left out where it is more than this share of what is coloured; where it is more
# than half, the fit is refused.
_SOME_INK, _MUCH_INK = 0.02, 0.5
_MIN_SPREAD = 0.1
# Two stains spread the colours in a plane: so many times as wide in it as across it.
_MIN_PLANE = 1.5
_MIN_ANGLE = 5.0
# Bounds of the optical density in red, to that in blue and to that in green. Published
# hematoxylins have 1 to 2.5 and 0.5 to 1, eosins 0.3 to 1 and 0.05 to 0.5.
_HEMATOXYLIN = {"blue": (0.8, 4.0), "green": (0.3, 1.4)}
_EOSIN = {"blue": (0.1, 1.15), "green": (0.0, 0.8)}


def find_tissue(
    colors: Colors, od: NDArray[np.float64], where: str, exclude_ink: bool = True
) -> NDArray[np.bool_]:
    """Return which colours are stained tissue.

    Args:
        colors: all colours that occur.
        od: their optical densities, (3, n).
        where: what to call the image in a message.
        exclude_ink: leave the colours of pens out.

    Returns:
        bool, (n,).

    Raises:
        TissueError: there is too little of it, or it is one colour, grey, or mostly ink.
    """
    tissue = colors.stained & (od.mean(axis=0) > _MIN_OD)
    weights = colors.weights
    count, share = weights[tissue].sum(), weights[tissue].sum() / weights.sum()
    if share < _MIN_SHARE or count < _MIN_PIXELS:
        raise TissueError(
            f"{where}: stained tissue must be at least {_MIN_SHARE:.1%} and {_MIN_PIXELS} of the "
            f"pixels to fit stains, got {share:.2%} ({count:.0f} of {weights.sum():.0f} looked "
            "at); use the fit of its slide"
        )
    if exclude_ink:
        tissue = _without_ink(od, weights, tissue, where)
    inside, counts = od[:, tissue], weights[tissue]
    mean = inside @ counts / counts.sum()
    spread = float(np.sqrt(((inside - mean[:, None]) ** 2 @ counts).sum() / counts.sum()))
    if spread < _MIN_SPREAD:
        raise TissueError(
            f"{where}: the tissue's optical density must vary by at least {_MIN_SPREAD} to fit "
            f"stains, got {spread:.3f}: it is one flat colour; use the fit of its slide"
        )
    grey = float(weights[tissue][_is_grey(inside, 0.1)].sum() / counts.sum())
    if grey > 0.5:
        raise TissueError(
            f"{where}: tissue must be coloured, got {grey:.0%} grey; give an H&E image in RGB"
        )
    return tissue


def check_stains(
    stain_matrix: NDArray[np.float64],
    od: NDArray[np.float64],
    weights: NDArray[np.float64],
    where: str,
) -> None:
    """Check that two vectors are those of hematoxylin and eosin.

    Args:
        stain_matrix: (2, 3), hematoxylin first.
        od: the tissue's optical densities, (3, n).
        weights: how often each occurs, (n,).
        where: what to call the image in a message.

    Raises:
        TissueError: they are not: the image shows one stain, other stains, or only noise.
    """
    angle = float(stain_angles(stain_matrix[:1], stain_matrix[1:])[0])
    remedy = "use the fit of a region or slide that shows both stains in focus"
    if angle < _MIN_ANGLE:
        raise TissueError(
            f"{where}: the two stains must be at least {_MIN_ANGLE:g} degrees apart, got "
            f"{angle:.1f}; {remedy}"
        )
    for name, (red, green, blue), bounds in zip(
        ("hematoxylin", "eosin"), stain_matrix, (_HEMATOXYLIN, _EOSIN), strict=True
    ):
        for channel, other in (("blue", blue), ("green", green)):
            ratio, (least, most) = red / max(other, 1e-3), bounds[channel]
            if not least <= ratio <= most:
                raise TissueError(
                    f"{where}: red to {channel} optical density of {name} must be from {least} "
                    f"to {most}, got {ratio:.2f}; {remedy}"
                )
    extents = np.sqrt(np.linalg.eigvalsh((od * weights) @ od.T / weights.sum())[::-1])
    plane = float(extents[1] / max(extents[2], 1e-9))
    if plane < _MIN_PLANE:
        raise TissueError(
            f"{where}: the colours must spread in the plane of two stains at least {_MIN_PLANE:g} "
            f"times as far as across it, got {plane:.1f} times; {remedy}"
        )


def _without_ink(
    od: NDArray[np.float64], weights: NDArray[np.float64], tissue: NDArray[np.bool_], where: str
) -> NDArray[np.bool_]:
    total = weights[tissue].sum()
    share = float(weights[tissue & _is_ink(od, 1.0)].sum() / total)
    if share < _SOME_INK:
        return tissue
    # Where there is ink, its fringe has to go too: the bounds are drawn tighter.
    ink = tissue & _is_ink(od, 0.85)
    share = float(weights[ink].sum() / total)
    if share > _MUCH_INK:
        raise TissueError(
            f"{where}: most of what is coloured must have colours of H&E, got {share:.0%} that "
            "have not (ink, grey, another stain); leave it out, or use the fit of its slide"
        )
    return tissue & ~ink


def _is_ink(od: NDArray[np.float64], reach: float) -> NDArray[np.bool_]:
    """Say which optical densities no mixture of H&E has: blue, green, yellow, red, black, grey.

    `reach` below 1 draws the bounds tighter around H&E.
    """
    red, green, blue = np.maximum(od, 1e-3)
    blue_or_green = red > 1.3 * reach * green
    yellow = blue > 1.15 * reach * green
    navy = (red > 0.8 * reach * green) & (blue * reach < 0.2 * green)
    bright_red = (red * reach < 0.2 * blue) & (blue > 0.8 * reach * green)
    return blue_or_green | yellow | navy | bright_red | _is_grey(od, 0.1 / reach**2)


def _is_grey(od: NDArray[np.float64], limit: float) -> NDArray[np.bool_]:
    return od.max(axis=0) - od.min(axis=0) < limit * od.sum(axis=0)
