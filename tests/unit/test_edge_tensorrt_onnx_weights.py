"""Reading weights out of an ONNX file without the onnx package, compared with the package itself."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from eyebright_edge.runtime.board.tensorrt_worker.onnx_weights import outline, read_weights
from tiny_release import write_tiny_model


def tiny(folder: Path, *, seed: int = 0, classes: int = 4) -> bytes:
    write_tiny_model(folder / "m.onnx", classes=classes, image_size=64, bias=[0.5] * classes, seed=seed)
    return (folder / "m.onnx").read_bytes()


def test_the_weights_are_those_that_onnx_reads(tmp_path: Path) -> None:
    model = tiny(tmp_path)
    expected = {one.name: numpy_helper.to_array(one) for one in onnx.load_model_from_string(model).graph.initializer}
    found = read_weights(model)
    assert set(found) == set(expected) == {"weight", "bias"}
    for name, array in expected.items():
        assert np.array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64, np.int32])
def test_kinds_and_shapes_of_weights(dtype: type) -> None:
    array = np.arange(6).reshape(1, 2, 3).astype(dtype)
    graph = helper.make_graph([], "g", [], [], [numpy_helper.from_array(array, "w")])
    found = read_weights(helper.make_model(graph).SerializeToString())
    assert np.array_equal(found["w"], array)
    assert found["w"].shape == (1, 2, 3)


def test_weights_that_are_no_raw_bytes() -> None:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [3], [1.0, -2.5, 4.0])
    assert tensor.float_data
    found = read_weights(helper.make_model(helper.make_graph([], "g", [], [], [tensor])).SerializeToString())
    assert found["w"].tolist() == [1.0, -2.5, 4.0]


def test_other_numbers_keep_the_outline_and_another_network_does_not(tmp_path: Path) -> None:
    first, retrained, other = tiny(tmp_path, seed=0), tiny(tmp_path, seed=1), tiny(tmp_path, classes=2)
    assert first != retrained
    assert outline(first) == outline(retrained)
    assert outline(first) != outline(other)


@given(cut=st.integers(min_value=1, max_value=300), flip=st.integers(min_value=0, max_value=300))
def test_a_damaged_file_is_an_error_or_another_file_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int
) -> None:
    model = bytearray(tiny(tmp_path_factory.mktemp("m")))
    model[flip % len(model)] ^= 0xFF
    for content in (bytes(model[:-cut]), bytes(model)):
        try:
            read_weights(content)
            outline(content)
        except ValueError:
            continue
