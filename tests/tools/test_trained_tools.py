"""val, predict and export on a run of a tiny network."""

import json
import shutil
from pathlib import Path

import numpy as np
import paddle
import pytest
import yaml
from PIL import Image

from paddleseg_sclc.dataset.paddleseg_format import (
    read_image,
    write_list,
    write_png,
    write_sample,
)
from paddleseg_sclc.demo.patches import PatchPlan, draw_patch
from paddleseg_sclc.stain import VahadaneNormalizer


@pytest.fixture(scope="module")
def run(load_tool, tmp_path_factory) -> Path:
    """A run folder; its dataset lies beside it, `data/`."""
    root = tmp_path_factory.mktemp("tools")
    rng = np.random.default_rng(0)
    data = root / "data"
    samples = []
    for i in range(4):
        mask = np.zeros((40, 56), np.uint8)
        mask[8:30, 10 + i : 40] = 1
        image = np.where(mask[..., None] == 1, 90, 220) + rng.integers(-20, 20, (40, 56, 3))
        samples.append(write_sample(data, f"case_{i}", image.astype(np.uint8), mask))
    write_list(data / "train.txt", data, samples[:2])
    write_list(data / "val.txt", data, samples[2:])
    common = {"type": "Dataset", "dataset_root": str(data), "num_classes": 2}
    transforms = [{"type": "Resize", "target_size": [32, 32]}, {"type": "Normalize"}]
    config = {
        "batch_size": 2,
        "iters": 30,
        "train_dataset": {**common, "mode": "train", "train_path": str(data / "train.txt")},
        "val_dataset": {**common, "mode": "val", "val_path": str(data / "val.txt")},
        "optimizer": {"type": "SGD", "momentum": 0.9},
        "lr_scheduler": {"type": "PolynomialDecay", "learning_rate": 0.05},
        "loss": {"types": [{"type": "DiceCELoss"}], "coef": [1]},
        "model": {"type": "MSUNet", "num_classes": 2, "num_blocks": 1, "base_channels": 4},
    }
    for key in ("train_dataset", "val_dataset"):
        config[key]["transforms"] = transforms
    (root / "tiny.yml").write_text(yaml.safe_dump(config))
    argv = ["--config", str(root / "tiny.yml"), "--save_dir", str(root / "run"), "--do_eval"]
    assert load_tool("train").main([*argv, "--device", "cpu"]) == 0
    return root / "run"


@pytest.fixture
def tool(load_tool, run):
    """Run a tool on the run folder; `with_run=False` leaves --run to the options."""

    def call(name, *options, with_run=True):
        argv = [*(["--run", run] if with_run else []), *options]
        try:
            return load_tool(name).main([str(x) for x in argv])
        except SystemExit as stop:
            return stop.code

    return call


def read_runs(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["runs"]


def test_val_prints_table_1_and_writes_figures(tool, run, tmp_path, capsys):
    assert tool("val", "--output", tmp_path / "figures.json") == 0
    out = capsys.readouterr().out
    for column in ("Params", "mIOU", "Accuracy", "Kappa"):
        assert column in out
    (figures,) = read_runs(tmp_path / "figures.json")
    state = json.loads((run / "best_model" / "state.json").read_text())
    assert figures["miou"] == pytest.approx(state["miou"])
    assert figures["miou"] > 0.8
    assert np.sum(figures["confusion_matrix"]) == 2 * 40 * 56
    assert [Path(image["image"]).name for image in figures["images"]] == [
        "case_2.png",
        "case_3.png",
    ]


def test_val_by_config_and_weights_gives_the_same(tool, run, tmp_path):
    tool("val", "--output", tmp_path / "a.json")
    weights = run / "best_model" / "model.pdparams"
    options = ["--config", run / "config.yml", "--model_path", weights]
    assert tool("val", *options, "--output", tmp_path / "b.json", with_run=False) == 0
    a, b = (read_runs(tmp_path / f"{x}.json")[0] for x in "ab")
    assert a["confusion_matrix"] == b["confusion_matrix"]


def test_val_on_another_dataset(tool, run, tmp_path):
    data = tmp_path / "other"
    shutil.copytree(run.parent / "data", data)
    shutil.copy(data / "train.txt", data / "val.txt")
    assert tool("val", "--dataset", data, "--output", tmp_path / "f.json") == 0
    (figures,) = read_runs(tmp_path / "f.json")
    assert [Path(image["image"]).name for image in figures["images"]] == [
        "case_0.png",
        "case_1.png",
    ]


def test_val_summary_prints_the_papers_counts(tool, capsys):
    configs = [f"configs/{name}.yml" for name in ("unet", "msunet_2blocks")]
    assert tool("val", "--summary", "--config", *configs, with_run=False) == 0
    out = capsys.readouterr().out
    assert "13,404,354" in out
    assert "71,212,354" in out
    assert "338.1 G" in out


def test_val_with_augmentation_and_windows(tool):
    assert tool("val", "--aug_eval", "--scales", "0.75", "1.0", "--flip_horizontal") == 0
    assert tool("val", "--is_slide", "--crop_size", "16", "16", "--stride", "8", "8") == 0


@pytest.fixture
def images(tmp_path) -> Path:
    """A folder with an image of odd size, one in a subfolder and a hidden one."""
    folder = tmp_path / "patches"
    (folder / "sub").mkdir(parents=True)
    pixels = np.full((41, 57, 3), 220, np.uint8)
    pixels[10:30, 10:40] = 90
    Image.fromarray(pixels).save(folder / "病例 1.png")
    Image.fromarray(pixels).save(folder / "sub" / "b.jpg", quality=95)
    Image.fromarray(pixels).save(folder / ".hidden.png")
    return folder


def outputs(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_predict_a_folder(tool, images, tmp_path, capsys):
    out = tmp_path / "result"
    assert tool("predict", "--image_path", images, "--save_dir", out, "--probability") == 0
    kinds = ("mask", "mask_255", "pseudo_color_prediction", "added_prediction", "probability")
    assert outputs(out) == {f"{k}/{n}.png" for k in kinds for n in ("病例 1", "sub/b")}
    mask = np.array(Image.open(out / "mask" / "sub" / "b.png"))
    probability = np.array(Image.open(out / "probability" / "sub" / "b.png"))
    assert mask.shape == probability.shape == (41, 57)
    assert set(np.unique(mask)) == {0, 1}
    np.testing.assert_array_equal(
        np.array(Image.open(out / "mask_255" / "sub" / "b.png")), mask * 255
    )
    np.testing.assert_array_equal(mask == 1, probability > 32767.5)
    truth = np.zeros((41, 57), bool)
    truth[10:30, 10:40] = True
    assert (truth == (mask == 1)).mean() > 0.85
    assert read_image(out / "added_prediction" / "sub" / "b.png").shape == (41, 57, 3)
    assert "Research use only" in capsys.readouterr().out


def test_predict_a_file_and_a_list_with_masks(tool, run, images, tmp_path):
    assert tool("predict", "--image_path", images / "病例 1.png", "--save_dir", tmp_path / "a") == 0
    assert "mask/病例 1.png" in outputs(tmp_path / "a")
    listed = run.parent / "data" / "val.txt"
    assert tool("predict", "--image_path", listed, "--save_dir", tmp_path / "b") == 0
    assert "mask/images/case_2.png" in outputs(tmp_path / "b")
    (images / "list.txt").write_text("../patches/病例 1.png\n", encoding="utf-8")
    assert tool("predict", "--image_path", images / "list.txt", "--save_dir", tmp_path / "c") == 0
    assert "mask/病例 1.png" in outputs(tmp_path / "c")


def test_predict_goes_on_after_a_bad_image(tool, images, tmp_path, capsys):
    (images / "bad.png").write_bytes(b"no image")
    assert tool("predict", "--image_path", images, "--save_dir", tmp_path / "out") == 1
    out, err = capsys.readouterr()
    assert "bad.png: an image must be a readable PNG" in err
    assert "2 of 3 images predicted" in out


def test_predict_normalises_as_training_did(load_tool, run, tmp_path, capsys):
    """The same masks as of images that were normalised beforehand; pictures stay as they were."""
    normalised_run = shutil.copytree(run, tmp_path / "run")
    VahadaneNormalizer().save(normalised_run / "stain_target.json")
    for i in range(2):
        write_png(tmp_path / "in" / f"{i}.png", draw_patch(PatchPlan(size=128), 0, i)[0])
    before, predict = load_tool("normalize_stain"), load_tool("predict")
    assert before.main([str(tmp_path / "in"), "--output", str(tmp_path / "normalised")]) == 0
    ways = {
        "raw": ("in", ()),
        "beforehand": ("normalised", ("--stain", "none")),
        "known": ("normalised", ()),
        "as it is": ("in", ("--stain", "none")),
    }
    for way, (folder, options) in ways.items():
        argv = ["--run", normalised_run, "--image_path", tmp_path / folder, *options]
        argv += ["--save_dir", tmp_path / way, "--probability", "--device", "cpu"]
        assert predict.main([str(x) for x in argv]) == 0
    out = capsys.readouterr().out
    assert out.count("stains, as in training (vahadane): 2 by the fit of its slide") == 1
    assert out.count("stains, as in training (vahadane): 2 normalised already") == 1
    for i in range(2):
        found = {
            way: np.asarray(Image.open(tmp_path / way / "probability" / f"{i}.png")) for way in ways
        }
        np.testing.assert_array_equal(found["raw"], found["beforehand"])
        np.testing.assert_array_equal(found["raw"], found["known"])
        assert (found["raw"] != found["as it is"]).any()
        pictures = [
            read_image(tmp_path / way / "added_prediction" / f"{i}.png")
            for way in ("raw", "beforehand")
        ]
        assert (pictures[0] != pictures[1]).any()
    wrong = ["--run", str(run), "--image_path", str(tmp_path / "in"), "--stain", "per_patch"]
    assert predict.main(wrong) == 2
    assert "must be a --run whose training patches were normalised" in capsys.readouterr().err


def test_predict_refuses_results_that_overwrite_one_another(tool, images, tmp_path, capsys):
    shutil.copy(images / "sub" / "b.jpg", images / "sub" / "b.bmp")
    assert tool("predict", "--image_path", images, "--save_dir", tmp_path / "out") == 2
    assert "would overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("predict", ["--image_path", "nowhere"], "but is not there"),
        ("predict", ["--image_path", "README.md", "--custom_color", "1"], "must be 6 values"),
        ("predict", ["--image_path", "README.md", "--is_slide"], "needs crop_size and stride"),
        ("val", ["--opts", "model.base_channels=8"], "the checkpoint must be of this network"),
        ("val", ["--dataset", "nowhere"], "nowhere/val.txt: the dataset's list is not there"),
        ("val", ["--device", "gpu"], "--device gpu: needs a GPU"),
        ("val", ["--device", "abacus"], "Paddle does not know it"),
        ("export", ["--save_dir", "configs"], "configs: holds something else already"),
    ],
)
def test_bad_input_gives_one_line(tool, capsys, name, options, message):
    if options[-1] == "gpu" and paddle.device.cuda.device_count():
        pytest.skip("there is a GPU")
    assert tool(name, *options) in (1, 2)
    err = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(err) == 1
    assert message in err[0]


def test_a_folder_that_is_no_run_or_has_no_weights(tool, tmp_path, capsys):
    assert tool("val", "--run", tmp_path, with_run=False) == 1
    assert "must be a run folder" in capsys.readouterr().err
    (tmp_path / "config.yml").write_text("")
    assert tool("val", "--run", tmp_path, with_run=False) == 1
    assert "has no weights yet" in capsys.readouterr().err
    assert tool("val", with_run=False) == 2


def run_exported(folder: Path, x: np.ndarray, onednn: bool) -> np.ndarray:
    from paddle import inference

    config = inference.Config(str(folder / "model.pdmodel"), str(folder / "model.pdiparams"))
    config.disable_gpu()
    config.disable_glog_info()
    if onednn:
        config.enable_mkldnn()
    predictor = inference.create_predictor(config)
    handle = predictor.get_input_handle(predictor.get_input_names()[0])
    handle.reshape(x.shape)
    handle.copy_from_cpu(x)
    predictor.run()
    return predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()


@pytest.mark.parametrize("output_op", ["argmax", "softmax", "none"])
def test_exported_network_is_the_trained_one(tool, run, tmp_path, output_op):
    from paddleseg_sclc.training.trained import find_trained

    folder = tmp_path / "export"
    assert tool("export", "--save_dir", folder, "--output_op", output_op) == 0
    x = np.random.default_rng(0).normal(size=(1, 3, 32, 48)).astype(np.float32)
    model = find_trained(str(run), None, None).build().model
    model.eval()
    logits = model(paddle.to_tensor(x))[0]
    expected = {
        "argmax": logits.argmax(axis=1),
        "softmax": paddle.nn.functional.softmax(logits, axis=1),
        "none": logits,
    }[output_op].numpy()
    for onednn in (False, True):
        exported = run_exported(folder, x, onednn)
        np.testing.assert_allclose(exported, expected, rtol=1e-4, atol=1e-4)
    deploy = yaml.safe_load((folder / "deploy.yaml").read_text())["Deploy"]
    assert deploy["model"] == "model.pdmodel"
    assert deploy["output_op"] == output_op
    assert [item["type"] for item in deploy["transforms"]] == ["Resize", "Normalize"]


def test_export_again_replaces_the_earlier_one(tool, tmp_path):
    for shape in (["1", "3", "32", "32"], ["-1", "3", "-1", "-1"]):
        assert tool("export", "--save_dir", tmp_path / "e", "--input_shape", *shape) == 0
    deploy = yaml.safe_load((tmp_path / "e" / "deploy.yaml").read_text())["Deploy"]
    assert deploy["input_shape"] == [-1, 3, -1, -1]
    assert [p.name for p in tmp_path.iterdir()] == ["e"]


@pytest.mark.parametrize(
    "name", ["train", "val", "predict", "export", "import_patches", "cross_validate"]
)
def test_help_names_the_exact_command(load_tool, capsys, name):
    with pytest.raises(SystemExit) as stop:
        load_tool(name).main(["--help"])
    assert stop.value.code == 0
    assert f"python tools/{name}.py" in capsys.readouterr().out
