"""PaddleSeg configs, read with errors that name the key, and what is built from them.

Three keys are ours, beside PaddleSeg's own at the top level:

- `best_metric`: the metric (a name in `paddleseg_sclc.metrics.METRICS`) that chooses the best
  model; `miou` if absent, as in the paper and in PaddleSeg.
- `seed`: of the weights, the order of the samples and the on-line transforms.
- `training`: what PaddleSeg has no key for; see `options.SECTION_KEYS` and docs/training.md.
"""

import contextlib
import difflib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import paddle
import yaml
from paddleseg.cvlibs import Config, SegBuilder, manager
from paddleseg.utils import logger

import paddleseg_sclc.plugin  # noqa: F401  registers the components
from paddleseg_sclc.dataset.paddleseg_format import Sample, check_samples, read_list
from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.metrics import METRICS
from paddleseg_sclc.training.options import SECTION_KEYS, check_section

TOP_LEVEL_KEYS = {
    "batch_size": int,
    "iters": int,
    "train_dataset": dict,
    "val_dataset": dict,
    "optimizer": dict,
    "lr_scheduler": dict,
    "loss": dict,
    "distill_loss": dict,
    "model": dict,
    "test_config": dict,
    "export": dict,
    "to_static_training": bool,
    "best_metric": str,
    "seed": int,
    "training": dict,
}
_REGISTRIES = {
    "model": manager.MODELS,
    "backbone": manager.BACKBONES,
    "dataset": manager.DATASETS,
    "transform": manager.TRANSFORMS,
    "loss": manager.LOSSES,
    "optimizer": manager.OPTIMIZERS,
}
# Dataset modes and the key of each one's list.
LIST_KEYS = {"train_dataset": "train_path", "val_dataset": "val_path"}


def load_config(
    path: str | Path,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    iters: int | None = None,
    opts: Sequence[str] | None = None,
    training: Mapping[str, Any] | None = None,
) -> Config:
    """Read a PaddleSeg config with its `_base_` files, override values and check it.

    Args:
        path: the YAML file.
        learning_rate: in place of the config's `lr_scheduler.learning_rate`.
        batch_size: in place of the config's.
        iters: in place of the config's.
        opts: `key.subkey=value` each, over any value that the config has.
        training: values over those of its `training` section, whether it has them or not.

    Raises:
        UsageError: the file is missing or no config, or a key, a type or a value is wrong.
    """
    path = Path(path)
    for file in _with_bases(path):
        _read_yaml(file)
    try:
        config = Config(
            str(path),
            learning_rate=learning_rate,
            batch_size=batch_size,
            iters=iters,
            opts=list(opts) if opts else None,
        )
    except (AssertionError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        # PaddleSeg's own checks end in their reason; what stands before it is a form letter.
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else repr(error)
        raise UsageError(f"{path}: {reason}") from error
    if training:
        config.dic["training"] = {**config.dic.get("training", {}), **training}
    check_config(config.dic, path)
    return config


def _with_bases(path: Path, seen: tuple[Path, ...] = ()) -> Iterator[Path]:
    """The file and all that its `_base_` keys name."""
    if path in seen:
        raise UsageError(f"{path}: _base_ must not lead back to the file itself; remove one")
    yield path
    bases = _read_yaml(path).get("_base_", [])
    for base in [bases] if isinstance(bases, str) else bases:
        yield from _with_bases(path.parent / base, (*seen, path))


def _read_yaml(path: Path) -> dict[str, Any]:
    """Read with the safe loader: PaddleSeg's FullLoader is not meant for files from elsewhere."""
    if path.suffix not in (".yml", ".yaml"):
        raise UsageError(f"{path}: a config must be a .yml or .yaml file")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such config; see configs/") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: a config must be a readable UTF-8 file ({error})") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path}: a config must be a mapping of keys to values")
    return content


def check_config(dic: Mapping[str, Any], path: Path) -> None:
    """Check every key, type and component name before anything is built.

    Raises:
        UsageError: with the first fault.
    """
    for key, value in dic.items():
        _check_name(key, TOP_LEVEL_KEYS, f"{path}", "key")
        expected = TOP_LEVEL_KEYS[key]
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            raise UsageError(f"{path}: {key} must be of type {expected.__name__}, got {value!r}")
    for key in ("batch_size", "iters"):
        if dic[key] < 1:
            raise UsageError(f"{path}: {key} must be at least 1, got {dic[key]}")
    _check_name(dic.get("best_metric", "miou"), scalar_metrics(), f"{path}: best_metric", "metric")
    for key in dic.get("training", {}):
        _check_name(key, SECTION_KEYS, f"{path}: training", "key")
    check_section(dic.get("training", {}), f"{path}: training")
    _check_component(dic["model"], "model", f"{path}: model")
    for key in LIST_KEYS:
        if key in dic:
            _check_component(dic[key], "dataset", f"{path}: {key}")
    for i, loss in enumerate(dic["loss"]["types"]):
        _check_component(loss, "loss", f"{path}: loss.types[{i}]")
    # SegBuilder's old names.
    optimizer = dict(dic["optimizer"])
    optimizer["type"] = {"sgd": "SGD", "adam": "Adam"}.get(
        optimizer.get("type", ""), optimizer.get("type")
    )
    if optimizer["type"] == "SGD" and "momentum" in optimizer:
        optimizer["type"] = "Momentum"
    _check_component(optimizer, "optimizer", f"{path}: optimizer")
    _check_schedule(dic["lr_scheduler"], f"{path}: lr_scheduler")


def scalar_metrics() -> list[str]:
    """The metrics that are one figure, and so can choose the best model."""
    return [name for name in METRICS if not name.startswith("class_")]


def _check_name(name: Any, known: Any, where: str, what: str) -> None:
    if name in known:
        return
    by_lower_case = {str(k).lower(): k for k in known}
    near = difflib.get_close_matches(str(name).lower(), by_lower_case, n=1, cutoff=0.5)
    hint = (
        f"did you mean {by_lower_case[near[0]]!r}?"
        if near
        else f"known are {', '.join(sorted(known))[:400]}"
    )
    raise UsageError(f"{where}: there is no {what} {name!r}; {hint}")


def _check_component(cfg: Any, kind: str, where: str) -> None:
    if not isinstance(cfg, dict) or "type" not in cfg:
        raise UsageError(f"{where}: must be a mapping with a `type`, got {cfg!r}")
    registry = _REGISTRIES[kind].components_dict
    _check_name(cfg["type"], registry, where, f"{kind} type")
    _check_parameters({k: v for k, v in cfg.items() if k != "type"}, registry[cfg["type"]], where)
    for key, value in cfg.items():
        if key == "transforms" and isinstance(value, list):
            for i, item in enumerate(value):
                _check_component(item, "transform", f"{where}.transforms[{i}]")
        elif key == "backbone":
            _check_component(value, "backbone", f"{where}.backbone")


def _check_parameters(cfg: Mapping[str, Any], component: Any, where: str) -> None:
    parameters = inspect.signature(component).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for key in cfg:
        if key not in parameters:
            try:
                _check_name(key, parameters, where, f"{component.__name__} parameter")
            except UsageError as error:
                # Merging with _base_ keeps the keys of a component of another type.
                raise UsageError(
                    f"{error} (if it comes from _base_, add `_inherited_: False` here)"
                ) from None
    missing = [
        name
        for name, p in parameters.items()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD and name not in cfg
    ]
    if missing:
        raise UsageError(f"{where}: {component.__name__} needs {', '.join(missing)}")


def _check_schedule(cfg: Mapping[str, Any], where: str) -> None:
    schedules = {
        name: value
        for name, value in vars(paddle.optimizer.lr).items()
        if inspect.isclass(value) and issubclass(value, paddle.optimizer.lr.LRScheduler)
    }
    if "type" not in cfg:
        raise UsageError(f"{where}: must have a `type`; known are {', '.join(sorted(schedules))}")
    _check_name(cfg["type"], schedules, where, "schedule type")
    parameters = {
        k: v for k, v in cfg.items() if k not in ("type", "warmup_iters", "warmup_start_lr")
    }
    if cfg["type"] == "PolynomialDecay":
        parameters.setdefault("decay_steps", 1)  # SegBuilder takes it from iters
    _check_parameters(parameters, schedules[cfg["type"]], where)


def read_samples(dic: Mapping[str, Any], key: str) -> list[Sample]:
    """The samples that the config's `train_dataset` or `val_dataset` lists.

    Raises:
        SclcError: the list is missing, empty or malformed.
    """
    cfg = dic[key]
    return read_list(
        Path(cfg[LIST_KEYS[key]]), Path(cfg["dataset_root"]), cfg.get("separator", " ")
    )


def check_data(dic: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Read every listed image and mask, so that a bad file stops the run before it starts.

    Datasets of another type than PaddleSeg's `Dataset` keep their own format and checks.

    Raises:
        SclcError: with the first fault.
    """
    for key in keys:
        cfg = dic.get(key)
        if cfg is not None and cfg["type"] == "Dataset":
            check_samples(read_samples(dic, key), cfg["num_classes"], cfg.get("ignore_index", 255))


class Builder:
    """Builds a checked config's components, each once, with one-line errors.

    Attributes:
        config: the config.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._builder = SegBuilder(config)
        # The config is kept in the run folder; PaddleSeg would print it piece by piece.
        self._builder.show_msg = lambda *_: None

    @property
    def num_classes(self) -> int:
        """Classes of the model, background included."""
        return int(self.config.model_cfg["num_classes"])

    def __getattr__(self, name: str) -> Any:
        """The model, optimizer, loss, lr_scheduler, train_dataset or val_dataset."""
        try:
            # Parameter names start afresh, so that a checkpoint of the optimiser, which goes by
            # them, fits whatever else this process has built.
            with _no_chatter():
                if name == "model":
                    with paddle.utils.unique_name.guard():
                        return self._builder.model
                return getattr(self._builder, name)
        except (RuntimeError, AssertionError, ValueError, TypeError) as error:
            if isinstance(error, SclcError):
                raise
            reason = str(error).strip().splitlines()[-1] if str(error).strip() else repr(error)
            raise UsageError(f"config: {name}: {reason}") from error


@contextlib.contextmanager
def _no_chatter() -> Iterator[None]:
    """Without PaddleSeg's INFO lines: that SGD is named Momentum, and every parameter's name."""
    level, logger.log_level = logger.log_level, 1
    try:
        yield
    finally:
        logger.log_level = level
