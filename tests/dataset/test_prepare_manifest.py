import dataclasses

import pytest

from paddleseg_sclc.dataset.manifest import (
    MANIFEST,
    PatchRow,
    median_mpp,
    read_manifest,
    sha256_of,
    write_manifest,
)
from paddleseg_sclc.errors import SclcError

ROW = PatchRow(
    name="病例_a0000_x000600_y000800", slide="病例", patient="病例", origin="box", annotation=0,
    annotation_name='a "quoted", name', annotation_group="", also_shown="1 2", x_l0=600.0,
    y_l0=800.0, width_l0=801.0, height_l0=1000.0, mpp_x=0.39033203125, mpp_y=0.4873046875,
    tumour_share=0.50151062, ignored_share=0.0, stain="none", variant="", variant_of="",
    image_sha256="ab", mask_sha256="cd",
)  # fmt: skip


def test_round_trip(tmp_path):
    tile = dataclasses.replace(ROW, name="t", origin="tile", annotation=None, mpp_x=0.5)
    write_manifest(tmp_path, [ROW, tile], {ROW.name: "val"})
    rows, side_of = read_manifest(tmp_path)
    assert rows == [ROW, tile]
    assert side_of == {ROW.name: "val", "t": ""}
    assert b"\r" not in (tmp_path / MANIFEST).read_bytes()


def test_other_tables_are_refused(tmp_path):
    with pytest.raises(SclcError, match="has no manifest"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST).write_text("a,b\n1,2\n")
    with pytest.raises(SclcError, match="must have the columns of a manifest"):
        read_manifest(tmp_path)


def test_median_mpp():
    rows = [dataclasses.replace(ROW, mpp_x=x, mpp_y=y) for x, y in ((1, 9), (2, 5), (7, 6))]
    assert median_mpp(rows) == (2, 6)


def test_checksum(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256_of(tmp_path / "f").startswith("ba7816bf8f01cfea")
