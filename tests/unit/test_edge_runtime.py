"""Loading a release's network: what is accepted, what is refused by name."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from eyebright_common.errors import ReleaseError
from eyebright_common.release import MODEL_FILE, prove, read_golden, read_release
from eyebright_edge.runtime import OnnxRuntime, open_runtime
from tiny_release import HEALTHY_BIAS, write_tiny_model, write_tiny_release


def test_a_release_gives_logits_and_maps_that_agree(tmp_path: Path) -> None:
    write_tiny_release(tmp_path)
    runtime = open_runtime(tmp_path)
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 64, 64)).astype(np.float32)
    logits, cam = runtime.run(image)
    assert (logits.shape, cam.shape) == ((1, 4), (1, 4, 8, 8))
    assert np.allclose(cam.mean(axis=(2, 3)) + np.array(HEALTHY_BIAS), logits, atol=1e-4)


def test_this_machine_reproduces_the_golden_cases(tmp_path: Path) -> None:
    release = write_tiny_release(tmp_path)
    report = prove(OnnxRuntime(tmp_path).run, read_golden(tmp_path, release))
    assert report.passed
    assert read_release(tmp_path) == release


def test_a_picture_of_another_size_is_refused_with_the_size_it_takes(tmp_path: Path) -> None:
    write_tiny_release(tmp_path)
    with pytest.raises(ReleaseError, match=r"\[1, 3, 64, 64\]"):
        OnnxRuntime(tmp_path).run(np.zeros((1, 3, 32, 32), np.float32))


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x08\x07\x12"], ids=["empty", "text", "cut"])
def test_a_file_that_is_no_network_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MODEL_FILE).write_bytes(content)
    with pytest.raises(ReleaseError, match="cannot load the network"):
        OnnxRuntime(tmp_path)


def test_a_missing_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="has no network"):
        OnnxRuntime(tmp_path)


def test_a_network_with_other_outputs_breaks_the_contract(tmp_path: Path) -> None:
    shape = [1, 3, 64, 64]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["image"], ["same"])],
        "other",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("same", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    (tmp_path / MODEL_FILE).write_bytes(model.SerializeToString())
    with pytest.raises(ReleaseError, match="does not keep the release contract"):
        OnnxRuntime(tmp_path)


def test_a_model_file_may_be_named_itself(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "any.onnx", classes=2, image_size=32, bias=(0.0, 0.0))
    assert OnnxRuntime(tmp_path / "any.onnx").image_size == 32
