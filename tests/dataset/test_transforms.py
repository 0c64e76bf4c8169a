import random
from copy import deepcopy

import numpy as np
import pytest
from paddleseg.cvlibs import manager
from paddleseg.transforms import Compose

from paddleseg_sclc.dataset import transforms
from paddleseg_sclc.dataset.transforms import (
    RandomElastic,
    RandomFlips,
    RandomFreeRotation,
    RandomOffset,
    RandomRightAngle,
    RandomStainJitter,
)

ALL = [
    RandomFlips, RandomRightAngle, RandomFreeRotation, RandomOffset, RandomElastic,
    RandomStainJitter,
]  # fmt: skip
GEOMETRIC = ALL[:-1]
WARPING = ALL[2:5]


def seed(value=0):
    random.seed(value)
    np.random.seed(value)


def sample(height=96, width=96, dtype=np.uint8):
    """An image that is its label: where one goes the other must."""
    y, x = np.mgrid[:height, :width]
    label = ((x - 30) ** 2 + (y - 60) ** 2 < 400).astype(dtype)
    label[10:40, 50:90] = 1
    image = np.repeat(label[:, :, None].astype(np.float32) * 200 + 20, 3, axis=2)
    return {"img": image, "label": label, "gt_fields": ["label"], "trans_info": []}


def always(cls, **options):
    if cls is RandomFlips:
        return cls(horizontal=1, vertical=1)
    return cls(prob=1, **options)


def never(cls):
    return cls(horizontal=0, vertical=0) if cls is RandomFlips else cls(prob=0)


@pytest.mark.parametrize("cls", ALL)
def test_registered_under_its_own_name(cls):
    assert manager.TRANSFORMS[cls.__name__] is cls
    assert getattr(__import__("paddleseg.transforms").transforms, cls.__name__, None) is None


@pytest.mark.parametrize("cls", ALL)
def test_size_and_type_stay_and_something_changes(cls):
    seed(3)
    data = sample()
    before = deepcopy(data)
    after = always(cls)(data)
    assert after is data
    assert after["img"].shape == before["img"].shape and after["img"].dtype == np.float32
    assert after["label"].shape == before["label"].shape and after["label"].dtype == np.uint8
    assert not np.array_equal(after["img"], before["img"])
    assert after["img"].min() >= 0 and after["img"].max() <= 255
    assert after["img"].flags.c_contiguous


@pytest.mark.parametrize("cls", ALL)
def test_probability_0_changes_nothing(cls):
    data = sample()
    before = deepcopy(data)
    never(cls)(data)
    np.testing.assert_array_equal(data["img"], before["img"])
    np.testing.assert_array_equal(data["label"], before["label"])


@pytest.mark.parametrize("cls", GEOMETRIC)
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.int32])
def test_image_and_label_move_alike(cls, dtype):
    seed(5)
    for _ in range(8):
        data = always(cls)(sample(dtype=dtype))
        assert data["label"].dtype == dtype
        assert set(np.unique(data["label"])) <= {0, 1}
        image = (data["img"][:, :, 0] - 20) / 200
        # Interpolated edges of the image lie half a class off at most.
        assert (np.abs(image - data["label"]) <= 0.55).mean() > 0.995
        assert (np.abs(image - data["label"]) <= 0.01).mean() > 0.9


@pytest.mark.parametrize("cls", ALL)
def test_global_seeds_decide(cls):
    results = []
    for value in (1, 1, 2, 3, 4):
        seed(value)
        results.append(always(cls, **({"max_angle": 90} if cls is RandomFreeRotation else {}))(
            sample())["img"])  # fmt: skip
    np.testing.assert_array_equal(results[0], results[1])
    if cls is not RandomFlips:
        assert any(not np.array_equal(results[0], other) for other in results[2:])


@pytest.mark.parametrize("cls", ALL)
def test_as_much_is_drawn_whether_it_happens_or_not(cls):
    """One transform's luck does not change the next one's draws."""
    states = []
    for transform in (always(cls), never(cls)):
        seed(7)
        transform(sample())
        states.append((random.random(), np.random.random()))
    assert states[0] == states[1]


@pytest.mark.parametrize("cls", WARPING)
def test_fill_is_what_was_asked(cls):
    seed(2)
    data = always(cls, border="fill", image_fill=7, label_fill=255)(sample())
    filled = data["label"] == 255
    assert filled.any()
    assert (np.abs(data["img"][filled] - 7) < 1).mean() > 0.7
    seed(2)
    assert (always(cls)(sample())["label"] != 255).all()


def test_flips_by_hand():
    image = sample()["img"]
    for horizontal, vertical, expected in [
        (1, 0, image[:, ::-1]),
        (0, 1, image[::-1]),
        (1, 1, image[::-1, ::-1]),
    ]:
        got = RandomFlips(horizontal, vertical)(sample())["img"]
        np.testing.assert_array_equal(got, expected)


def test_right_angles_are_all_four_and_exact():
    seed(0)
    expected = {np.rot90(sample()["img"], k).tobytes() for k in range(4)}
    assert len(expected) == 4
    transform = RandomRightAngle()
    assert {transform(sample())["img"].tobytes() for _ in range(60)} == expected
    for _ in range(20):  # an oblong keeps its size
        assert transform(sample(40, 70))["img"].shape == (40, 70, 3)


def test_offset_by_whole_pixels():
    seed(1)
    data = RandomOffset(max_shift=0.3, prob=1, border="fill", label_fill=255)(sample())
    rows = np.flatnonzero((data["label"] != 255).any(axis=1))
    columns = np.flatnonzero((data["label"] != 255).any(axis=0))
    moved = data["img"][rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    whole = sample()["img"]
    top = 96 - len(rows) if rows[0] == 0 else 0
    left = 96 - len(columns) if columns[0] == 0 else 0
    np.testing.assert_array_equal(moved, whole[top : top + len(rows), left : left + len(columns)])
    assert len(rows) < 96 and len(columns) < 96


def test_rotation_about_the_centre():
    seed(1)
    data = sample(101, 101)
    data["label"][:] = 0
    data["label"][45:56, 45:56] = 1
    turned = RandomFreeRotation(max_angle=180, prob=1)(data)["label"]
    assert np.argwhere(turned).mean(axis=0) == pytest.approx([50, 50], abs=0.6)


def test_elastic_is_smooth_and_bounded():
    seed(4)
    y, x = np.mgrid[:200, :300].astype(np.float32)
    data = {"img": np.stack([x / 2, y / 2, x * 0], axis=2), "gt_fields": []}
    bent = RandomElastic(max_bend=9, spacing=50, prob=1)(data)["img"]
    inner = (slice(30, -30), slice(30, -30))
    across, down = bent[..., 0] * 2 - x, bent[..., 1] * 2 - y
    for shift in (across[inner], down[inner]):
        assert 2 < np.abs(shift).max() < 9 * 1.4  # cubic interpolation overshoots a little
        assert np.abs(np.diff(shift, axis=0)).max() < 0.9
        assert np.abs(np.diff(shift, axis=1)).max() < 0.9  # nothing folds over


def test_stain_jitter_keeps_white_and_knows_the_order_of_channels():
    rgb = sample()
    rgb["img"][:] = (150, 80, 160)
    rgb["img"][:20] = 255
    bgr = deepcopy(rgb)
    bgr["img"] = np.ascontiguousarray(bgr["img"][:, :, ::-1])
    seed(6)
    one = RandomStainJitter(prob=1)(rgb)["img"]
    seed(6)
    two = RandomStainJitter(prob=1, to_rgb=False)(bgr)["img"]
    np.testing.assert_array_equal(one, two[:, :, ::-1])
    assert (one[:20] == 255).all() and not np.array_equal(one[20:], rgb["img"][20:] * 0 + 150)
    assert (rgb["label"] == sample()["label"]).all()


def test_stain_jitter_refuses_normalised_images():
    data = sample()
    data["img"] = data["img"] / 127.5 - 1
    with pytest.raises(ValueError, match="before Normalize"):
        RandomStainJitter(prob=1)(data)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (RandomFlips, {"horizontal": 1.5}),
        (RandomFlips, {"vertical": "often"}),
        (RandomRightAngle, {"prob": -0.1}),
        (RandomRightAngle, {"prob": True}),
        (RandomRightAngle, {"prob": float("nan")}),
        (RandomFreeRotation, {"max_angle": 181}),
        (RandomFreeRotation, {"border": "wrap"}),
        (RandomOffset, {"max_shift": 1}),
        (RandomOffset, {"label_fill": 256}),
        (RandomElastic, {"max_bend": 30, "spacing": 60}),
        (RandomElastic, {"spacing": 0}),
        (RandomStainJitter, {"scale": -1}),
        (RandomStainJitter, {"stain_matrix": [[1, 0, 0]]}),
        (RandomStainJitter, {"background": 0}),
    ],
)
def test_arguments_are_checked_when_a_config_is_read(cls, options):
    with pytest.raises(ValueError):
        cls(**options)


def test_within_paddlesegs_compose():
    seed(0)
    compose = Compose([cls() for cls in ALL] + [manager.TRANSFORMS["Normalize"]()])
    image = np.random.randint(0, 255, (64, 64, 3)).astype(np.float32)
    label = np.zeros((64, 64), np.uint8)
    out = compose({"img": image, "label": label, "gt_fields": ["label"]})
    assert out["img"].shape == (3, 64, 64) and np.abs(out["img"]).max() <= 1
    assert transforms.__doc__ and out["label"].shape == (64, 64)
