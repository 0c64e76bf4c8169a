"""The rows of the paper's table 1, as printed there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PaperRow:
    """A row of table 1.

    Attributes:
        name: of the network.
        parameters: as printed.
        miou: mean intersection over union.
        accuracy: of pixels.
        kappa: Cohen's.
    """

    name: str
    parameters: str
    miou: float
    accuracy: float
    kappa: float


UNET = PaperRow("U-Net", "13.40M", 0.8682, 0.8952, 0.8588)
ATTENTION_UNET = PaperRow("Attention U-Net", "34.89M", 0.8823, 0.9383, 0.8749)
BLOCKS_2 = PaperRow("Ours (2 ConvBlocks)", "71.21M", 0.8860, 0.9403, 0.8790)
BLOCKS_4 = PaperRow("Ours (4 ConvBlocks)", "122.15M", 0.8871, 0.9409, 0.8803)
TABLE_1 = (UNET, ATTENTION_UNET, BLOCKS_2, BLOCKS_4)

CONTRADICTIONS = (
    "Table 1 of the paper contradicts itself: no two-class confusion matrix has U-Net's mIoU "
    "0.8682 and kappa 0.8588 together with its accuracy 0.8952; they imply at least 0.929.",
    "The paper gives its split as 649 / 21 images (section 3.5) and as 650 / 20 (section 4.1).",
    "The paper split patches after augmenting them: copies of one patch, and patches of one "
    "patient, are on both sides, so its figures are optimistic.",
)


def paper_row(model: Mapping[str, Any]) -> PaperRow | None:
    """The row of the network that a config's `model` is, whatever its width; None for others."""
    kind = model.get("type")
    if kind == "UNet":
        return UNET
    if kind == "AttentionUNet":
        return ATTENTION_UNET
    if kind == "MSUNet":
        return {2: BLOCKS_2, 4: BLOCKS_4}.get(model.get("num_blocks", 4))
    return None
