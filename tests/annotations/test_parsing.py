"""Hostile files."""

import time

import pytest

from paddleseg_sclc.annotations import parsing
from paddleseg_sclc.annotations.formats import read_annotations
from paddleseg_sclc.annotations.ndpa import SlideFrame
from paddleseg_sclc.annotations.parsing import parse_number
from paddleseg_sclc.errors import SclcError

FRAME = SlideFrame(1000, 1000, 0.5, 0.5)
LOL = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
BOMB = f'<?xml version="1.0"?><!DOCTYPE ASAP_Annotations [<!ENTITY l0 "lol">{LOL}]>'
BODY = '<ASAP_Annotations><Annotations><Annotation Name="{}" Type="Dot" PartOfGroup="None">' \
    "</Annotation></Annotations></ASAP_Annotations>"  # fmt: skip


def read(tmp_path, data, suffix=".xml", **options):
    path = tmp_path / f"hostile{suffix}"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_annotations(path, FRAME, **options)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_entity_bombs_are_refused_at_once(tmp_path, encoding):
    text = (BOMB + BODY).format("&l11;").replace('"1.0"?', f'"1.0" encoding="{encoding[:6]}"?')
    start = time.perf_counter()
    with pytest.raises(SclcError, match="DOCTYPE"):
        read(tmp_path, text.encode(encoding))
    assert time.perf_counter() - start < 2


def test_files_of_this_machine_are_not_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    for declaration in (
        f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret.as_uri()}">]>',
        f'<!DOCTYPE ASAP_Annotations SYSTEM "{secret.as_uri()}">',
        '<!DOCTYPE ASAP_Annotations PUBLIC "x" "http://127.0.0.1:9/x.dtd">',
    ):
        with pytest.raises(SclcError, match="DOCTYPE"):
            read(tmp_path, declaration + BODY.format("&x;"))


def test_undeclared_entities_and_includes_are_inert(tmp_path):
    with pytest.raises(SclcError):
        read(tmp_path, BODY.format("&x;"))
    include = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/passwd"/>'
    annotations = read(
        tmp_path, BODY.format("a").replace("</Annotations>", include + "</Annotations>")
    )
    assert [a.name for a in annotations] == ["a"]


def test_deep_nesting_is_refused(tmp_path):
    with pytest.raises(SclcError):
        read(tmp_path, "<ASAP_Annotations>" + "<a>" * 100_000)
    with pytest.raises(SclcError):
        read(tmp_path, "[" * 200_000, ".json")


def test_large_files_are_refused_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(parsing, "MAX_BYTES", 2**20)
    path = tmp_path / "large.xml"
    with open(path, "wb") as file:
        file.truncate(2**21)
    with pytest.raises(SclcError, match="at most 1 MB, got 2 MB"):
        read_annotations(path)


def test_small_files_that_would_fill_the_memory_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(parsing, "MAX_ELEMENTS", 1000)
    with pytest.raises(SclcError, match="at most 1,000 elements"):
        read(tmp_path, "<ASAP_Annotations>" + "<a/>" * 2000 + "</ASAP_Annotations>")
    with pytest.raises(SclcError, match="at most 1,000 elements"):
        read(tmp_path, "[" + "[]," * 2000 + "[]]", ".json")


def test_files_that_are_no_files(tmp_path):
    for path in (tmp_path / "missing.xml", tmp_path):
        with pytest.raises(SclcError, match="cannot be read"):
            read_annotations(path)
    for data in (b"", b"  \n", b"\xef\xbb\xbf", b"\0\0\0"):
        with pytest.raises(SclcError, match="empty"):
            read(tmp_path, data)


def test_bytes_that_are_no_text(tmp_path):
    for data in (b"\x89PNG\r\n\x1a\n", b"{\xff}", b"<\xff\xfe>", b"\xff\xfe<", b"II*\0" * 50):
        with pytest.raises(SclcError) as caught:
            read(tmp_path, data)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["gb2312", "shift_jis", "utf-16", "iso-8859-1", "utf-8"])
def test_encodings(tmp_path, encoding):
    name = "Tumörgrenze" if encoding == "iso-8859-1" else "腫瘍" if encoding != "gb2312" else "肿瘤"
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + BODY.format(name)
    assert [a.name for a in read(tmp_path, text.encode(encoding))] == [name]


def test_an_encoding_that_lies(tmp_path):
    for encoding in ("shift_jis", "no-such", "zlib_codec", "undefined", "rot13"):
        text = f'<?xml version="1.0" encoding="{encoding}"?>' + BODY.format("ümläut")
        with pytest.raises(SclcError, match=r"encoding|text"):
            read(tmp_path, text.encode() + b"\x81")


def test_numbers():
    read_as = {
        "1": 1,
        "-2.5": -2.5,
        "3,25": 3.25,
        " 4 ": 4,
        "5.": 5,
        ".5": 0.5,
        "1e3": 1000,
        "+7": 7,
    }
    for text, value in read_as.items():
        assert parse_number(text) == value
    for text in (
        "",
        None,
        "nan",
        "inf",
        "1_0",
        "0x10",
        "1,2,3",
        "1.2.3",
        "٣",
        "1 2",
        "--1",
        "1e99",
    ):
        with pytest.raises(ValueError):
            parse_number(text)


def test_many_points_take_little_time(tmp_path):
    points = "".join(
        f'<Coordinate Order="{i}" X="{i * 0.5}" Y="{i % 977}.25" />' for i in range(100_000)
    )
    text = BODY.format("a").replace(
        "></Annotation>", f"><Coordinates>{points}</Coordinates></Annotation>"
    )
    annotations = read(tmp_path, text)
    assert annotations.annotations[0].points.shape == (100_000, 2)
    assert annotations.annotations[0].points[-1].tolist() == [49999.5, 99_999 % 977 + 0.25]
