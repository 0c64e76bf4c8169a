"""`python -m paddleseg_sclc`: check that everything loads, and say what is installed."""

import platform
import sys
from collections.abc import Sequence

from paddleseg_sclc import __version__, cli


def report(_: Sequence[str] | None) -> int:
    """Load the plugin and print the versions, for a bug report."""
    import cv2
    import paddle
    import paddleseg

    import paddleseg_sclc.plugin  # noqa: F401  what this checks

    kind = "GPU" if paddle.is_compiled_with_cuda() else "CPU"
    print(
        f"paddleseg_sclc {__version__}, Python {platform.python_version()}, Paddle "
        f"{paddle.__version__} ({kind}), PaddleSeg {paddleseg.__version__}, "
        f"OpenCV {cv2.__version__}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(report))
