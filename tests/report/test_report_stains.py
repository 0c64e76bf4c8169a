"""A table says where images have other colours than the patches that a network was trained on."""

from paddleseg_sclc.report.entries import stain_notes
from paddleseg_sclc.stain import MacenkoNormalizer, VahadaneNormalizer


def test_stain_targets_of_run_and_dataset(tmp_path):
    run, data = tmp_path / "run", tmp_path / "data"
    run.mkdir()
    data.mkdir()
    assert stain_notes(run, data) == []
    VahadaneNormalizer().save(run / "stain_target.json")
    assert "measured on images that were not normalised: compare" in stain_notes(run, data)[0]
    VahadaneNormalizer().save(data / "stain_target.json")
    assert stain_notes(run, data) == []
    MacenkoNormalizer().save(data / "stain_target.json")
    (note,) = stain_notes(run, data)
    assert "normalised (vahadane), measured on images that were normalised (macenko) to an" in note
