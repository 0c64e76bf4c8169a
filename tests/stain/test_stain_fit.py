import numpy as np
import pytest

from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.stain import StainFit

GOOD = {
    "stain_matrix": [[0.6, 0.8, 0.0], [0.0, 0.8, 0.6]],
    "max_concentrations": [2.0, 1.0],
    "background": [255, 254, 253],
}


def test_a_fit_comes_back_from_its_figures():
    fit = StainFit.from_dict(GOOD)
    assert fit.to_dict() == GOOD
    assert fit == StainFit.from_dict(fit.to_dict())
    assert hash(fit) == hash(StainFit.from_dict(GOOD))


def test_a_fit_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        StainFit.from_dict(GOOD).stain_matrix[0, 0] = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stain_matrix": [[0.6, 0.8, 0.0], [0.6, 0.8, 0.0]]}, "two different stains"),
        ({"stain_matrix": [[6, 8, 0.0], [0.0, 0.8, 0.6]]}, "rows of norm 1"),
        ({"stain_matrix": [[-0.6, 0.8, 0.0], [0.0, 0.8, 0.6]]}, "no entry below 0"),
        ({"stain_matrix": [[0.6, 0.8], [0.0, 0.8]]}, "shape"),
        ({"stain_matrix": [[0.6, 0.8, float("nan")], [0, 0.8, 0.6]]}, "finite"),
        ({"stain_matrix": [[0.6, 0.8, "0"], [0, 0.8, 0.6]]}, "finite numbers"),
        ({"stain_matrix": None}, "finite"),
        ({"stain_matrix": [[[0.6]], 3]}, "finite"),
        ({"max_concentrations": [0, 1]}, "above 0"),
        ({"max_concentrations": [1, -1]}, "above 0"),
        ({"max_concentrations": [1, 10**400]}, "max_concentrations"),
        ({"max_concentrations": [True, 1]}, "finite numbers"),
        ({"background": [0, 255, 255]}, "from 1 to 255"),
        ({"background": [255, 255, 255.5]}, "whole"),
        ({"background": 255}, "shape"),
        ({"extra": 1}, "keys"),
    ],
)
def test_wrong_figures_are_refused_with_where_they_stand(change, message):
    with pytest.raises(SclcError, match=rf"^fit\.json: .*{message}") as caught:
        StainFit.from_dict({**GOOD, **change}, "fit.json")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("figures", [None, [], "x", 3, {}])
def test_something_else_is_refused(figures):
    with pytest.raises(SclcError, match="stain fit: must"):
        StainFit.from_dict(figures)


def test_the_median_is_taken_element_by_element():
    others = [
        {**GOOD, "max_concentrations": [4, 3], "background": [250, 250, 250]},
        {**GOOD, "max_concentrations": [3, 9], "background": [251, 240, 200]},
    ]
    fit = StainFit.median([StainFit.from_dict(figures) for figures in (GOOD, *others)])
    assert fit.max_concentrations.tolist() == [3, 3]
    assert fit.background.tolist() == [251, 250, 250]
    np.testing.assert_allclose(fit.stain_matrix, GOOD["stain_matrix"])
