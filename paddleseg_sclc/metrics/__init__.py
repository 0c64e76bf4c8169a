"""Figures of merit of predictions (NumPy and SciPy only, no Paddle)."""

from paddleseg_sclc.metrics.confusion import ConfusionMatrix, confusion_matrix
from paddleseg_sclc.metrics.figures import METRICS, compute, register_metric

__all__ = ["METRICS", "ConfusionMatrix", "compute", "confusion_matrix", "register_metric"]
