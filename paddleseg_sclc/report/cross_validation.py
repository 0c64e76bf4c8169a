"""Cross-validation: every fold trained and validated, in folders that tools/val.py joins.

OUTPUT/NAME/foldK                  a run folder of each fold; NAME is the config's
OUTPUT/NAME/cross_validation.json  which folds there are, and of which dataset
OUTPUT/folds                       their lists, where the dataset has none of its own
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from paddleseg_sclc.dataset.paddleseg_format import TRAIN_LIST, VAL_LIST
from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.files import atomic_path
from paddleseg_sclc.report.entries import CROSS_VALIDATION
from paddleseg_sclc.report.fold_lists import FoldLists, find_folds
from paddleseg_sclc.training.checkpoint import read_state
from paddleseg_sclc.training.loop import TrainingOptions
from paddleseg_sclc.training.run_folder import RunFolder
from paddleseg_sclc.training.start import run_training

# A fold's config -> the options of its run.
MakeTraining = Callable[[Any], TrainingOptions]
# Overrides of values -> a checked config.
LoadConfig = Callable[[str, Sequence[str]], Any]


@dataclass(frozen=True)
class Plan:
    """What is to be cross-validated.

    Attributes:
        configs: of the networks.
        output: see the module.
        load: reads a config with overrides.
        make_training: options of a run.
        device: for the record.
        dataset: in place of that of the first config.
        folds: how many; see `find_folds`.
        seed: of the draw of folds.
    """

    configs: Sequence[str]
    output: Path
    load: LoadConfig
    make_training: MakeTraining
    device: str
    dataset: Path | None = None
    folds: int | None = None
    seed: int = 0


def cross_validate(plan: Plan) -> bool:
    """Train and validate every fold of every config; finished ones are left as they are.

    Returns:
        False if it was stopped; the same call goes on.

    Raises:
        UsageError: configs or folds contradict one another, or a folder holds something else.
        SclcError: the data cannot be used.
    """
    names = [Path(config).stem for config in plan.configs]
    if len(set(names)) < len(names):
        raise UsageError("--config: the files' names must differ, since they name the folders")
    root = plan.dataset or _root(plan.load(plan.configs[0], []))
    lists = find_folds(root, plan.folds, plan.output / "folds", plan.seed)
    print(f"{root}: {len(lists.folders)} folds by {'patient' if lists.by_patient else 'patch'}")
    if not lists.by_patient:
        print("patients are not known: patches of one patient may be on both sides")
    # All configs are read before the first one trains for hours.
    jobs = [
        (name, [(folder, plan.load(config, _places(root, folder))) for folder in lists.folders])
        for name, config in zip(names, plan.configs, strict=True)
    ]
    for name, fold_configs in jobs:
        _write_plan(plan.output / name, root, lists)
        for folder, config in fold_configs:
            if not _train_fold(plan, plan.output / name / folder.name, config):
                return False
    return True


def _root(config: Any) -> Path:
    if "val_dataset" not in config.dic:
        raise UsageError("the config must have a val_dataset; add one, or pass --dataset")
    return Path(config.dic["val_dataset"]["dataset_root"])


def _places(root: Path, folder: Path) -> list[str]:
    return [
        f"train_dataset.dataset_root={root}",
        f"train_dataset.train_path={folder / TRAIN_LIST}",
        f"val_dataset.dataset_root={root}",
        f"val_dataset.val_path={folder / VAL_LIST}",
    ]


def _write_plan(folder: Path, root: Path, lists: FoldLists) -> None:
    content = {
        "dataset": str(root),
        "by": "patient" if lists.by_patient else "patch",
        "folds": [path.name for path in lists.folders],
    }
    with atomic_path(folder / CROSS_VALIDATION) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def _train_fold(plan: Plan, folder: Path, config: Any) -> bool:
    """Train one fold; False if it was stopped."""
    run = RunFolder(folder)
    options = plan.make_training(config)
    resume = None
    if run.config.is_file():
        _check_same(run, config)
        newest = run.newest_checkpoint()
        if newest is not None and int(read_state(newest)["iteration"]) >= options.iters:
            print(f"{folder}: finished already", flush=True)
            return True
        resume = "auto"
    print(f"== {folder}", flush=True)
    done = run_training(config, run, options, plan.device, do_eval=True, resume=resume)
    return done >= options.iters


def _check_same(run: RunFolder, config: Any) -> None:
    """Check that a run to go on with is of this config."""
    try:
        own = yaml.safe_load(run.config.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SclcError(f"{run.config}: cannot be read ({error})") from error
    asked = yaml.safe_load(yaml.safe_dump(dict(config.dic)))
    if own != asked:
        keys = sorted(k for k in {*own, *asked} if own.get(k) != asked.get(k))
        raise UsageError(
            f"{run.path}: holds a run of another config (other {', '.join(keys)}); choose another "
            "--save_dir, or the options it was started with"
        )
