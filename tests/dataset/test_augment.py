import numpy as np
import pytest

from paddleseg_sclc.dataset.augment import VARIANTS, AugmentOptions, augment, variant_name


def patch(height=40, width=60, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(1, 255, (height, width, 3), np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[8:30, 10:35] = 1
    return image, mask


def by_kind(*args, **kwargs):
    return {variant.kind: variant for variant in augment(*args, **kwargs)}


def test_four_variants_of_the_same_size_and_new_memory():
    image, mask = patch()
    before = image.copy(), mask.copy()
    variants = by_kind(image, mask, "p")
    assert tuple(variants) == VARIANTS
    for variant in variants.values():
        assert variant.image.shape == image.shape and variant.image.dtype == np.uint8
        assert variant.mask.shape == mask.shape and variant.mask.dtype == np.uint8
        assert not np.shares_memory(variant.image, image)
        assert not np.array_equal(variant.image, image)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(mask, before[1])


def test_134_patches_make_670_of_different_names():
    names = [f"slide_{i // 5}_{i}" for i in range(134)]
    everything = names + [variant_name(name, kind) for name in names for kind in VARIANTS]
    assert len(set(everything)) == 670


def test_mirror_is_upside_down_and_flip_left_to_right():
    image, mask = patch()
    variants = by_kind(image, mask, "p")
    np.testing.assert_array_equal(variants["mirror"].image, np.flipud(image))
    np.testing.assert_array_equal(variants["mirror"].mask, np.flipud(mask))
    np.testing.assert_array_equal(variants["flip"].image, np.fliplr(image))
    np.testing.assert_array_equal(variants["flip"].mask, np.fliplr(mask))


def test_offset_moves_both_and_fills_with_zeros():
    image, mask = patch()
    for name in "abcdefgh":
        variant = by_kind(image, mask, name)["offset"]
        right, down = variant.parameters["right"], variant.parameters["down"]
        assert 3 <= abs(right) <= 15 and 2 <= abs(down) <= 10
        for y in range(40):
            for x in range(60):
                inside = 0 <= y - down < 40 and 0 <= x - right < 60
                expected = image[y - down, x - right] if inside else 0
                assert (variant.image[y, x] == expected).all()
                assert variant.mask[y, x] == (mask[y - down, x - right] if inside else 0)


def test_rotate_moves_both_alike_and_keeps_the_classes():
    _, mask = patch(200, 200)
    mask[60:140, 30:90] = 255
    image = np.repeat(mask[:, :, None], 3, axis=2)
    for name in "abcd":
        variant = by_kind(image, mask, name)["rotate"]
        assert 10 <= abs(variant.parameters["angle"]) <= 45
        assert set(np.unique(variant.mask)) == {0, 1, 255}
        # The image is the mask itself: away from edges, where it is interpolated, they stay equal.
        assert (variant.image[:, :, 0] == variant.mask).mean() > 0.97
        area = (variant.mask == 255).sum()
        assert abs(area - (mask == 255).sum()) < 0.02 * area


def test_rotate_turns_about_the_centre_counter_clockwise():
    image = np.zeros((101, 101, 3), np.uint8)
    mask = np.zeros((101, 101), np.uint8)
    mask[48:53, 88:93] = 1  # to the right of the centre
    options = AugmentOptions(variants=("rotate",), angle=(90, 90))
    (variant,) = augment(image, mask, "p", options)
    y, x = np.argwhere(variant.mask).mean(axis=0)
    assert x == pytest.approx(50, abs=0.1)
    assert y == pytest.approx(50 - np.sign(variant.parameters["angle"]) * 40, abs=0.1)


def test_fills_are_what_was_asked():
    image, mask = patch()
    options = AugmentOptions(variants=("rotate", "offset"), image_fill=255, mask_fill=255)
    for variant in augment(image, mask, "p", options):
        assert (variant.image[variant.mask == 255] >= 128).any()
        assert (variant.mask == 255).any() and not (image == 255).any()
        corner = variant.mask[[0, 0, -1, -1], [0, -1, 0, -1]] == 255
        assert corner.any()


def test_draws_depend_on_seed_name_and_nothing_else():
    image, mask = patch()
    one = by_kind(image, mask, "p")
    alone = next(augment(image, mask, "p", AugmentOptions(variants=("offset",))))
    np.testing.assert_array_equal(one["offset"].image, alone.image)
    other = by_kind(image, mask, "q")
    reseeded = by_kind(image, mask, "p", AugmentOptions(seed=1))
    for changed in (other, reseeded):
        assert changed["rotate"].parameters != one["rotate"].parameters
        assert changed["offset"].parameters != one["offset"].parameters
    # The figures that follow from seed 0 and this name, for ever.
    assert one["rotate"].parameters["angle"] == pytest.approx(-11.780546944237761, abs=1e-9)
    assert dict(one["offset"].parameters) == {"right": 4, "down": 6}


def test_arguments_are_checked():
    image, mask = patch()
    with pytest.raises(ValueError, match="must fit"):
        next(augment(image, mask[1:], "p"))
    for bad in (
        {"variants": ("blur",)},
        {"variants": ("flip", "flip")},
        {"angle": (30, 10)},
        {"shift": (0, 1.5)},
        {"image_fill": 300},
    ):
        with pytest.raises(ValueError):
            AugmentOptions(**bad)
