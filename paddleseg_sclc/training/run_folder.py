"""The run folder: all that later steps need to know of a training run.

RUN/config.yml            the resolved config, without `_base_`
RUN/environment.json      versions, device, seed, command
RUN/history.csv           a row every log interval and every validation
RUN/vdlrecords.*.log      VisualDL, with --use_vdl
RUN/iter_N/               checkpoints (see checkpoint.py), the last few
RUN/best_model/           weights that were best on the validation set
RUN/best_iter_N/          the best few, with `training.keep_best` over 1
RUN/non_finite_iter_N/    the state before a batch whose loss was no number, and its files' names
RUN/stain_target.json     what the training patches were normalised to, if they were
RUN/dataset.json          what the training patches were made from and with, if that is known
"""

import csv
import json
import platform
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

import paddleseg_sclc
from paddleseg_sclc.dataset.paddleseg_format import INFO, STAIN_TARGET
from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.files import atomic_path, make_folder, write_error
from paddleseg_sclc.training.checkpoint import STATE, WEIGHTS, read_state

CONFIG = "config.yml"
ENVIRONMENT = "environment.json"
HISTORY = "history.csv"
BEST_MODEL = "best_model"
_PACKAGES = ("paddlepaddle", "paddlepaddle-gpu", "paddleseg", "numpy", "opencv-python",
             "opencv-python-headless")  # fmt: skip


class RunFolder:
    """Paths of a run folder, and what is written to it.

    Args:
        path: the folder; need not exist yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / CONFIG

    @property
    def best_model(self) -> Path:
        """The folder with the best weights."""
        return self.path / BEST_MODEL

    def checkpoint(self, iteration: int) -> Path:
        """The folder of one checkpoint."""
        return self.path / f"iter_{iteration}"

    def checkpoints(self) -> list[Path]:
        """Folders of all checkpoints, newest first, whole or not."""
        found = [
            (int(folder.name[5:]), folder)
            for folder in self.path.glob("iter_*")
            if folder.name[5:].isdigit() and (folder / STATE).is_file()
        ]
        return [folder for _, folder in sorted(found, reverse=True)]

    def newest_checkpoint(self) -> Path | None:
        """The newest checkpoint that is whole; None where there is none."""
        for folder in self.checkpoints():
            try:
                read_state(folder)
            except SclcError as error:
                print(f"passed over: {error}", file=sys.stderr)
            else:
                return folder
        return None

    def require_weights(self) -> Path:
        """The best weights, or where nothing was validated the newest.

        Raises:
            SclcError: this is no run folder, or holds no weights yet.
        """
        if not self.config.is_file():
            raise SclcError(
                f"{self.path}: must be a run folder of tools/train.py, but has no {CONFIG}; give "
                "the folder that --save_dir named"
            )
        candidates = [self.best_model, *self.checkpoints()]
        for folder in candidates:
            if (folder / WEIGHTS).is_file():
                return folder / WEIGHTS
        raise SclcError(
            f"{self.path}: has no weights yet (no {BEST_MODEL}/, no iter_N/); let tools/train.py "
            "reach its first --save_interval"
        )

    def start(self, config: Mapping[str, Any], seed: int, device: str, resuming: bool) -> None:
        """Write config and environment.

        Raises:
            UsageError: another run is here already.
            SclcError: the folder cannot be written to.
        """
        if self.config.exists() and not resuming:
            raise UsageError(
                f"{self.path}: holds a run already; go on with it by --resume_model auto, or "
                "choose another --save_dir"
            )
        make_folder(self.path)
        with atomic_path(self.config) as temporary:
            text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
            temporary.write_text(text, encoding="utf-8")
        with atomic_path(self.path / ENVIRONMENT) as temporary:
            content = json.dumps(_environment(seed, device), indent=2, ensure_ascii=False)
            temporary.write_text(content + "\n", encoding="utf-8")
        self._keep_dataset_files(config)

    def _keep_dataset_files(self, config: Mapping[str, Any]) -> None:
        root = config.get("train_dataset", {}).get("dataset_root")
        for name in (STAIN_TARGET, INFO) if root else ():
            source = Path(root) / name
            if source.is_file():
                with atomic_path(self.path / name) as temporary:
                    shutil.copyfile(source, temporary)

    def best_iteration(self, iteration: int) -> Path:
        """The folder of one of the best few models."""
        return self.path / f"best_iter_{iteration}"

    def keep_best_iterations(self, iterations: Iterable[int]) -> None:
        """Remove the folders of models that are no longer among the best few."""
        kept = {self.best_iteration(iteration) for iteration in iterations}
        for folder in self.path.glob("best_iter_*"):
            if folder.name[10:].isdigit() and folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def remove_old_checkpoints(self, keep: int) -> None:
        """Remove all but the newest `keep` checkpoints."""
        for folder in self.checkpoints()[keep:]:
            shutil.rmtree(folder, ignore_errors=True)


def _environment(seed: int, device: str) -> dict[str, Any]:
    versions = {"paddleseg_sclc": paddleseg_sclc.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "command": sys.argv,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seed": seed,
        "device": device,
        "platform": platform.platform(),
        "versions": versions,
    }


class History:
    """history.csv, a row a call; on resuming, rows after the resumed iteration are dropped.

    Args:
        path: the CSV file.
        columns: its columns, `iteration` first.
        iteration: iterations done already.
    """

    def __init__(self, path: Path, columns: Sequence[str], iteration: int = 0) -> None:
        self.path = path
        self.columns = list(columns)
        rows = [
            row for row in read_history(path) if int(row["iteration"]) <= iteration
        ] if path.is_file() and iteration else []  # fmt: skip
        with atomic_path(path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, self.columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row; columns that it lacks stay empty."""
        try:
            with open(self.path, "a", newline="") as file:
                csv.DictWriter(file, self.columns).writerow(row)
        except OSError as error:
            raise write_error(self.path, error) from error


def read_history(path: Path) -> list[dict[str, str]]:
    """The rows of a history.csv."""
    with open(path, newline="") as file:
        rows: Iterable[dict[str, str]] = csv.DictReader(file)
        return [row for row in rows if row.get("iteration", "").isdigit()]
