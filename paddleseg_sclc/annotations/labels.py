"""Which annotation becomes which value in a mask, and what is drawn over what."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from paddleseg_sclc.annotations.model import AnnotationSet
from paddleseg_sclc.annotations.parsing import read_bytes, shown
from paddleseg_sclc.errors import UsageError

# The paper's authors convert this group to 255 and nothing else.
PAPER_GROUP = "Annotation Group 0"
PAPER_VALUE = 255


@dataclass(frozen=True)
class LabelMap:
    """Values of groups or names, drawn as ASAP draws them.

    Where a file has groups, an annotation goes by the name of the group it lies in directly, and
    one without a group is not drawn; where it has none, by its own name.

    Attributes:
        values: group or name -> 0 to 255. 0 with an order cuts a hole into what was drawn before.
        order: groups or names in drawing order: later ones lie above, and others are not drawn.
            Empty: the greatest value wins, whatever the order.
    """

    values: Mapping[str, int]
    order: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value in self.values.items():
            if not 0 <= value <= 255:
                raise ValueError(f"label of {name!r}: must be from 0 to 255, got {value}")

    def value_of(self, annotations: AnnotationSet, index: int) -> int | None:
        """The value an annotation is drawn with; None if it is not drawn."""
        annotation = annotations.annotations[index]
        name = annotation.group if annotations.groups else annotation.name
        if name is None or (self.order and name not in self.order):
            return None
        return self.values.get(name, 0)


def paper_labels(annotations: AnnotationSet) -> LabelMap | None:
    """The default: `Annotation Group 0` is 255 where it is in use, else every annotation is."""
    used = any(annotation.group == PAPER_GROUP for annotation in annotations)
    return LabelMap({PAPER_GROUP: PAPER_VALUE}, (PAPER_GROUP,)) if used else None


def value_of(annotations: AnnotationSet, index: int, labels: LabelMap | None = None) -> int | None:
    """The value of an annotation in a mask; None if it is not drawn. Labels as in `rasterize`."""
    labels = labels or paper_labels(annotations)
    return PAPER_VALUE if labels is None else labels.value_of(annotations, index)


def drawing_order(
    annotations: AnnotationSet, labels: LabelMap | None = None
) -> list[tuple[int, int]]:
    """(index of an annotation, value) in the order of drawing, each over those before it."""
    labels = labels or paper_labels(annotations)
    if labels is None:
        return [(index, PAPER_VALUE) for index in range(len(annotations))]
    drawn = [
        (index, value)
        for index in range(len(annotations))
        if (value := labels.value_of(annotations, index)) is not None
    ]
    if not labels.order:
        return sorted((pair for pair in drawn if pair[1] > 0), key=lambda pair: pair[1])
    place = {name: position for position, name in enumerate(labels.order)}

    def rank(pair: tuple[int, int]) -> int:
        annotation = annotations.annotations[pair[0]]
        return place[(annotation.group if annotations.groups else annotation.name) or ""]

    return sorted(drawn, key=rank)


def read_labels(path: str | os.PathLike[str]) -> LabelMap:
    """Read a label file.

    ```yaml
    labels:                # group, or name where a file has no groups: value
      Tumour: 255
      Necrosis: 0
    order: [Tumour, Necrosis]   # optional: drawing order, the last one wins
    ```

    Raises:
        SclcError: the file cannot be read.
        UsageError: it is no YAML of that form.
    """
    path = Path(path)
    try:
        data = read_bytes(path)
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(data)):
            raise UsageError(f"{path}: a label file must have no aliases (`*name`); write it out")
        content = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        line = " ".join(str(error).split())[:200]
        raise UsageError(f"{path}: a label file must be YAML, got: {line}") from error
    if not isinstance(content, dict) or not set(content) <= {"labels", "order"}:
        raise UsageError(
            f"{path}: a label file must hold `labels` and `order`, got {shown(content)}"
        )
    values = _checked_values(path, content.get("labels"))
    order = content.get("order") or []
    if not isinstance(order, list) or not all(str(name) in values for name in order):
        raise UsageError(f"{path}: order must be a list of names in labels, got {shown(order)}")
    return LabelMap(values, tuple(str(name) for name in order))


def _checked_values(path: Path, labels: Any) -> dict[str, int]:
    if not isinstance(labels, dict) or not labels:
        raise UsageError(f"{path}: labels must be `name: value` pairs, got {shown(labels)}")
    for name, value in labels.items():
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 255:
            raise UsageError(
                f"{path}: the label of {shown(name)} must be an integer from 0 to 255, "
                f"got {shown(value)}"
            )
    return {str(name): value for name, value in labels.items()}
