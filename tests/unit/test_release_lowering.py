"""Lowering: newer operators expressed by older ones, the same numbers, no notes left."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from eyebright_common.errors import ExportError
from eyebright_server.release.lowering import IR_VERSION, OPSET, lower

RUN = {"providers": ["CPUExecutionProvider"]}


def graph_of(nodes, weights=(), *, opset=18, shape=(1, 3, 4, 4), out=None):
    graph = helper.make_graph(
        nodes,
        "main_graph",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def same_bits(before, after) -> bool:
    image = np.random.default_rng(0).normal(0, 4, (1, 3, 4, 4)).astype(np.float32)
    found = [
        onnxruntime.InferenceSession(m.SerializeToString(), **RUN).run(None, {"image": image})[0]
        for m in (before, after)
    ]
    return np.array_equal(*found)


def mean_graph(**attributes):
    node = helper.make_node("ReduceMean", ["image", "axes"], ["logits"], keepdims=0, **attributes)
    return graph_of([node], [("axes", np.array([2, 3]))], out=(1, 3))


def test_the_axes_of_a_mean_become_an_attribute() -> None:
    model = mean_graph(noop_with_empty_axes=0)
    lowered = lower(model)
    node = lowered.graph.node[0]
    assert {a.name: helper.get_attribute_value(a) for a in node.attribute} == {"axes": [2, 3], "keepdims": 0}
    assert (list(node.input), len(lowered.graph.initializer)) == (["image"], 0)
    assert same_bits(model, lowered)


def test_hard_swish_is_spelt_out() -> None:
    model = graph_of([helper.make_node("HardSwish", ["image"], ["logits"], "act")])
    lowered = lower(model)
    assert [node.op_type for node in lowered.graph.node] == ["HardSigmoid", "Mul"]
    assert same_bits(model, lowered)


def test_a_reshape_loses_a_flag_that_means_nothing() -> None:
    node = helper.make_node("Reshape", ["image", "shape"], ["logits"], allowzero=1)
    model = graph_of([node], [("shape", np.array([1, 48]))])
    lowered = lower(model)
    assert not lowered.graph.node[0].attribute
    assert same_bits(model, lowered)


def test_a_reshape_to_nothing_is_refused() -> None:
    node = helper.make_node("Reshape", ["image", "shape"], ["logits"], allowzero=1)
    with pytest.raises(ExportError, match="length zero"):
        lower(graph_of([node], [("shape", np.array([0, 3]))]))


def test_what_is_written_claims_and_keeps_opset_13() -> None:
    lowered = lower(mean_graph())
    assert ([(o.domain, o.version) for o in lowered.opset_import], lowered.ir_version) == ([("", OPSET)], IR_VERSION)
    onnx.checker.check_model(lowered, full_check=True)


def test_relabelling_alone_would_not_have_been_enough() -> None:
    model = mean_graph()
    model.opset_import[0].version, model.ir_version = OPSET, IR_VERSION
    with pytest.raises(onnx.checker.ValidationError):
        onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize(
    ("op_type", "opset"), [("Mish", 18), ("Gelu", 20), ("GroupNormalization", 21), ("LayerNormalization", 18)]
)
def test_any_other_newer_operator_is_refused_by_name(op_type: str, opset: int) -> None:
    node = helper.make_node(op_type, ["image"], ["logits"])
    with pytest.raises(ExportError, match=f"{op_type} is newer than opset 13"):
        lower(graph_of([node], opset=opset))


def test_an_operator_from_elsewhere_is_refused() -> None:
    node = helper.make_node("FusedConv", ["image"], ["logits"], domain="com.microsoft")
    with pytest.raises(ExportError, match=r"com\.microsoft"):
        lower(graph_of([node]))


def test_an_unknown_operator_is_refused_by_name() -> None:
    with pytest.raises(ExportError, match="Wobble"):
        lower(graph_of([helper.make_node("Wobble", ["image"], ["logits"])]))


def test_a_mean_over_axes_that_are_computed_is_refused() -> None:
    nodes = [
        helper.make_node("Cast", ["floats"], ["axes"], to=TensorProto.INT64),
        helper.make_node("ReduceMean", ["image", "axes"], ["logits"]),
    ]
    with pytest.raises(ExportError, match="constant second input"):
        lower(graph_of(nodes, [("floats", np.array([2.0, 3.0], np.float32))]))


def test_a_mean_that_does_nothing_is_refused() -> None:
    node = helper.make_node("ReduceMean", ["image"], ["logits"], noop_with_empty_axes=1)
    with pytest.raises(ExportError, match="does nothing"):
        lower(graph_of([node]))


def test_notes_and_unused_weights_are_removed() -> None:
    model = mean_graph()
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(3), "unused"))
    model.graph.node[0].metadata_props.add(key="stack_trace", value="File /home/somebody/secret.py")
    model.graph.node[0].doc_string = "/home/somebody"
    model.metadata_props.add(key="path", value="/home/somebody")
    model.graph.value_info.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]))
    data = lower(model).SerializeToString()
    assert b"somebody" not in data
    assert b"unused" not in data


def test_weights_keep_the_names_of_the_state() -> None:
    nodes = [
        helper.make_node("Conv", ["image", "student.stem.weight", "student.stem.weight_bias"], ["a"]),
        helper.make_node("Clip", ["a", "val_7", "val_9"], ["b"]),
        helper.make_node("Conv", ["b", "unsqueeze_1"], ["cam"]),
        helper.make_node("ReduceMean", ["cam", "axes"], ["logits"], keepdims=0),
    ]
    weights = [
        ("student.stem.weight", np.ones((2, 3, 1, 1), np.float32)),
        ("student.stem.weight_bias", np.ones(2, np.float32)),
        ("val_7", np.float32(0)),
        ("val_9", np.float32(6)),
        ("unsqueeze_1", np.ones((2, 2, 1, 1), np.float32)),
        ("axes", np.array([2, 3])),
    ]
    lowered = lower(graph_of(nodes, weights), state_names=["stem.weight"], prefix="student.")
    names = [tensor.name for tensor in lowered.graph.initializer]
    assert names == ["stem.weight", "stem.weight_bias", "constant.0", "constant.1", "cam.weight"]
    assert same_bits(graph_of(nodes, weights), lowered)


def test_the_model_given_is_left_as_it_is() -> None:
    model = mean_graph()
    before = model.SerializeToString()
    lower(model)
    assert model.SerializeToString() == before
