"""What colours are normalised to: a name, a file of figures, an image or a slide."""

from pathlib import Path
from typing import Any

from paddleseg_sclc.dataset.normalize import fit_slide
from paddleseg_sclc.dataset.paddleseg_format import read_image
from paddleseg_sclc.dataset.sources import SLIDE_SUFFIXES
from paddleseg_sclc.errors import SclcError, TissueError, UsageError
from paddleseg_sclc.slides.reader import open_slide
from paddleseg_sclc.stain import METHODS, StainNormalizer
from paddleseg_sclc.stain.targets import BUILT_IN

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def make_normalizer(
    target: str, method: str = "vahadane", mpp: float | None = None
) -> StainNormalizer:
    """Return an unfitted normaliser to a target.

    Args:
        target: "warwick"; a JSON file, whose normaliser (of any fit, dataset or run) has the
            target; an image; or a slide.
        method: "vahadane", "macenko" or "reinhard".
        mpp: micrometres a level-0 pixel, where the target is a slide that does not say.

    Raises:
        UsageError: there is no such target, or the JSON is of another method.
        TissueError: too little stained tissue to be a target.
        SclcError: the file cannot be read.
    """
    if method not in METHODS:
        raise UsageError(f"method: must be {' or '.join(METHODS)}, got {method!r}")
    kind: Any = METHODS[method]
    path = Path(target)
    if target in BUILT_IN:
        return kind(target=target)
    if not path.is_file():
        raise UsageError(
            f"target: must be {' or '.join(BUILT_IN)} or a JSON, image or slide, but there is no "
            f"file {target!r}"
        )
    if path.suffix.lower() == ".json":
        saved = StainNormalizer.load(path)
        if saved.method != method:
            raise UsageError(f"{path}: must be of the method {method}, got {saved.method}")
        return type(saved)(**saved.options(), target=saved.target)
    if is_slide(path):
        with open_slide(path, mpp) as slide:
            return kind(target=fit_slide(slide, kind()).source)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise UsageError(f"{path}: must be a JSON, an image or a slide to be a target")
    try:
        return kind(target=read_image(path))
    except TissueError as error:
        raise TissueError(str(error).replace("target", str(path), 1)) from error


def is_slide(path: Path) -> bool:
    """Say whether a file is a slide by its name; of a TIFF, whether OpenSlide reads it."""
    suffix = path.suffix.lower()
    if suffix not in PICTURE_SUFFIXES:
        return suffix in SLIDE_SUFFIXES
    if suffix not in SLIDE_SUFFIXES:
        return False
    try:
        open_slide(path).close()
    except SclcError:
        return False
    return True
