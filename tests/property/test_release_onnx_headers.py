"""A network's bytes, damaged in the header or anywhere: each of its readers takes them or refuses them in words."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eyebright_common.errors import ReleaseError
from eyebright_edge.runtime import OnnxRuntime
from eyebright_edge.runtime.board.tensorrt_worker.onnx_weights import outline, read_weights
from eyebright_server.release.lint import lint
from eyebright_server.release.reference_runtime import ReferenceRuntime
from tiny_release import write_tiny_model

SIZE, CLASSES = 16, 4
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
integers = st.sampled_from([-(2**63), -1, 0, 1, 2, 7, 8, 13, 14, 2**31, 2**62]) | st.integers(-(2**63), 2**63 - 1)
words = st.sampled_from(["", "..", "image", "logits", "/etc/passwd", "Loop", "com.microsoft", "\0"]) | st.text(
    max_size=9
)


@cache
def network() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_tiny_model(path, classes=CLASSES, image_size=SIZE, bias=(4.0, 0.0, 0.0, 0.0))
        return path.read_bytes()


def refusal(read: Callable[[], object], kind: type[Exception]) -> Exception | None:
    """Return the error with which a reader refuses; one of another kind is a failed test."""
    try:
        read()
    except kind as error:
        return error
    return None


def read_by_all(data: bytes) -> tuple[str, ...]:
    """Return the linter's findings, after every other reader has taken the bytes or refused them in words."""
    for reader in (outline, read_weights):  # the board's, which has no errors of ours: its worker words them
        refused = refusal(partial(reader, data), ValueError)
        assert refused is None or str(refused)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(data)
        for runtime in (OnnxRuntime, ReferenceRuntime):
            refused = refusal(partial(runtime, path), ReleaseError)
            if isinstance(refused, ReleaseError):
                assert refused.what
                assert refused.fix
                assert "\n" not in refused.what
    found = lint(data, image_size=SIZE, classes=CLASSES)
    assert all(isinstance(finding, str) and finding for finding in found)
    return found


def test_the_network_itself_has_no_finding() -> None:
    assert read_by_all(network()) == ()


@FUZZ
@given(st.binary(max_size=300))
def test_any_bytes_have_a_finding(data: bytes) -> None:
    assert read_by_all(data)


@FUZZ
@given(st.data())
def test_bytes_flipped_cut_or_doubled_are_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(network())
    a, b = sorted(data.draw(st.tuples(*[st.integers(0, len(content) - 1)] * 2)))
    what = data.draw(st.sampled_from(["flip", "cut", "end", "double"]))
    if what == "flip":
        content[a] ^= data.draw(st.integers(1, 255))
    changed = {
        "flip": content,
        "cut": content[:a] + content[b:],
        "end": content[:a],
        "double": content[:b] + content[a:],
    }
    read_by_all(bytes(changed[what]))


def header_of(model: onnx.ModelProto, where: str, number: int, word: str) -> None:
    """Replace one field of a model's header."""
    weight, node, picture = model.graph.initializer[0], model.graph.node[0], model.graph.input[0]
    match where:
        case "ir_version":
            model.ir_version = number
        case "opset":
            model.opset_import[0].version = number
        case "domain":
            model.opset_import[0].domain = word
        case "second opset":
            model.opset_import.add(domain=word, version=number)
        case "operator":
            node.op_type = word
        case "edge":
            node.input[0] = word
        case "input":
            picture.name = word
        case "dimension":
            picture.type.tensor_type.shape.dim[2].dim_value = number
        case "open dimension":
            picture.type.tensor_type.shape.dim[0].dim_param = word
        case "weight's shape":
            weight.dims[0] = number
        case "weight's kind":
            weight.data_type = number % 40
        case "weight's bytes":
            weight.raw_data = word.encode()
        case "weight elsewhere":
            weight.data_location = onnx.TensorProto.EXTERNAL
            weight.external_data.add(key="location", value=word)


HEADERS = (
    *("ir_version", "opset", "domain", "second opset", "operator", "edge", "input", "dimension", "open dimension"),
    *("weight's shape", "weight's kind", "weight's bytes", "weight elsewhere"),
)


@pytest.mark.parametrize("where", HEADERS)
@settings(FUZZ, max_examples=40)
@given(number=integers, word=words)
def test_a_header_field_replaced_is_refused_or_says_the_same(where: str, number: int, word: str) -> None:
    model = onnx.load_model_from_string(network())
    try:
        header_of(model, where, number, word)
    except ValueError:  # this number cannot be in the field at all
        return
    changed = model.SerializeToString()
    found = read_by_all(changed)
    if where in {"weight elsewhere", "operator", "domain", "edge"} and changed != network():
        assert found
