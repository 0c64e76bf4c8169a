"""Export of a trained network for Paddle Inference and FastDeploy, and to ONNX."""

import contextlib
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import paddle
import paddle.nn.functional as F
import yaml
from paddle import Tensor, nn
from paddle.static import InputSpec

from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.files import make_folder, write_error

OUTPUT_OPS = ("argmax", "softmax", "none")


class ExportedNetwork(nn.Layer):
    """A network whose output is one tensor.

    Args:
        model: returns a list of logits.
        output_op: `argmax` gives classes (N, H, W) int32, `softmax` probabilities and `none`
            logits, both (N, C, H, W) float32.
    """

    def __init__(self, model: nn.Layer, output_op: str) -> None:
        super().__init__()
        self.model = model
        self.output_op = output_op

    def forward(self, x: Tensor) -> Tensor:
        """Apply network and output operation to (N, 3, H, W) float32."""
        logits = self.model(x)[0]
        if self.output_op == "argmax":
            # paddle.argmax of Paddle 3.3 refuses to be traced to a protobuf program.
            return paddle.topk(logits, 1, axis=1)[1].squeeze(1).astype("int32")
        return F.softmax(logits, axis=1) if self.output_op == "softmax" else logits


def export(
    model: nn.Layer,
    transforms: Sequence[dict[str, Any]],
    output: Path,
    output_op: str = "argmax",
    input_shape: Sequence[int] | None = None,
    onnx: bool = False,
) -> list[Path]:
    """Write an inference model and PaddleSeg's `deploy.yaml`; the folder is whole or not there.

    Args:
        model: trained; set to evaluation mode.
        transforms: the config's validation transforms, for `deploy.yaml`.
        output: folder; one made by an earlier export is replaced.
        output_op: one of `OUTPUT_OPS`.
        input_shape: N, C, H, W; -1 (or None altogether) leaves a side free.
        onnx: write `model.onnx` as well; needs the package paddle2onnx.

    Returns:
        The files written.

    Raises:
        UsageError: the folder holds something else, or paddle2onnx is missing.
        SclcError: the export fails or cannot be written.
    """
    if output.exists() and not (output / "deploy.yaml").is_file() and any(output.iterdir()):
        raise UsageError(f"{output}: holds something else already; choose another --save_dir")
    shape = list(input_shape or [-1, 3, -1, -1])
    # None is a free side in an InputSpec.
    spec = InputSpec([None if side == -1 else side for side in shape], "float32", name="x")
    network = ExportedNetwork(model, output_op)
    network.eval()
    make_folder(output.parent)
    part = output.with_name(f".{output.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with _protobuf_programs():
            static = paddle.jit.to_static(network, input_spec=[spec], full_graph=True)
            paddle.jit.save(static, str(part / "model"))
        _write_deploy(part / "deploy.yaml", transforms, output_op, shape)
        if onnx:
            _write_onnx(part / "model.pdmodel", part / "model.onnx")
        if output.exists():
            shutil.rmtree(output)
        part.rename(output)
    except OSError as error:
        raise write_error(output, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return sorted(output.iterdir())


def _protobuf_programs() -> contextlib.AbstractContextManager[None]:
    """Make Paddle 3 write `model.pdmodel`, as Paddle 2 does, and not its own `model.json`.

    A bilinear resize of the JSON kind does not run in oneDNN (Paddle 3.3.1: "Convert
    PirAttribute2RuntimeAttribute not support ArrayAttribute<DoubleAttribute>"), which is several
    times as fast as Paddle's plain CPU kernels; and PaddleSeg's deployment reads this kind.
    """
    guard = getattr(getattr(paddle, "pir_utils", None), "DygraphOldIrGuard", None)
    return guard() if guard else contextlib.nullcontext()


def _write_deploy(
    path: Path,
    transforms: Sequence[dict[str, Any]],
    output_op: str,
    shape: Sequence[int],
) -> None:
    deploy = {
        "Deploy": {
            "model": "model.pdmodel",
            "params": "model.pdiparams",
            "transforms": [dict(item) for item in transforms],
            "input_shape": list(shape),
            "output_op": output_op,
            "output_dtype": "int32" if output_op == "argmax" else "float32",
        }
    }
    path.write_text(yaml.safe_dump(deploy, sort_keys=False), encoding="utf-8")


def _write_onnx(program: Path, path: Path) -> None:
    try:
        import paddle2onnx  # an extra: it follows one Paddle version at a time
    except ImportError as error:
        raise UsageError(
            f"--onnx: needs paddle2onnx, which does not load ({error}); run `pip install "
            "paddle2onnx`"
        ) from error
    try:
        paddle2onnx.export(
            str(program), str(program.with_name("model.pdiparams")), str(path), opset_version=16
        )
    except Exception as error:
        raise SclcError(f"{path}: the conversion to ONNX failed ({error})") from error
    if not path.is_file():
        raise SclcError(f"{path}: the conversion to ONNX failed; see what it printed above")
