"""Sparse non-negative dictionary learning with two atoms, solved exactly where it can be.

The problem is Vahadane's (2016, eq. 4): with v the optical density of a pixel,
`min over W, h of  mean(1/2 |v - h W|^2 + sparsity * |h|_1)`, h >= 0, W >= 0, rows of W of
norm <= 1. For two atoms the codes h have a closed form, and W given h is a small quadratic
problem that block coordinate descent solves, so no solver such as SPAMS is needed.
"""

import numpy as np
from numpy.typing import NDArray

# Hematoxylin and eosin of Ruifrok and Johnston (2001), unit rows. Every fit starts here, which
# makes it deterministic; other starts were seen to end in the same place.
RUIFROK = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
RUIFROK /= np.linalg.norm(RUIFROK, axis=1, keepdims=True)

_TOLERANCE = 1e-7
_MAX_ROUNDS = 1000
# What rounding may add to a loss, which is about 1.
_NOISE = 1e-14
_DEPTH = 4


def sparse_codes(
    od: NDArray[np.float64], stain_matrix: NDArray[np.float64], sparsity: float
) -> NDArray[np.float64]:
    """Return the codes h >= 0 that minimise `1/2 |v - h W|^2 + sparsity * |h|_1`.

    Args:
        od: optical densities, (3, n).
        stain_matrix: W, (2, 3), rows of norm 1.
        sparsity: weight of the sum of the codes, >= 0.

    Returns:
        float64, (2, n).
    """
    alone = stain_matrix @ od
    alone -= sparsity
    cosine = float(stain_matrix[0] @ stain_matrix[1])
    scale = 1 / max(1 - cosine * cosine, 1e-12)
    first = (alone[0] - cosine * alone[1]) * scale
    second = (alone[1] - cosine * alone[0]) * scale
    # Where the free solution makes one code negative, that one is 0 and the other stands alone.
    np.maximum(alone, 0, out=alone)
    codes = np.empty_like(alone)
    codes[0] = np.where(second < 0, alone[0], np.maximum(first, 0))
    codes[1] = np.where(first < 0, alone[1], np.maximum(second, 0))
    return codes


def learn_dictionary(
    od: NDArray[np.float64],
    weights: NDArray[np.float64],
    sparsity: float,
    start: NDArray[np.float64] = RUIFROK,
) -> NDArray[np.float64]:
    """Return the dictionary W that the alternation of codes and atoms converges to.

    Args:
        od: optical densities, (3, n); not changed.
        weights: how often each column occurs, (n,).
        sparsity: lambda of the problem above.
        start: the first W, (2, 3).

    Returns:
        float64, (2, 3), the atoms in the order of `start`.
    """
    weights = weights / weights.sum()
    weighted = od * weights
    current = plain = start
    least, history = np.inf, _History()
    for _ in range(_MAX_ROUNDS):
        codes = sparse_codes(od, current, sparsity)
        often = codes * weights
        gram, target = often @ codes.T, codes @ weighted.T
        loss = np.vdot(current, gram @ current / 2 - target) + sparsity * often.sum()
        if loss > least + _NOISE:  # the extrapolation went astray
            current = plain
            continue
        least = loss
        plain = _update_atoms(current, gram, target)
        step = plain - current
        if np.abs(step).max() < _TOLERANCE:
            return plain
        current = history.extrapolate(plain, step)
    return current


def _update_atoms(
    atoms: NDArray[np.float64], gram: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Minimise `tr(W' G W) / 2 - tr(W' T)` over non-negative rows of norm <= 1, row by row."""
    atoms = atoms.copy()
    for _ in range(3):
        for row in range(2):
            if gram[row, row] < 1e-12:  # no pixel uses this atom: it stays where it is
                continue
            atom = np.maximum(atoms[row] + (target[row] - gram[row] @ atoms) / gram[row, row], 0)
            atoms[row] = atom / max(float(np.sqrt(atom @ atom)), 1.0)
    return atoms


class _History:
    """Anderson acceleration of the alternation, which alone takes five times the rounds.

    It only chooses where the next round starts: the end is a fixed point of the alternation. A
    start that is worse than the last one is not taken, so that the loss falls throughout.
    """

    def __init__(self) -> None:
        self.results: list[NDArray[np.float64]] = []
        self.steps: list[NDArray[np.float64]] = []

    def extrapolate(
        self, result: NDArray[np.float64], step: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the next start from the last rounds' results and steps; plain if it misleads."""
        self.results = [*self.results[-_DEPTH:], result.ravel()]
        self.steps = [*self.steps[-_DEPTH:], step.ravel()]
        if len(self.steps) < 3:
            return result
        changes = np.diff(self.steps, axis=0).T
        mix = np.linalg.lstsq(changes, step.ravel(), rcond=1e-6)[0]
        mixed = (result.ravel() - np.diff(self.results, axis=0).T @ mix).reshape(2, 3)
        mixed = np.maximum(mixed, 0)
        norms = np.linalg.norm(mixed, axis=1, keepdims=True)
        if norms.min() < 0.5 or np.abs(mixed / norms - result).max() > 0.2:
            return result
        return mixed / norms
