"""The targets that come with the package."""

from functools import cache
from pathlib import Path
from typing import Any

from paddleseg_sclc.stain.storage import read_json

BUILT_IN = ("warwick",)


def built_in_target(name: str, method: str) -> Any:
    """Return the figures of a built-in target, as the `to_dict` of a fit returns them.

    "warwick" is the image of an H&E section that the paper's authors normalise to, as each method
    sees it with its default options (`benchmarks/derive_warwick_target.py`).

    Args:
        name: one of BUILT_IN.
        method: "vahadane", "macenko" or "reinhard".

    Raises:
        ValueError: there is no such target.
    """
    if name not in BUILT_IN:
        raise ValueError(
            f"target: must be {' or '.join(BUILT_IN)}, an image or a fit, got {name!r}"
        )
    return _read(name)[method]


@cache
def _read(name: str) -> Any:
    return read_json(Path(__file__).with_name(f"{name}.json"))
