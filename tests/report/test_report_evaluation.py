"""`measure` on ready predictions: streaming, and the paper's contradiction."""

import tracemalloc

import numpy as np
import pytest

from paddleseg_sclc.evaluation import Evaluation, Prediction, count, measure
from paddleseg_sclc.metrics import compute
from paddleseg_sclc.report.paper import TABLE_1, UNET, paper_row


def stream(count: int, size: int = 64):
    rng = np.random.default_rng(0)
    for index in range(count):
        label = np.zeros((size, size), np.uint8)
        label[8 : 40 + index % 8, 8:40] = 1
        probs = np.clip(label * 0.6 + rng.random((size, size)) * 0.4, 0, 1).astype(np.float32)
        yield Prediction(f"{index}.png", (probs > 0.5).astype(np.uint8), label, probs)


def peak(count: int) -> int:
    tracemalloc.start()
    measure(stream(count), 2)
    top = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return top


def test_memory_grows_by_little_more_than_the_names_of_images():
    few, many = peak(10), peak(210)
    assert (many - few) / 200 < 2000


def test_join_is_the_evaluation_of_all_images():
    items = list(stream(9))
    whole = measure(items, 2)
    joined = Evaluation.join([measure(items[:4], 2), measure(items[4:], 2)])
    assert [i.name for i in joined.images] == [i.name for i in whole.images]
    np.testing.assert_array_equal(joined.matrix, whole.matrix)
    np.testing.assert_array_equal(joined.histogram.counts, whole.histogram.counts)
    np.testing.assert_array_equal(count(items, 2).matrix, whole.matrix)


def test_everything_ignored_is_undefined_and_not_an_error():
    label = np.full((8, 8), 255, np.uint8)
    item = Prediction("a", np.zeros((8, 8), np.uint8), label, np.zeros((8, 8), np.float32))
    evaluation = measure([item], 2)
    assert np.isnan(evaluation.figures()["miou"])
    assert np.isnan(evaluation.images[0].boundary.hd95)
    assert np.isnan(evaluation.histogram.auroc())


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ({"type": "UNet", "num_classes": 2}, "U-Net"),
        ({"type": "AttentionUNet"}, "Attention U-Net"),
        ({"type": "MSUNet", "num_blocks": 2, "base_channels": 8}, "Ours (2 ConvBlocks)"),
        ({"type": "MSUNet"}, "Ours (4 ConvBlocks)"),
        ({"type": "MSUNet", "num_blocks": 3}, None),
        ({"type": "SegFormer"}, None),
    ],
)
def test_the_papers_row_is_found_by_the_network(model, name):
    row = paper_row(model)
    assert (row.name if row else None) == name


def matrices():
    """Two-class confusion matrices of many shares of tumour and of errors."""
    share, missed, invented = np.meshgrid(
        np.linspace(0.05, 0.95, 91), np.linspace(0, 0.15, 151), np.linspace(0, 0.15, 151),
        indexing="ij",
    )  # fmt: skip
    possible = (missed <= share) & (invented <= 1 - share)
    share, missed, invented = (a[possible] for a in (share, missed, invented))
    rows = [1 - share - invented, invented, missed, share - missed]
    return np.stack(rows, axis=-1).reshape(-1, 2, 2)


def test_unets_row_of_table_1_contradicts_itself_and_the_others_do_not():
    figures = compute(matrices(), ["miou", "accuracy", "kappa"])
    for row in TABLE_1:
        near = (np.abs(figures["miou"] - row.miou) < 1e-3) & (
            np.abs(figures["kappa"] - row.kappa) < 1e-3
        )
        assert near.sum() > 100
        lowest, highest = figures["accuracy"][near].min(), figures["accuracy"][near].max()
        if row is UNET:
            assert lowest > row.accuracy + 0.03
            assert lowest == pytest.approx(0.929, abs=2e-3)
        else:
            assert lowest - 1e-3 < row.accuracy < highest
