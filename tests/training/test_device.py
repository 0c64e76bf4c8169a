import paddle
import pytest

from paddleseg_sclc.training.device import tune


@pytest.mark.parametrize(
    ("device", "deterministic", "flags"),
    [
        ("cpu (2 threads)", False, []),
        ("cpu (2 threads)", True, []),
        ("gpu (A card)", False, [{"FLAGS_cudnn_exhaustive_search": True}]),
        ("gpu:1 (A card)", True, [{"FLAGS_cudnn_deterministic": True}]),
    ],
)
def test_only_a_gpu_is_tuned(monkeypatch, device, deterministic, flags):
    """What the flags do can only be seen on a GPU."""
    found = []
    monkeypatch.setattr(paddle, "set_flags", found.append)
    tune(device, deterministic)
    assert found == flags
