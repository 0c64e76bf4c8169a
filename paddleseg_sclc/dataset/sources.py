"""Which slides there are, which annotation belongs to each, and which patient."""

import csv
import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from paddleseg_sclc.errors import SclcError, UsageError

SLIDE_SUFFIXES = (
    ".ndpi", ".svs", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".czi", ".tif", ".tiff",
)  # fmt: skip
ANNOTATION_SUFFIXES = (".xml", ".geojson", ".json", ".ndpa")
# Pictures are no slides; with an annotation beside one and no slide, somebody thinks it is.
_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".jp2")
_FORBIDDEN = '/\\:*?"<>|'
_MAX_NAME = 80


@dataclass(frozen=True)
class SlideSource:
    """A slide to make patches of.

    Attributes:
        path: of the slide.
        annotation: the file that annotates it.
        name: unique in the dataset, for file names: no blanks, nothing a file system refuses.
        patient: whom it is of; the slide's name where nothing else is known.
    """

    path: Path
    annotation: Path
    name: str
    patient: str


@dataclass(frozen=True)
class Problem:
    """Something that keeps a slide or an annotation out of the dataset.

    Attributes:
        where: the slide's file name, by which problems are sorted.
        message: one line.
    """

    where: str
    message: str


def find_slides(
    slides: Path,
    annotations: Path | None = None,
    patients: Mapping[str, str] | None = None,
) -> tuple[list[SlideSource], list[Problem]]:
    """Find all slides below a folder, each with the annotation that has its name.

    Beside `case 7.ndpi` an annotation is `case 7.xml`, `.geojson`, `.json`, `.ndpa` or, as
    Hamamatsu names it, `case 7.ndpi.ndpa`.

    Args:
        slides: a folder, searched with its subfolders, or one slide.
        annotations: where the annotations lie, if not beside the slides.
        patients: slide (file name or stem) -> patient.

    Returns:
        Slides in the order of their names, and what is wrong with others.

    Raises:
        UsageError: no such folder, or it holds no slide.
    """
    files = _files(slides)
    paths = [p for p in files if p.suffix.lower() in SLIDE_SUFFIXES]
    beside = files if annotations is None else _files(annotations)
    by_stem = defaultdict(list)
    for path in beside:
        if path.suffix.lower() in ANNOTATION_SUFFIXES:
            by_stem[_annotated_stem(path)].append(path)
    places = {(path.parent, path.stem) for path in paths}
    paths += [
        p
        for p in files
        if p.suffix.lower() in _PICTURE_SUFFIXES
        and (p.parent, p.stem) not in places
        and _beside(p, by_stem[p.stem], annotations)
    ]
    if not paths:
        raise UsageError(
            f"{slides}: must hold slides ({', '.join(SLIDE_SUFFIXES[:4])}, ...), but has none"
        )
    sources, problems = _pair(sorted(paths), by_stem, annotations, slides, patients or {})
    used = {p for source in sources for p in by_stem[source.path.stem]}
    if annotations is None:
        stems = {(path.parent, path.stem) for path in paths}
        problems += [
            Problem(path.name, f"{path}: an annotation without its slide; there must be a slide "
                    "of this name beside it")
            for path in beside
            if path.suffix.lower() in (".xml", ".ndpa", ".geojson")
            and path not in used
            and (path.parent, _annotated_stem(path)) not in stems
        ]  # fmt: skip
    return sources, problems


def _pair(
    paths: list[Path],
    by_stem: Mapping[str, list[Path]],
    annotations: Path | None,
    root: Path,
    patients: Mapping[str, str],
) -> tuple[list[SlideSource], list[Problem]]:
    sources, problems = [], []
    same_name = defaultdict(list)
    for path in paths:
        same_name[path.stem].append(path)
    names = unique_names([_shown(path, root) for path in paths], [path.stem for path in paths])
    for path, name in zip(paths, names, strict=True):
        found = _beside(path, by_stem.get(path.stem, []), annotations)
        problem = None
        if len(same_name[path.stem]) > 1:
            others = ", ".join(_shown(p, root) for p in same_name[path.stem] if p != path)
            problem = f"the slide's name must be unique, but {others} has it too; rename one"
        elif not found:
            folder = annotations or path.parent
            problem = f"must have an annotation {path.stem}.xml (or .geojson, .ndpa) in {folder}"
        elif len(found) > 1:
            files = ", ".join(p.name for p in found)
            problem = f"must have one annotation file, got {files}; move the others away"
        if problem:
            problems.append(Problem(path.name, f"{path}: {problem}"))
        else:
            patient = patients.get(path.name) or patients.get(path.stem) or path.stem
            sources.append(SlideSource(path, found[0], name, patient))
    return sources, problems


def _beside(path: Path, candidates: Iterable[Path], annotations: Path | None) -> list[Path]:
    """The annotation files that are this slide's: in its folder, or in the one given."""
    return [c for c in candidates if annotations is not None or c.parent == path.parent]


def _annotated_stem(path: Path) -> str:
    """`case.ndpi.ndpa` and `case.ndpa` both annotate `case`."""
    stem = Path(path.stem)
    return stem.stem if stem.suffix.lower() in SLIDE_SUFFIXES else path.stem


def _files(folder: Path) -> list[Path]:
    """All files below a folder, hidden ones (and macOS' `._` doubles) left out, sorted."""
    if folder.is_file():
        same = [p for p in folder.parent.iterdir() if _annotated_stem(p) == folder.stem]
        return sorted({folder, *(p for p in same if p.suffix.lower() in ANNOTATION_SUFFIXES)})
    if not folder.is_dir():
        raise UsageError(f"{folder}: must be a folder of slides, but there is none")
    return sorted(
        path
        for path in folder.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if root in path.parents else path.name


def unique_names(keys: list[str], stems: list[str]) -> list[str]:
    """File-name parts for slides: readable, without blanks, and no two alike on any file system.

    Letters of any script stay. A name that had to be changed so that another could be mistaken
    for it carries six hexadecimal digits of its key.

    Args:
        keys: what makes each slide unique, such as its relative path.
        stems: their file names without suffix.

    Returns:
        Names, in the same order. They depend on nothing but keys and stems.
    """
    plain = [safe_name(stem) for stem in stems]
    taken: dict[str, int] = defaultdict(int)
    for name in plain:
        taken[name.casefold()] += 1
    return [
        name
        if name and taken[name.casefold()] == 1
        else f"{name or 'slide'}-{hashlib.sha256(key.encode()).hexdigest()[:6]}"
        for key, name in zip(keys, plain, strict=True)
    ]


def safe_name(text: str) -> str:
    """A part of a file name: blanks and what file systems refuse become `_`; may be empty."""
    text = unicodedata.normalize("NFC", text)
    kept = [
        "_" if c.isspace() or c in _FORBIDDEN or unicodedata.category(c)[0] == "C" else c
        for c in text
    ]
    name = "".join(kept).lstrip(".-")[:_MAX_NAME].rstrip(".")
    # 255 bytes are what file systems take; patches add position and variant.
    while len(name.encode()) > 2 * _MAX_NAME:
        name = name[:-1]
    return name


def read_patients(path: Path) -> dict[str, str]:
    """Read a CSV with the columns `slide,patient` (a heading is optional).

    Raises:
        UsageError: no such file.
        SclcError: it cannot be read, or a slide has two patients.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [
                [c.strip() for c in row] for row in csv.reader(file) if any(map(str.strip, row))
            ]
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such patients file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SclcError(f"{path}: a patients file must be UTF-8 CSV ({error})") from error
    if rows and rows[0][0].lower() == "slide":
        rows = rows[1:]
    patients: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        if len(row) != 2 or not all(row):
            raise SclcError(f"{path}: row {number} must be `slide,patient`, got {','.join(row)!r}")
        if patients.setdefault(row[0], row[1]) != row[1]:
            raise SclcError(f"{path}: slide {row[0]} must have one patient, got two")
    return patients
