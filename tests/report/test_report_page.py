"""The report and figure 4 of ready predictions."""

import re
import shutil
import subprocess

import lxml.html
import numpy as np
import pytest
from PIL import Image

from paddleseg_sclc.report.pictures import INVENTED, MISSED, draw_errors


@pytest.fixture(scope="module")
def written(case, load_tool, tmp_path_factory):
    out = tmp_path_factory.mktemp("page")
    argv = ["--dataset", case.root, "--predictions", f"<good>={case.good}", f"bad={case.bad}"]
    argv += ["--report", out / "report.html", "--figure", out / "figure4.png"]
    argv += ["--images", "p2_1", "--resamples", 100]
    assert load_tool("val").main([str(x) for x in argv]) == 0
    return out


@pytest.fixture(scope="module")
def page(written):
    return lxml.html.fromstring((written / "report.html").read_text(encoding="utf-8"))


def test_the_page_asks_the_network_for_nothing(page):
    for attribute in ("src", "href", "xlink:href", "action", "data"):
        for value in page.xpath(f"//@*[name()='{attribute}']"):
            assert value.startswith(("data:", "#")), value
    assert not page.xpath("//script | //iframe | //object | //embed")
    assert "url(http" not in lxml.html.tostring(page, encoding="unicode")


def test_names_are_escaped(page):
    text = page.text_content()
    assert "<good>" in text
    assert not page.xpath("//good")


def test_the_page_has_what_it_promises(page):
    text = page.text_content()
    assert text.count("Research use only") == 2
    for title in ("Table 1", "Averaged over images", "Differences", "Confusion", "Method"):
        assert any(title in heading.text_content() for heading in page.xpath("//h2")), title
    captions = [c.text_content() for c in page.xpath("//figure/figcaption")]
    for title in ("ROC", "Precision and recall", "Reliability", "mIoU of every image"):
        assert title in captions
    assert len(page.xpath("//*[local-name()='svg']")) == 4
    assert all(page.xpath("//img/@alt"))


def test_worst_median_best_and_named_images_with_all_their_panels(page):
    titles = [h.text_content() for h in page.xpath("//h3")]
    assert [title.split(":")[0] for title in titles] == ["worst", "median", "best", "named"]
    assert titles[-1] == "named: p2_1"
    # image, truth, and prediction and errors of two programs
    assert len(page.xpath("//div[@class='panels']//img")) == 4 * 6


def test_every_id_is_used_once_or_for_the_same(page):
    ids = page.xpath("//@id")
    assert ids
    for name in {i for i in ids if ids.count(i) > 1}:
        shapes = {lxml.html.tostring(e, with_tail=False) for e in page.xpath(f"//*[@id='{name}']")}
        assert len(shapes) == 1, name


def test_figure_4_is_a_picture_of_its_layout(written):
    with Image.open(written / "figure4.png") as picture:
        width, height = picture.size
        assert picture.info["Comment"].startswith("Research use only")
    # Four patches across; image, truth and two predictions down.
    assert 0.75 < width / height < 1.3
    assert width > 1000


def test_error_map_tells_missed_from_invented_and_leaves_ignored_out():
    image = np.full((8, 8, 3), 200, np.uint8)
    label = np.zeros((8, 8), np.uint8)
    pred = label.copy()
    label[2:7, 2:7] = 1
    pred[4, 4] = 0
    pred[0, 0] = 1
    label[0, 7] = 255
    pred[0, 7] = 1
    errors = draw_errors(image, label, pred)
    assert tuple(errors[4, 4]) == MISSED
    assert tuple(errors[0, 0]) == INVENTED
    assert tuple(errors[2, 2]) == (0, 0, 0)
    grey = errors[0, 7]
    assert grey[0] == grey[1] == grey[2] > 200


def test_an_image_that_is_not_there_is_refused(case, val, tmp_path, capsys):
    argv = ["--dataset", case.root, "--predictions", f"good={case.good}"]
    assert val(*argv, "--report", tmp_path / "r.html", "--images", "nobody") == 2
    assert "must be the name of one evaluated image" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [1280, 390])
def test_chromium_shows_it_without_a_complaint(written, tmp_path, width):
    shot = tmp_path / "shot.png"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr"]
    flags += [f"--window-size={width},1200", f"--screenshot={shot}"]
    result = subprocess.run(
        ["chromium", *flags, (written / "report.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert shot.is_file(), result.stderr[-500:]
    complaints = [line for line in result.stderr.splitlines() if re.search("CONSOLE", line)]
    assert complaints == []
    with Image.open(shot) as picture:
        assert len(np.unique(np.array(picture.convert("L")))) > 30
