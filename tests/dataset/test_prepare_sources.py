import pytest

from paddleseg_sclc.dataset.paddleseg_format import check_name
from paddleseg_sclc.dataset.sources import find_slides, read_patients, safe_name, unique_names
from paddleseg_sclc.errors import SclcError, UsageError


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_each_slide_finds_its_annotation(tmp_path):
    touch(tmp_path, "b.ndpi", "b.xml", "a.svs", "a.geojson", "sub/c.ndpi", "sub/c.ndpi.ndpa",
          "._b.ndpi", ".hidden/d.ndpi", "readme.txt", "b.png")  # fmt: skip
    sources, problems = find_slides(tmp_path)
    assert [(s.path.name, s.annotation.name, s.patient) for s in sources] == [
        ("a.svs", "a.geojson", "a"),
        ("b.ndpi", "b.xml", "b"),
        ("c.ndpi", "c.ndpi.ndpa", "c"),
    ]
    assert not problems


def test_annotations_in_a_folder_of_their_own(tmp_path):
    touch(tmp_path / "slides", "a.ndpi", "b.ndpi")
    touch(tmp_path / "xml", "a.xml")
    sources, problems = find_slides(tmp_path / "slides", tmp_path / "xml")
    assert [s.annotation for s in sources] == [tmp_path / "xml" / "a.xml"]
    assert "b.ndpi: must have an annotation b.xml" in problems[0].message


def test_one_slide_alone(tmp_path):
    touch(tmp_path, "a.ndpi", "a.xml", "b.ndpi", "b.xml")
    sources, problems = find_slides(tmp_path / "a.ndpi")
    assert [s.path.name for s in sources] == ["a.ndpi"]
    assert not problems


def test_two_slides_with_one_name_are_both_refused(tmp_path):
    touch(tmp_path, "x/a.ndpi", "x/a.xml", "y/a.svs", "y/a.xml", "b.ndpi", "b.xml")
    sources, problems = find_slides(tmp_path)
    assert [s.path.name for s in sources] == ["b.ndpi"]
    assert len(problems) == 2
    assert "must be unique, but y/a.svs has it too" in problems[0].message


def test_annotations_missing_double_and_orphaned(tmp_path):
    touch(tmp_path, "a.ndpi", "b.ndpi", "b.xml", "b.geojson", "c.xml", "d.ndpi", "d.xml")
    sources, problems = find_slides(tmp_path)
    assert [s.path.name for s in sources] == ["d.ndpi"]
    messages = "\n".join(p.message for p in problems)
    assert "a.ndpi: must have an annotation a.xml" in messages
    assert "b.ndpi: must have one annotation file, got b.geojson, b.xml" in messages
    assert "c.xml: an annotation without its slide" in messages


def test_a_picture_with_an_annotation_is_tried(tmp_path):
    touch(tmp_path, "a.png", "a.xml", "b.jpg")
    sources, problems = find_slides(tmp_path)
    assert [s.path.name for s in sources] == ["a.png"]
    assert not problems


def test_no_folder_and_no_slides(tmp_path):
    with pytest.raises(UsageError, match="must be a folder of slides"):
        find_slides(tmp_path / "gone")
    touch(tmp_path, "notes.txt")
    with pytest.raises(UsageError, match=r"must hold slides \(.ndpi"):
        find_slides(tmp_path)


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("case 7", "case_7"),
        ("  病例\t七 ", "__病例_七_"),
        ("..", ""),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("-rf", "rf"),
        ('a:b*c?"<>|\\d', "a_b_c______d"),
        ("line\nbreak\x00", "line_break_"),
        ("e\u0301", "\u00e9"),
        ("x" * 300, "x" * 80),
        ("a..b", "a..b"),
    ],
)
def test_names_that_files_and_lists_can_hold(stem, expected):
    name = safe_name(stem)
    assert name == expected
    if name:
        check_name(name)


def test_long_names_in_any_script_fit_a_file_system():
    assert len(safe_name("例" * 200).encode()) <= 160


def test_no_two_names_are_alike_on_any_file_system():
    names = unique_names(["a b", "a_b", "A_B", "..", "c"], ["a b", "a_b", "A_B", "..", "c"])
    assert len({name.casefold() for name in names}) == 5
    assert names[4] == "c"
    assert names[3].startswith("slide-")
    assert names == unique_names(["a b", "a_b", "A_B", "..", "c"], ["a b", "a_b", "A_B", "..", "c"])


def test_patients(tmp_path):
    table = tmp_path / "patients.csv"
    table.write_text("\ufeffslide,patient\na.ndpi, p1\nb,p1\n\n", encoding="utf-8")
    patients = read_patients(table)
    assert patients == {"a.ndpi": "p1", "b": "p1"}
    touch(tmp_path, "a.ndpi", "a.xml", "b.ndpi", "b.xml", "c.ndpi", "c.xml")
    sources, _ = find_slides(tmp_path, patients=patients)
    assert [s.patient for s in sources] == ["p1", "p1", "c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,p1\na,p2\n", "must have one patient"), ("a;p1\n", "row 1 must be `slide,patient`")],
)
def test_bad_patients(tmp_path, text, message):
    table = tmp_path / "patients.csv"
    table.write_text(text)
    with pytest.raises(SclcError, match=message):
        read_patients(table)
    with pytest.raises(UsageError, match="no such patients file"):
        read_patients(tmp_path / "gone.csv")
