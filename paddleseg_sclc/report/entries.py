"""The rows of a table before they are measured: runs, cross-validations, ready predictions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from paddleseg_sclc.dataset.paddleseg_format import (
    CLASSES,
    STAIN_TARGET,
    VAL_LIST,
    Sample,
    check_samples,
    read_info,
    read_list,
)
from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.inference.stains import read_training_stain
from paddleseg_sclc.report.provenance import Provenance, read_provenance
from paddleseg_sclc.report.ready import ReadyFiles, find_ready
from paddleseg_sclc.training.checkpoint import WEIGHTS
from paddleseg_sclc.training.config import check_data, load_config, read_samples
from paddleseg_sclc.training.run_folder import BEST_MODEL, HISTORY, RunFolder, read_history
from paddleseg_sclc.training.trained import Trained, find_trained

CROSS_VALIDATION = "cross_validation.json"
Weights = Literal["best", "last"]


@dataclass(frozen=True)
class Part:
    """A network, or a folder of predictions, and the images that it is evaluated on.

    Attributes:
        root: the dataset.
        samples: what to evaluate on.
        num_classes: of the labels.
        provenance: of the dataset.
        trained: the network; None for ready predictions.
        run: its run folder, if it has one.
        ready: the predictions, of each sample.
    """

    root: Path
    samples: Sequence[Sample]
    num_classes: int
    provenance: Provenance
    trained: Trained | None = None
    run: Path | None = None
    ready: Sequence[ReadyFiles] = ()


@dataclass(frozen=True)
class Entry:
    """A row of the table.

    Attributes:
        name: of the row.
        parts: one, or the folds of a cross-validation.
        notes: what a reader of the row must know.
    """

    name: str
    parts: Sequence[Part]
    notes: Sequence[str] = ()

    @property
    def num_classes(self) -> int:
        """Of the labels."""
        return self.parts[0].num_classes


class EntryFinder:
    """Finds what the command line names; a dataset is read once.

    Args:
        opts: `key.subkey=value` each, over the configs' values.
        dataset: evaluate on its val.txt in place of the configs'.
        weights: `best` for those that validated best, `last` for the newest checkpoint's.
    """

    def __init__(
        self,
        opts: Sequence[str] | None = None,
        dataset: Path | None = None,
        weights: Weights = "best",
    ) -> None:
        self._opts = list(opts or [])
        self._dataset = dataset
        self._weights = weights
        self._provenances: dict[Path, Provenance] = {}
        if dataset is not None:
            self._opts += [
                f"val_dataset.dataset_root={dataset}",
                f"val_dataset.val_path={dataset / VAL_LIST}",
            ]

    def provenance(self, root: Path) -> Provenance:
        """The provenance of a dataset.

        Raises:
            SclcError: its manifest cannot be read.
        """
        key = root.resolve()
        if key not in self._provenances:
            self._provenances[key] = read_provenance(root)
        return self._provenances[key]

    def run(self, folder: str) -> Entry:
        """A run folder of tools/train.py, or a folder of tools/cross_validate.py.

        Raises:
            UsageError: --dataset with a cross-validation.
            SclcError: there are no weights, or the data cannot be used.
        """
        plan = Path(folder) / CROSS_VALIDATION
        if not plan.is_file():
            part = self._part(self._trained(folder), Path(folder))
            return Entry(part.trained.name, [part], self._notes(part))  # type: ignore[union-attr]
        if self._dataset is not None:
            raise UsageError(
                f"{folder}: is a cross-validation, whose folds validate on patients of their own; "
                "leave --dataset out, or name one of its folds"
            )
        folds = [Path(folder) / name for name in read_plan(plan)["folds"]]
        parts = [self._part(self._trained(str(fold)), fold) for fold in folds]
        notes = [f"{len(parts)} folds joined: each image is predicted by the network of the fold "
                 "that did not train on it"]  # fmt: skip
        notes += dict.fromkeys(note for part in parts for note in self._notes(part))
        return Entry(Path(folder).name, parts, notes)

    def files(self, config: str, model_path: str) -> Entry:
        """A config and its weights, as PaddleSeg's tools name them."""
        part = self._part(find_trained(None, config, model_path, self._opts), None)
        return Entry(part.trained.name, [part])  # type: ignore[union-attr]

    def predictions(self, name: str, folder: Path, like: Part | None) -> Entry:
        """A folder of ready predictions.

        Args:
            name: of the row.
            folder: see `find_ready`.
            like: whose images they are of; None for those of --dataset.

        Raises:
            UsageError: no dataset is named.
            SclcError: a prediction is missing, or the data cannot be used.
        """
        if self._dataset is None and like is None:
            raise UsageError("--predictions: needs --dataset DIR, or a --run whose images they are")
        if self._dataset is not None:
            root, classes = self._dataset, number_of_classes(self._dataset)
            samples: Sequence[Sample] = read_list(root / VAL_LIST, root)
            check_samples(samples, classes)
        else:
            assert like is not None
            root, classes, samples = like.root, like.num_classes, like.samples
        ready = find_ready(folder, samples, root)
        part = Part(root, samples, classes, self.provenance(root), None, None, ready)
        return Entry(name, [part])

    def _trained(self, folder: str) -> Trained:
        if self._weights == "best":
            return find_trained(folder, None, None, self._opts)
        RunFolder(folder).require_weights()
        checkpoint = RunFolder(folder).newest_checkpoint()
        if checkpoint is None:
            raise SclcError(f"{folder}: has no checkpoint (iter_N/); pass --weights best")
        return find_trained(folder, None, str(checkpoint / WEIGHTS), self._opts)

    def _part(self, trained: Trained, run: Path | None) -> Part:
        dic = trained.config.dic
        if "val_dataset" not in dic:
            raise UsageError(f"{trained.name}: the config must have a val_dataset; add one")
        check_data(dic, ["val_dataset"])
        root = Path(dic["val_dataset"]["dataset_root"])
        samples = read_samples(dic, "val_dataset")
        classes = int(dic["val_dataset"]["num_classes"])
        return Part(root, samples, classes, self.provenance(root), trained, run)

    def _notes(self, part: Part) -> list[str]:
        """What a reader must know of the weights, and of the colours of the images."""
        assert part.run is not None
        return [*self._weights_notes(part), *stain_notes(part.run, part.root)]

    def _weights_notes(self, part: Part) -> list[str]:
        run, trained = part.run, part.trained
        assert run is not None and trained is not None
        if trained.weights.parent.name != BEST_MODEL:
            if self._weights == "last":
                return [f"weights of the last checkpoint, {trained.weights.parent.name}"]
            return [
                f"has no best model (trained without --do_eval): its newest checkpoint "
                f"{trained.weights.parent.name} is measured"
            ]
        validations = count_validations(run)
        if validations < 2 or not _validated_on(run, part.samples):
            return []
        return [
            f"its best of {validations} validations was chosen on these very images, which "
            "flatters it; --weights last was not chosen so"
        ]


def stain_notes(run: Path, dataset: Path) -> list[str]:
    """Whether images have other colours than those that a run was trained on.

    Raises:
        SclcError: a stain_target.json cannot be read.
    """
    targets = []
    for folder in (run, dataset):
        stain = read_training_stain(folder)
        targets.append(None if stain is None else stain.normalizer.to_dict())
    if targets[0] == targets[1]:
        return []
    was = ["not normalised" if x is None else f"normalised ({x['method']})" for x in targets]
    return [
        f"trained on patches that were {was[0]}, measured on images that were {was[1]}"
        f"{' to another target' if None not in targets else ''}: compare {STAIN_TARGET} of the run "
        "and of the dataset, and prepare the images as the patches were"
    ]


def training_samples(part: Part) -> tuple[list[Sample], Path] | None:
    """What a network was trained on, and its dataset; None where that is not there any more."""
    if part.trained is None or "train_dataset" not in part.trained.config.dic:
        return None
    dic = part.trained.config.dic
    try:
        return read_samples(dic, "train_dataset"), Path(dic["train_dataset"]["dataset_root"])
    except SclcError:
        return None


def read_plan(path: Path) -> dict[str, Any]:
    """Read a cross_validation.json.

    Raises:
        SclcError: it is not what tools/cross_validate.py writes.
    """
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        folds = plan["folds"]
        if not folds or not all(isinstance(f, str) and Path(f).name == f for f in folds):
            raise ValueError("folds must be names of folders")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SclcError(
            f"{path}: must be what tools/cross_validate.py writes ({error}); run it again"
        ) from error
    return plan


def number_of_classes(root: Path) -> int:
    """Classes of a dataset by its dataset.json; two where it does not say."""
    try:
        return len(read_info(root)["classes"])
    except (SclcError, KeyError, TypeError):
        return len(CLASSES)


def count_validations(run: Path) -> int:
    """How often a run validated."""
    path = run / HISTORY
    return sum(bool(row.get("miou")) for row in read_history(path)) if path.is_file() else 0


def _validated_on(run: Path, samples: Sequence[Sample]) -> bool:
    """Whether a run chose its best model on some of these images."""
    try:
        own = read_samples(load_config(RunFolder(run).config).dic, "val_dataset")
    except (SclcError, KeyError):
        return False
    return bool({s.image.resolve() for s in own} & {s.image.resolve() for s in samples})
