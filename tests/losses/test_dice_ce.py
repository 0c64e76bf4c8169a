import numpy as np
import paddle
import pytest

from paddleseg_sclc.losses import DiceCELoss, dice_ce_loss


def tensor(values, dtype="float32"):
    return paddle.to_tensor(np.asarray(values), dtype=dtype)


def random_case(seed=0, shape=(2, 3, 8, 6)):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=shape)
    labels = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    return logits, labels


def numpy_loss(logits, labels, weight=None, ignore_index=255):
    """The definition, pixel by pixel in float64."""
    c = logits.shape[1]
    weight = np.ones(c) if weight is None else np.asarray(weight, float)
    z = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = np.moveaxis(z / z.sum(axis=1, keepdims=True), 1, -1)[labels != ignore_index]
    y = labels[labels != ignore_index]
    dice = [2 * p[y == k, k].sum() / (p[:, k].sum() + (y == k).sum() + 1e-5) for k in range(c)]
    dice_loss = 1 - np.average(dice, weights=weight)
    ce = -np.average(np.log(p[np.arange(len(y)), y]), weights=weight[y])
    return dice_loss, ce


def test_hand_computed_four_pixels():
    # Softmax of (0, 0) is 1/2 everywhere; two pixels of each class.
    logits, labels = tensor(np.zeros((1, 2, 2, 2))), tensor([[[0, 0], [1, 1]]], "int64")
    dice, ce = dice_ce_loss(logits, labels)
    assert float(dice) == pytest.approx(1 - 2 * 1 / (2 + 2 + 1e-5), abs=1e-6)
    assert float(ce) == pytest.approx(np.log(2), abs=1e-6)
    assert float(DiceCELoss()(logits, labels)) == pytest.approx(float(dice) + float(ce), abs=1e-6)


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 0.5]])
def test_agrees_with_the_definition(weight):
    logits, labels = random_case()
    labels[0, :3] = 255
    dice, ce = dice_ce_loss(tensor(logits, "float64"), tensor(labels, "int64"), weight)
    expected = numpy_loss(logits, labels, weight)
    assert (float(dice), float(ce)) == pytest.approx(expected, abs=1e-6)


def test_cross_entropy_agrees_with_scikit_learn():
    from sklearn.metrics import log_loss

    logits, labels = random_case(1)
    z = np.exp(logits)
    probs = np.moveaxis(z / z.sum(axis=1, keepdims=True), 1, -1).reshape(-1, 3)
    _, ce = dice_ce_loss(tensor(logits), tensor(labels, "int64"))
    assert float(ce) == pytest.approx(log_loss(labels.ravel(), probs), abs=1e-6)


def test_gradient_agrees_with_differences():
    logits, labels = random_case(2, (1, 2, 3, 2))
    labels[0, 0, 0] = 255
    x = tensor(logits, "float64")
    x.stop_gradient = False
    DiceCELoss()(x, tensor(labels, "int64")).backward()
    for index in [(0, 0, 0, 0), (0, 1, 1, 1), (0, 0, 2, 0)]:
        step = np.zeros_like(logits)
        step[index] = 1e-6
        rise = sum(numpy_loss(logits + step, labels)) - sum(numpy_loss(logits - step, labels))
        assert float(x.grad.numpy()[index]) == pytest.approx(rise / 2e-6, abs=1e-6)


def test_an_ignored_pixel_changes_neither_loss_nor_gradient():
    logits, labels = random_case(3)
    labels[:, 2:4, 1:5] = 255
    results = []
    for junk in (0.0, 50.0):
        changed = logits.copy()
        changed[:, 1][labels == 255] += junk
        x = tensor(changed)
        x.stop_gradient = False
        loss = DiceCELoss()(x, tensor(labels, "int64"))
        loss.backward()
        grad = np.moveaxis(x.grad.numpy(), 1, -1)
        assert np.all(grad[labels == 255] == 0)
        results.append((float(loss), grad[labels != 255]))
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("value", [0, 1, 255])
def test_a_batch_of_one_class_or_of_ignored_pixels_stays_finite(value):
    x = tensor(np.random.default_rng(0).normal(size=(2, 2, 4, 4)) * 30)
    x.stop_gradient = False
    loss = DiceCELoss()(x, paddle.full([2, 4, 4], value, "int64"))
    loss.backward()
    assert np.isfinite(float(loss))
    assert np.isfinite(x.grad.numpy()).all()
    if value == 255:
        assert float(loss) == 0
        assert not x.grad.numpy().any()


def test_labels_are_not_written_to_and_may_have_a_channel():
    logits, labels = random_case(4)
    labels[0, 0] = 255
    given = tensor(labels, "int64")
    loss = DiceCELoss()(tensor(logits), given)
    np.testing.assert_array_equal(given.numpy(), labels)
    assert float(DiceCELoss()(tensor(logits), given.unsqueeze(1))) == float(loss)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_logits_are_computed_in_float32(dtype):
    logits, labels = random_case(5)
    half = tensor(logits).astype(dtype)
    loss = DiceCELoss()(half, tensor(labels, "int64"))
    same = DiceCELoss()(half.astype("float32"), tensor(labels, "int64"))
    assert loss.dtype == paddle.float32
    assert float(loss) == float(same)


def test_large_logits_do_not_overflow():
    logits, labels = random_case(6)
    assert np.isfinite(float(DiceCELoss()(tensor(logits * 1e4), tensor(labels, "int64"))))


@pytest.mark.parametrize("weight", [[-1.0, 1.0], [0.0, 0.0], [float("nan"), 1.0]])
def test_bad_weights_are_refused(weight):
    with pytest.raises(ValueError, match="weight must be"):
        DiceCELoss(weight=weight)


def test_shapes_that_do_not_fit_are_refused():
    logits = paddle.zeros([1, 2, 4, 4])
    with pytest.raises(ValueError, match="labels must have shape"):
        DiceCELoss()(logits, paddle.zeros([1, 4, 5], "int64"))
    with pytest.raises(ValueError, match="one value for each of 2 classes"):
        DiceCELoss(weight=[1.0, 1.0, 1.0])(logits, paddle.zeros([1, 4, 4], "int64"))
    with pytest.raises(ValueError, match="logits must have shape"):
        DiceCELoss()(paddle.zeros([2, 4, 4]), paddle.zeros([2, 4, 4], "int64"))
