"""Read and write any of the annotation formats."""

import os
from pathlib import Path
from typing import Literal, get_args

from paddleseg_sclc.annotations import (
    asap,
    asap_writer,
    geojson,
    imagescope,
    imagescope_writer,
    ndpa,
)
from paddleseg_sclc.annotations.model import AnnotationSet, Finding
from paddleseg_sclc.annotations.ndpa import SlideFrame
from paddleseg_sclc.annotations.parsing import read_bytes, root_tag, shown
from paddleseg_sclc.errors import SclcError, UsageError

Format = Literal["asap", "geojson", "ndpa", "imagescope"]
FORMATS: tuple[Format, ...] = get_args(Format)
_BY_ROOT: dict[str, Format] = {
    asap_writer.ROOT: "asap",
    ndpa.ROOT: "ndpa",
    imagescope_writer.ROOT: "imagescope",
}
_BY_SUFFIX: dict[str, Format] = {
    ".xml": "asap",
    ".geojson": "geojson",
    ".json": "geojson",
    ".ndpa": "ndpa",
}
SUFFIXES = tuple(_BY_SUFFIX)


def read_annotations(
    path: str | os.PathLike[str], frame: SlideFrame | None = None, *, lenient: bool = False
) -> AnnotationSet:
    """Read an annotation file; its content says which format it is.

    Args:
        path: ASAP XML, GeoJSON, NDPA or ImageScope XML.
        frame: of the slide, which NDPA needs.
        lenient: leave out what cannot be understood, with a finding, instead of raising.

    Raises:
        SclcError: none of these formats, damaged, hostile or (unless lenient) malformed.
        UsageError: NDPA without a frame.
    """
    path = Path(path)
    data = read_bytes(path)
    kind = detect_format(data, path)
    if kind == "asap":
        return asap.parse_asap(data, path, lenient=lenient)
    if kind == "geojson":
        return geojson.parse_geojson(data, path, lenient=lenient)
    if kind == "imagescope":
        return imagescope.parse_imagescope(data, path, lenient=lenient)
    return ndpa.parse_ndpa(data, path, _needed(frame, path), lenient=lenient)


def detect_format(data: bytes, path: Path) -> Format:
    """The format of an annotation file's content; `path` is for messages.

    Raises:
        SclcError: none that is known, or a hostile document.
    """
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start in (b"{", b"["):
        return "geojson"
    root = root_tag(data, path)
    if root not in _BY_ROOT:
        known = "ASAP_Annotations (ASAP), annotations (NDPA) or Annotations (ImageScope)"
        raise SclcError(f"{path}: the root element must be {known}, got {shown(root)}")
    return _BY_ROOT[root]


def format_of(path: str | os.PathLike[str]) -> Format:
    """The format that a file name stands for; .xml is ASAP's.

    Raises:
        UsageError: none.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _BY_SUFFIX:
        raise UsageError(
            f"{path}: the name of an annotation file must end in {', '.join(SUFFIXES)}, "
            f"got {shown(suffix)}; choose another name or pass --format"
        )
    return _BY_SUFFIX[suffix]


def write_annotations(
    path: str | os.PathLike[str],
    annotations: AnnotationSet,
    kind: Format | None = None,
    frame: SlideFrame | None = None,
    holes: Literal["keyhole", "group"] = "keyhole",
) -> tuple[Finding, ...]:
    """Write an annotation file.

    Args:
        path: the file to write.
        annotations: what to write.
        kind: the format; None to go by the name's suffix.
        frame: of the slide, which NDPA needs.
        holes: how ASAP XML gets them, see `write_asap`.

    Returns:
        What the format cannot say, and was left out or written otherwise.

    Raises:
        SclcError: the file cannot be written.
        UsageError: no format of that name or suffix, or NDPA without a frame.
    """
    kind = kind or format_of(path)
    if kind == "asap":
        return asap.write_asap(path, annotations, holes=holes)
    if kind == "geojson":
        return geojson.write_geojson(path, annotations)
    if kind == "imagescope":
        return imagescope.write_imagescope(path, annotations, frame.mpp_x if frame else None)
    return ndpa.write_ndpa(path, annotations, _needed(frame, path))


def _needed(frame: SlideFrame | None, path: str | os.PathLike[str]) -> SlideFrame:
    if frame is None:
        raise UsageError(
            f"{path}: NDPA counts nanometres from the centre of the glass, which a Hamamatsu slide "
            "knows; pass --slide SLIDE.ndpi"
        )
    return frame
