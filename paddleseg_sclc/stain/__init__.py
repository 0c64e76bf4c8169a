"""Stain normalisation of H&E images: arrays in, arrays out; neither slides nor Paddle.

normalizer = VahadaneNormalizer()           # to the target "warwick"
normalizer.fit(image)                       # or fit_blocks(blocks) for a slide
normalized = normalizer.transform(patch)
"""

from paddleseg_sclc.stain.fit import StainFit
from paddleseg_sclc.stain.histogram import ColorHistogram
from paddleseg_sclc.stain.jitter import jitter_stains
from paddleseg_sclc.stain.macenko import MacenkoNormalizer
from paddleseg_sclc.stain.normalizer import Outcome, StainNormalizer
from paddleseg_sclc.stain.optical_density import od_to_rgb, rgb_to_od, stain_angles
from paddleseg_sclc.stain.reinhard import LabFit, ReinhardNormalizer
from paddleseg_sclc.stain.separation import concentrations, separate
from paddleseg_sclc.stain.vahadane import VahadaneNormalizer, estimate_stain_matrix

METHODS = {
    kind.method: kind for kind in (VahadaneNormalizer, MacenkoNormalizer, ReinhardNormalizer)
}

__all__ = [
    "METHODS",
    "ColorHistogram",
    "LabFit",
    "MacenkoNormalizer",
    "Outcome",
    "ReinhardNormalizer",
    "StainFit",
    "StainNormalizer",
    "VahadaneNormalizer",
    "concentrations",
    "estimate_stain_matrix",
    "jitter_stains",
    "od_to_rgb",
    "rgb_to_od",
    "separate",
    "stain_angles",
]
