"""Annotation files come from strangers: what is checked before anything in them is believed."""

import io
import math
import os
import re
import reprlib
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

from lxml import etree

from paddleseg_sclc.annotations.model import MAX_COORDINATE
from paddleseg_sclc.errors import SclcError

# Camelyon's largest file has 8 MB. A file of this size holds some two million points.
MAX_BYTES = 128 * 2**20
# Elements of XML or lists of JSON: each takes 100 bytes and more of memory.
MAX_ELEMENTS = 6_000_000
MAX_NAME = 1000

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_COLOR = re.compile(r"#([0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_ENCODING = re.compile(rb"^<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read an annotation file whole.

    Raises:
        SclcError: missing, not readable, empty or larger than MAX_BYTES.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise SclcError(
                f"{path}: an annotation file must be at most {MAX_BYTES >> 20} MB, "
                f"got {size >> 20} MB; split it"
            )
        data = path.read_bytes()
    except OSError as error:
        raise SclcError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not data.strip(b"\xef\xbb\xbf \t\r\n\0"):
        raise SclcError(f"{path}: an annotation file must hold annotations, got an empty file")
    return data


def root_tag(data: bytes, where: object) -> str:
    """Name of an XML document's root element, read without touching the rest.

    Raises:
        SclcError: not XML, or a document type definition precedes the root: that is where
            entities (bombs, files of this machine) come from, and no annotation program writes one.
    """
    found: list[str] = []
    doctype: list[str] = []
    parser = expat.ParserCreate()

    def stop(name: str, attributes: dict[str, str]) -> None:
        found.append(name)
        raise _RootSeen

    def refuse(*_: object) -> None:
        doctype.append("")
        raise _RootSeen

    parser.StartElementHandler = stop
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(_as_utf8(data, where), True)
    except _RootSeen:
        pass
    except expat.ExpatError as error:
        raise SclcError(f"{where}: must be XML, got {_first(data)}: {error}") from error
    if doctype:
        raise SclcError(
            f"{where}: annotation XML must have no DOCTYPE, got one; entities are not "
            "accepted: remove the <!DOCTYPE ...> part if you trust the file"
        )
    return found[0]


def xml_elements(data: bytes, tags: tuple[str, ...], where: object) -> Iterator[etree._Element]:
    """Yield each element of one of these names when it is complete, and drop it afterwards.

    Neither entities nor DTDs nor the network are touched; memory holds one element at a time,
    so an element must not lie in another of `tags`.

    Raises:
        SclcError: not well-formed XML, or with a DOCTYPE.
    """
    root_tag(data, where)
    data = _as_utf8(data, where)
    check_elements(data.count(b"<"), where)
    events = etree.iterparse(
        io.BytesIO(data),
        events=("end",),
        tag=tags,
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        for _, element in events:
            yield element
            element.clear(keep_tail=False)
            parent = element.getparent()
            while parent is not None and element.getprevious() is not None:
                del parent[0]
    except etree.XMLSyntaxError as error:
        reason = " ".join(str(error.msg).split())
        raise SclcError(f"{where}: must be well-formed XML, got: {reason}") from error


def check_elements(count: int, where: object) -> None:
    """Refuse documents that would fill the memory.

    Raises:
        SclcError: there are more than MAX_ELEMENTS.
    """
    if count > MAX_ELEMENTS:
        raise SclcError(
            f"{where}: an annotation file must have at most {MAX_ELEMENTS:,} elements, got some "
            f"{count:,}; split it"
        )


def parse_number(text: str | None, limit: float = MAX_COORDINATE) -> float:
    """Read a coordinate; a comma counts as the decimal point.

    Raises:
        ValueError: no number, not finite or farther from 0 than `limit`.
    """
    text = (text or "").strip()
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"must be a number, got {shown(text)}")
    value = float(text.replace(",", "."))
    if not math.isfinite(value) or abs(value) > limit:
        raise ValueError(f"must lie within +-{limit:g}, got {shown(text)}")
    return value


def parse_color(text: str | None) -> str | None:
    """`#RRGGBB` (or Qt's `#AARRGGBB`) in capitals; None for anything else."""
    return text.upper() if text and _COLOR.fullmatch(text) else None


def clean_text(text: object) -> str:
    """A name without control characters, which no XML can hold, and of bounded length."""
    return _CONTROL.sub("", "" if text is None else str(text))[:MAX_NAME]


def shown(text: object) -> str:
    """A value from a file as it goes into a message: quoted, short, on one line."""
    if not isinstance(text, str):
        text = reprlib.repr(text)
    return repr(text if len(text) <= 40 else text[:40] + "...")


class _RootSeen(Exception):  # noqa: N818 - a signal, not an error
    """Stops expat at the root element."""


def _as_utf8(data: bytes, where: object) -> bytes:
    """The document as UTF-8; other encodings (UTF-16, GB2312, Shift-JIS) are decoded by Python."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    else:
        match = _ENCODING.match(data.removeprefix(b"\xef\xbb\xbf").lstrip()[:200])
        encoding = match[1].decode("ascii").lower() if match else "utf-8"
    if encoding in ("utf-8", "utf8", "us-ascii", "ascii"):
        return data.removeprefix(b"\xef\xbb\xbf").lstrip()
    try:
        text = data.decode(encoding)
    except (LookupError, ValueError) as error:
        raise SclcError(f"{where}: must be text in its encoding {encoding}: {error}") from error
    return re.sub(r"^\s*<\?xml[^>]*\?>", "", text).encode("utf-8", errors="replace")


def _first(data: bytes) -> str:
    return repr(data[:20].decode("latin-1"))
