"""How well the outline of a prediction follows that of the label.

The outline is the set of tumour pixels that touch (by an edge) a pixel that is not tumour. The
frame of a patch is no outline, since the tissue goes on beyond it; neither is the edge of an
ignored area. (MedPy and others count the frame; `include_frame` does so, too.)

| outline in | boundary F-score | 95 % Hausdorff distance |
|---|---|---|
| neither label nor prediction | undefined (NaN) | undefined (NaN) |
| one of them only | 0 | the patch's diagonal, the greatest distance there is |

The second row's distance is a convention, as in the BraTS challenge: leaving such patches out of
the mean would reward a network that finds nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

# Of the patch's diagonal: how far an outline may be off and still count as met; as in
# Csurka et al., What is a good evaluation measure for semantic segmentation?, BMVC 2013.
TOLERANCE = 0.0075


@dataclass(frozen=True)
class BoundaryMatch:
    """The outlines of one prediction and its label compared.

    Attributes:
        pred_hits: pixels of the predicted outline within the tolerance of the label's.
        pred_total: pixels of the predicted outline.
        label_hits: pixels of the label's outline within the tolerance of the predicted one.
        label_total: pixels of the label's outline.
        hd95: 95 % Hausdorff distance in the unit of the spacing; NaN where neither has an outline.
    """

    pred_hits: int
    pred_total: int
    label_hits: int
    label_total: int
    hd95: float

    @property
    def one_sided(self) -> bool:
        """One of the two has no outline, so that `hd95` is the diagonal."""
        return (self.pred_total == 0) != (self.label_total == 0)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(4,): pred_hits, pred_total, label_hits, label_total; they add up over images."""
        return np.array([self.pred_hits, self.pred_total, self.label_hits, self.label_total])


def outline(
    mask: NDArray[np.bool_], valid: NDArray[np.bool_] | None = None, include_frame: bool = False
) -> NDArray[np.bool_]:
    """The pixels of a mask that touch, by an edge, a pixel outside it.

    Args:
        mask: (H, W) bool; not changed.
        valid: (H, W) bool, False where a pixel is ignored; None for everywhere.
        include_frame: what lies beyond the picture counts as outside the mask.
    """
    everywhere = np.ones(mask.shape, bool) if valid is None else valid
    inside = np.pad(mask & everywhere, 1)
    outside = np.pad(~mask & everywhere, 1, constant_values=include_frame)
    touches = outside[:-2, 1:-1] | outside[2:, 1:-1] | outside[1:-1, :-2] | outside[1:-1, 2:]
    return inside[1:-1, 1:-1] & touches


def match_boundaries(
    pred: NDArray[np.bool_],
    label: NDArray[np.bool_],
    spacing: tuple[float, float] = (1.0, 1.0),
    tolerance: float | None = None,
    valid: NDArray[np.bool_] | None = None,
    include_frame: bool = False,
) -> BoundaryMatch:
    """Compare two outlines.

    Args:
        pred: (H, W) bool, predicted tumour; not changed.
        label: (H, W) bool, labelled tumour; not changed.
        spacing: size of a pixel down and across, in micrometres; (1, 1) for pixels.
        tolerance: in the unit of `spacing`; None for 0.75 % of the diagonal.
        valid: (H, W) bool, False where a pixel is ignored; None for everywhere.
        include_frame: see `outline`.

    Raises:
        ValueError: the shapes differ, or a size is not positive.
    """
    if pred.shape != label.shape or pred.ndim != 2:
        raise ValueError(
            f"match_boundaries: pred and label must be of one shape (H, W), got {pred.shape} and "
            f"{label.shape}"
        )
    if min(spacing) <= 0:
        raise ValueError(f"match_boundaries: spacing must be positive, got {spacing}")
    diagonal = float(np.hypot(*(np.array(pred.shape) * spacing)))
    reach = TOLERANCE * diagonal if tolerance is None else tolerance
    points = [
        np.argwhere(outline(mask, valid, include_frame)) * np.array(spacing)
        for mask in (pred, label)
    ]
    sizes = [len(p) for p in points]
    if not all(sizes):
        distance = diagonal if any(sizes) else float("nan")
        return BoundaryMatch(0, sizes[0], 0, sizes[1], distance)
    there, back = _nearest(points[0], points[1]), _nearest(points[1], points[0])
    hd95 = float(np.percentile(np.concatenate([there, back]), 95))
    # A hair more than the tolerance: distances are sums of squares in floating point.
    hits = [int((d <= reach * (1 + 1e-12)).sum()) for d in (there, back)]
    return BoundaryMatch(hits[0], sizes[0], hits[1], sizes[1], hd95)


def _nearest(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from each point to the nearest of the others."""
    # Points of a raster are spread evenly: balancing the tree costs more than it saves.
    tree = cKDTree(others, balanced_tree=False, compact_nodes=False)
    return tree.query(points)[0]


def boundary_f(counts: ArrayLike) -> NDArray[np.float64]:
    """Boundary F-score: harmonic mean of the shares of both outlines that meet the other.

    Args:
        counts: (..., 4) as in `BoundaryMatch.counts`, of one image or summed over images.

    Returns:
        (...) in [0, 1]; NaN where neither has an outline, 0 where one has none.
    """
    values = np.asarray(counts, np.float64)
    pred_hits, pred_total, label_hits, label_total = np.moveaxis(values, -1, 0)
    precision = pred_hits / np.maximum(pred_total, 1)
    recall = label_hits / np.maximum(label_total, 1)
    score = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    return np.where((pred_total == 0) & (label_total == 0), np.nan, score)
