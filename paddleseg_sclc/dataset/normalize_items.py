"""Which files are normalised, where each goes, and which of them share a fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paddleseg_sclc.dataset.sources import SLIDE_SUFFIXES
from paddleseg_sclc.dataset.stain_target import PICTURE_SUFFIXES, is_slide
from paddleseg_sclc.errors import UsageError


@dataclass(frozen=True)
class Item:
    """A file to normalise.

    Attributes:
        path: the file.
        output: what to write.
        source: whose stains it has: itself, if it is a slide, else its folder. A path below the
            output folder.
        slide: whether it is a slide.
    """

    path: Path
    output: Path
    source: str
    slide: bool

    @property
    def done(self) -> bool:
        """Whether the output is there and not older than the file."""
        return self.output.is_file() and self.output.stat().st_mtime >= self.path.stat().st_mtime


def find_items(inputs: Sequence[Path], output: Path) -> list[Item]:
    """Find the images and slides that the inputs name, folders with their subfolders.

    Of one folder, what is in it goes to the same place in `output`; several keep their names.

    Raises:
        UsageError: an input is not there, is neither or holds none, or two have one output.
    """
    items: list[Item] = []
    for given in inputs:
        root = given.parent if given.is_file() else given
        into = output / given.resolve().name if given.is_dir() and len(inputs) > 1 else output
        for path in _files(given, output):
            slide = is_slide(path)
            target = into / path.relative_to(root).with_suffix(".tif" if slide else ".png")
            source = (target if slide else target.parent).relative_to(output).as_posix()
            items.append(Item(path, target, source, slide))
    taken: dict[Path, Path] = {}
    for item in items:
        other = taken.setdefault(item.output, item.path)
        if other != item.path or item.output.resolve() == item.path.resolve():
            raise UsageError(
                f"{item.path}: its output {item.output} would overwrite {other}; rename one, or "
                "choose another --output"
            )
    return list(dict.fromkeys(items))


def _files(given: Path, output: Path) -> list[Path]:
    suffixes = {*PICTURE_SUFFIXES, *SLIDE_SUFFIXES}
    if given.is_file():
        if given.suffix.lower() not in suffixes:
            raise UsageError(f"{given}: must be an image or a slide, got a {given.suffix!r} file")
        return [given]
    if not given.is_dir():
        raise UsageError(f"{given}: must be an image, a slide or a folder, but is not there")
    files = [
        path
        for path in sorted(given.rglob("*"))
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(given).parts)
        and output.resolve() not in path.resolve().parents
    ]
    if not files:
        raise UsageError(f"{given}: must hold images or slides, but has none")
    return files
