from pathlib import Path

import paddle
import pytest
import yaml

from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.models import MSUNet
from paddleseg_sclc.training.config import Builder, check_data, load_config

CONFIGS = Path(__file__).parents[2] / "configs"
LEAVES = sorted(p for p in CONFIGS.rglob("*.yml") if "_base_" not in p.parts)


def test_the_four_networks_have_a_leaf_each_and_a_demo_leaf():
    names = {"unet", "attention_unet", "msunet_2blocks", "msunet_4blocks"}
    assert names <= {p.stem for p in CONFIGS.glob("*.yml")}
    assert names <= {p.stem for p in (CONFIGS / "demo").glob("*.yml")}


@pytest.mark.parametrize("path", LEAVES, ids=lambda p: str(p.relative_to(CONFIGS)))
def test_every_leaf_builds_and_steps(path):
    config = load_config(path)
    if config.dic["model"]["type"] == "MSUNet":
        config.dic["model"]["base_channels"] = 4
    builder = Builder(config)
    x = paddle.randn([1, 3, 32, 32])
    loss = builder.loss["types"][0](builder.model(x)[0], paddle.zeros([1, 32, 32], "int64"))
    loss.backward()
    builder.optimizer.step()
    assert bool(paddle.isfinite(loss))


@pytest.mark.parametrize("name", ["unet", "attention_unet", "msunet_2blocks", "msunet_4blocks"])
def test_the_papers_settings(name):
    dic = load_config(CONFIGS / f"{name}.yml").dic
    assert (dic["batch_size"], dic["iters"]) == (12, 100_000)
    assert dic["optimizer"] == {"type": "SGD", "momentum": 0.9, "weight_decay": 4e-5}
    assert dic["lr_scheduler"] == {
        "type": "PolynomialDecay",
        "learning_rate": 0.01,
        "end_lr": 1e-4,
        "power": 0.9,
    }
    resize = {"type": "Resize", "target_size": [256, 256]}
    assert dic["train_dataset"]["transforms"] == [resize, {"type": "Normalize"}]


def test_default_width_is_the_papers():
    model = Builder(load_config(CONFIGS / "msunet_2blocks.yml")).model
    assert isinstance(model, MSUNet)
    assert model.head.weight.shape == [2, 64, 3, 3]


def test_values_are_overridden(tiny_config):
    config = load_config(tiny_config(), 0.1, 3, 7, ["model.base_channels=8"])
    assert config.dic["lr_scheduler"]["learning_rate"] == 0.1
    assert (config.batch_size, config.iters) == (3, 7)
    assert config.dic["model"]["base_channels"] == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batchsize": 2}, "there is no key 'batchsize'; did you mean 'batch_size'?"),
        ({"batch_size": "2"}, "batch_size must be of type int, got '2'"),
        ({"batch_size": True}, "batch_size must be of type int, got True"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"iters": None}, "No iters specified"),
        ({"best_metric": "mIoU"}, "there is no metric 'mIoU'; did you mean 'miou'?"),
        ({"best_metric": "class_iou"}, "there is no metric 'class_iou'"),
        (
            {"model": {"type": "MSUnet", "num_classes": 2}},
            "no model type 'MSUnet'; did you mean 'MSUNet'?",
        ),
        ({"model": {"num_classes": 2}}, "model: must be a mapping with a `type`"),
        (
            {"model": {"type": "MSUNet", "num_classes": 2, "num_block": 2}},
            "no MSUNet parameter 'num_block'; did you mean 'num_blocks'?",
        ),
        (
            {"loss": {"types": [{"type": "DiceCELoss", "wieght": [1, 1]}], "coef": [1]}},
            "loss.types[0]: there is no DiceCELoss parameter 'wieght'; did you mean 'weight'?",
        ),
        ({"optimizer": {"type": "Adam", "momentum": 0.9}}, "add `_inherited_: False` here"),
        ({"optimizer": {"type": "sdg"}}, "no optimizer type 'sdg'; did you mean 'SGD'?"),
        ({"lr_scheduler": {"type": "PolyDecay", "learning_rate": 1.0}}, "no schedule type"),
        ({"lr_scheduler": {"type": "PolynomialDecay"}}, "PolynomialDecay needs learning_rate"),
    ],
)
def test_bad_configs_are_refused_in_one_line(tiny_config, changes, message):
    with pytest.raises(UsageError) as caught:
        load_config(tiny_config(**changes))
    assert message in str(caught.value)
    assert "tiny.yml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_transform_is_named(tiny_config):
    path = tiny_config()
    dic = yaml.safe_load(path.read_text())
    dic["val_dataset"]["transforms"].append({"type": "Resise"})
    path.write_text(yaml.safe_dump(dic))
    with pytest.raises(UsageError, match=r"val_dataset.transforms\[1\].*did you mean 'Resize'"):
        load_config(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.yml", None, "there is no such config"),
        ("x.txt", "a: 1", "must be a .yml or .yaml file"),
        ("x.yml", "a: [1", "is not valid YAML"),
        ("x.yml", "- 1", "must be a mapping"),
        ("x.yml", "_base_: x.yml", "must not lead back"),
        ("x.yml", "_base_: nowhere.yml", "nowhere.yml: there is no such config"),
        ("x.yml", "a: !!python/object/apply:os.system ['true']", "is not valid YAML"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, name, text, message):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_config(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("opts", [["iters"], ["modle.x=1"], ["model.num_block=2"]])
def test_bad_overrides_are_refused_in_one_line(tiny_config, opts):
    with pytest.raises(UsageError) as caught:
        load_config(tiny_config(), opts=opts)
    assert "\n" not in str(caught.value)


def test_missing_data_says_what_to_run_first(tiny_config):
    path = tiny_config()
    dic = yaml.safe_load(path.read_text())
    dic["train_dataset"]["train_path"] = "nowhere/train.txt"
    with pytest.raises(SclcError, match=r"nowhere/train.txt: .*make the dataset first with tools/"):
        check_data(dic, ["train_dataset"])


def test_component_that_does_not_build_gives_one_line(tiny_config):
    config = load_config(tiny_config(model={"type": "MSUNet", "num_classes": 2, "num_blocks": 0}))
    with pytest.raises(UsageError, match="num_blocks must be a positive integer"):
        _ = Builder(config).model
