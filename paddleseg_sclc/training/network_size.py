"""How large the networks of configs are, trained or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prettytable import PrettyTable

from paddleseg_sclc.models.summary import count_macs, count_parameters
from paddleseg_sclc.training.config import Builder, load_config


@dataclass(frozen=True)
class NetworkSize:
    """How large a network is.

    Attributes:
        name: of the config.
        parameters: batch norm's running statistics included.
        macs: multiply-adds of a forward pass of a 256x256 image.
    """

    name: str
    parameters: int
    macs: int


def summarize(config: str, opts: Sequence[str] | None = None) -> NetworkSize:
    """Build a config's network and measure its size."""
    model = Builder(load_config(config, opts=opts)).model
    return NetworkSize(Path(config).stem, count_parameters(model), count_macs(model))


def format_summary(sizes: Sequence[NetworkSize]) -> str:
    """A table of network sizes."""
    table = PrettyTable(["Network", "Parameters", "Multiply-adds (256x256)"], align="r")
    table.align["Network"] = "l"
    for size in sizes:
        table.add_row([size.name, f"{size.parameters:,}", f"{size.macs / 1e9:.1f} G"])
    return table.get_string()
