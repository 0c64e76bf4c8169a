"""Networks."""

from paddleseg_sclc.models.msunet import MSUNet

__all__ = ["MSUNet"]
