import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from paddleseg_sclc.slides.resampling import resample


def ramp(x: int, y: int, width: int, height: int) -> np.ndarray:
    """A plane that rises by one a pixel across and two down: its value at a pixel's centre."""
    ys, xs = np.mgrid[y : y + height, x : x + width]
    values = np.clip(xs + 2 * ys, 0, 255)
    return np.repeat(values[..., None], 3, axis=2).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    corner=st.tuples(st.floats(5, 20), st.floats(5, 20)),
    step=st.tuples(st.floats(0.2, 4.0), st.floats(0.2, 4.0)),
)
def test_pixels_lie_where_they_should(corner, step):
    """On a plane every kernel that is not shifted gives the plane's value at the pixel's centre."""
    size = 12, 9
    pixels = resample(ramp, corner, step, size, 10**6)
    xs = corner[0] + (np.arange(size[0]) + 0.5) * step[0] - 0.5
    ys = corner[1] + (np.arange(size[1]) + 0.5) * step[1] - 0.5
    expected = xs[None, :] + 2 * ys[:, None]
    # A sixteenth of a pixel either way, and Pillow rounds twice.
    assert np.abs(pixels[..., 0] - expected).max() <= 1.01 + 0.0625 * (step[0] + 2 * step[1])


def test_whole_shifts_at_step_1_are_copies():
    np.testing.assert_array_equal(
        resample(ramp, (3.0, 4.0), (1.0, 1.0), (5, 6), 100), ramp(3, 4, 5, 6)
    )


def test_blocks_hold_no_more_than_asked():
    sizes = []

    def read(x, y, width, height):
        sizes.append(width * height)
        return np.zeros((height, width, 3), np.uint8)

    resample(read, (0, 0), (64.0, 64.0), (50, 40), 10**6)
    assert max(sizes) < 1.5e6
