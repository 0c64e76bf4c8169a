"""A trained network: its config and its weights, from a run folder or from two files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddleseg_sclc.errors import UsageError
from paddleseg_sclc.training.checkpoint import load_weights
from paddleseg_sclc.training.config import Builder, load_config
from paddleseg_sclc.training.run_folder import RunFolder


@dataclass(frozen=True)
class Trained:
    """Where a trained network lies.

    Attributes:
        name: what to call it in a table.
        config: its checked PaddleSeg config.
        weights: its `.pdparams` file, or the folder that holds `model.pdparams`.
    """

    name: str
    config: Any
    weights: Path

    def build(self) -> Builder:
        """Build the components, the weights in the model.

        Raises:
            UsageError: the config does not build.
            SclcError: the weights cannot be read or are of another network.
        """
        builder = Builder(self.config)
        load_weights(builder.model, self.weights)
        return builder


def find_trained(
    run: str | None,
    config: str | None,
    model_path: str | None,
    opts: Sequence[str] | None = None,
) -> Trained:
    """Find a trained network as the tools name it: `--run`, or `--config` and `--model_path`.

    With a run, `config` and `model_path` may replace the run's own.

    Args:
        run: run folder.
        config: YAML file.
        model_path: weights.
        opts: `key.subkey=value` each, over the config's values.

    Raises:
        UsageError: neither is given in full, or the config is wrong.
        SclcError: the run has no weights.
    """
    if run is None and (config is None or model_path is None):
        raise UsageError("give --run DIR, or --config FILE and --model_path FILE")
    if run is None:
        assert config is not None and model_path is not None
        return Trained(Path(config).stem, load_config(config, opts=opts), Path(model_path))
    folder = RunFolder(run)
    weights = Path(model_path) if model_path else folder.require_weights()
    return Trained(folder.path.name, load_config(config or folder.config, opts=opts), weights)
