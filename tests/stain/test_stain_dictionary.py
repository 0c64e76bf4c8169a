import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from paddleseg_sclc.stain.dictionary import RUIFROK, learn_dictionary, sparse_codes


def loss(od, matrix, codes, sparsity):
    """`1/2 |v - h W|^2 + sparsity |h|_1` of each pixel."""
    return 0.5 * ((od - matrix.T @ codes) ** 2).sum(0) + sparsity * codes.sum(0)


@given(st.integers(0, 10_000))
def test_codes_are_the_minimum(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.uniform(0, 1, (2, 3)) + 0.05
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    od, sparsity = rng.uniform(0, 2, (3, 1)), rng.uniform(0, 0.5)
    codes = sparse_codes(od, matrix, sparsity)
    assert codes.min() >= 0
    found = minimize(
        lambda h: loss(od[:, 0], matrix, h, sparsity),
        [0.5, 0.5],
        bounds=[(0, None)] * 2,
        tol=1e-12,
    )
    assert loss(od, matrix, codes, sparsity)[0] <= found.fun + 1e-9


def test_codes_of_four_pixels_by_hand():
    matrix = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    od = np.array([[1, 1, 0.05, 0], [2, 0.05, 0.05, 0], [0, 0, 0, 9]])
    np.testing.assert_allclose(sparse_codes(od, matrix, 0.1), [[0.9, 0.9, 0, 0], [1.9, 0, 0, 0]])


def mixture(rng, matrix, count=4000):
    codes = rng.gamma(1.5, 0.5, (2, count)) * (rng.random((2, count)) < 0.6)
    return matrix.T @ codes


def test_pure_stains_are_found(stains):
    rng = np.random.default_rng(0)
    for matrix in stains.values():
        found = learn_dictionary(mixture(rng, matrix), np.ones(4000), 1e-3)
        np.testing.assert_allclose(found, matrix, atol=0.01)


@pytest.mark.parametrize("noise", [0, 0.03])
@pytest.mark.parametrize("sparsity", [1e-3, 0.02, 0.1])
def test_the_alternation_has_settled(sparsity, noise, stains):
    """Ill-conditioned ones too, where unchecked extrapolation wandered until the rounds ran out."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        for matrix in stains.values():
            od = mixture(rng, matrix) + noise * rng.random((3, 4000))
            found = learn_dictionary(od, np.ones(4000), sparsity)
            codes = sparse_codes(od, found, sparsity)
            following = one_round(found, codes @ codes.T, codes @ od.T)
            np.testing.assert_allclose(following, found, atol=2e-7)


@pytest.mark.parametrize("sparsity", [0.02, 0.1, 0.2])
def test_acceleration_ends_where_the_plain_alternation_does(sparsity, stains):
    rng = np.random.default_rng(2)
    od = mixture(rng, stains["small cell"]) + 0.03 * rng.random((3, 4000))
    weights = rng.uniform(0.5, 2, 4000)
    plain = RUIFROK
    for _ in range(3000):
        codes = sparse_codes(od, plain, sparsity)
        plain = one_round(plain, (codes * weights) @ codes.T, (codes * weights) @ od.T)
    np.testing.assert_allclose(learn_dictionary(od, weights, sparsity), plain, atol=3e-6)


def one_round(atoms, gram, target):
    atoms = atoms.copy()
    for row in range(2):
        atom = np.maximum(atoms[row] + (target[row] - gram[row] @ atoms) / gram[row, row], 0)
        atoms[row] = atom / max(np.linalg.norm(atom), 1)
    return atoms


def test_another_start_ends_in_the_same_place(stains):
    od = mixture(np.random.default_rng(3), stains["macenko"])
    first = learn_dictionary(od, np.ones(4000), 0.1)
    start = np.array([[0.9, 0.3, 0.3], [0.1, 0.9, 0.4]])
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    np.testing.assert_allclose(learn_dictionary(od, np.ones(4000), 0.1, start), first, atol=1e-5)


def test_a_stain_that_nothing_has_stays_where_it_was():
    od = np.outer(RUIFROK[0], np.linspace(0.5, 2, 50))
    found = learn_dictionary(od, np.ones(50), 0.1)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0], RUIFROK[0], atol=1e-4)
