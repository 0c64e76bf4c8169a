"""Importing this module registers the project's components with PaddleSeg.

    import paddleseg_sclc.plugin

After it, PaddleSeg's configs know the model `MSUNet`, the loss `DiceCELoss` and the on-line
transforms, and stock `core.train`, `core.evaluate` and `core.predict` run (see compat.py).
"""

from paddleseg_sclc.errors import SclcError

try:
    # The two that want libraries of the system: OpenCV's plain wheel, which PaddleSeg asks for, a
    # desktop's; Paddle an OpenMP runtime.
    import cv2  # noqa: F401
    import paddle  # noqa: F401
except ImportError as error:
    reason = str(error).strip().splitlines()[-1]
    raise SclcError(
        f"OpenCV or Paddle does not load ({reason}); on Debian or Ubuntu run "
        "`apt-get install -y libgl1 libglib2.0-0 libgomp1`"
    ) from error

from paddleseg_sclc import compat
from paddleseg_sclc.dataset import transforms
from paddleseg_sclc.losses import DiceCELoss
from paddleseg_sclc.metrics import METRICS, register_metric
from paddleseg_sclc.models import MSUNet

compat.apply_patches()

__all__ = ["METRICS", "DiceCELoss", "MSUNet", "register_metric", "transforms"]
