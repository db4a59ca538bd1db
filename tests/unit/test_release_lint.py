"""The linter reads the bytes that ship and says everything that is wrong with them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from eyebright_server.release.lint import lint
from tiny_release import write_tiny_model

SIZE, CLASSES = 32, 4


@pytest.fixture
def model(tmp_path: Path) -> onnx.ModelProto:
    write_tiny_model(tmp_path / "model.onnx", classes=CLASSES, image_size=SIZE, bias=[0.0] * CLASSES)
    return onnx.load(tmp_path / "model.onnx")


def findings(model: onnx.ModelProto, **how: int) -> str:
    return "; ".join(lint(model.SerializeToString(), **{"image_size": SIZE, "classes": CLASSES, **how}))


def test_a_file_that_keeps_the_contract_has_no_finding(model) -> None:
    assert findings(model) == ""


@pytest.mark.parametrize("data", [b"not a model", b"\x00" * 40, b"PK\x03\x04"])
def test_what_is_no_model_is_said_to_be_none(data: bytes) -> None:
    assert lint(data, image_size=SIZE, classes=CLASSES) == ("the file is not an ONNX model",)


def test_a_newer_opset_is_refused(model) -> None:
    model.opset_import[0].version = 18
    assert "opset 18" in findings(model)


def test_a_newer_ir_is_refused(model) -> None:
    model.ir_version = 10
    assert "IR version 10" in findings(model)


def test_a_second_operator_set_is_refused(model) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert "com.microsoft" in findings(model)


def test_an_operator_that_is_not_on_the_list_is_named(model) -> None:
    model.graph.node.append(helper.make_node("Loop", ["logits"], ["other"]))
    assert "Loop" in findings(model)


def test_a_subgraph_is_refused(model) -> None:
    inner = helper.make_graph([helper.make_node("Identity", ["logits"], ["x"])], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["logits"], ["other"], then_branch=inner, else_branch=inner))
    assert "subgraph" in findings(model)


def test_weights_outside_the_file_are_refused_wherever_they_point(model) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    assert "weights outside the file: weight" in findings(model)


def test_weights_of_a_constant_node_are_looked_at_too(model) -> None:
    tensor = numpy_helper.from_array(np.array([np.inf], dtype=np.float32), "hidden")
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))
    assert "not finite numbers: hidden" in findings(model)


def test_a_weight_that_is_not_a_number_is_named(model) -> None:
    broken = np.full((CLASSES, 3, 1, 1), np.nan, dtype=np.float32)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(broken, "weight"))
    assert "not finite numbers: weight" in findings(model)


def test_an_open_batch_dimension_is_refused(model) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    assert "inputs" in findings(model)


def test_another_picture_size_is_refused(model) -> None:
    assert "inputs" in findings(model, image_size=64)


def test_another_number_of_classes_is_refused(model) -> None:
    assert "outputs" in findings(model, classes=5)


def test_outputs_in_another_order_are_refused(model) -> None:
    logits, cam = model.graph.output
    swapped = [onnx.ValueInfoProto.FromString(v.SerializeToString()) for v in (cam, logits)]
    del model.graph.output[:]
    model.graph.output.extend(swapped)
    assert "outputs" in findings(model)


def test_a_file_over_the_budget_is_refused_with_both_numbers(model) -> None:
    size = len(model.SerializeToString())
    assert f"{size} bytes, the budget is 100" in findings(model, size_budget_bytes=100)


def test_notes_of_the_exporter_are_refused(model) -> None:
    model.graph.node[0].metadata_props.add(key="stack_trace", value="File /home/somebody")
    assert "notes" in findings(model)


def test_a_graph_that_only_claims_an_older_opset_is_caught_by_the_checker(model) -> None:
    mean = next(node for node in model.graph.node if node.op_type == "ReduceMean")
    del mean.attribute[:]
    mean.input.append("axes")
    model.graph.initializer.append(numpy_helper.from_array(np.array([2, 3]), "axes"))
    assert "checker refuses" in findings(model)


def test_every_finding_is_listed(model) -> None:
    model.ir_version = 10
    model.opset_import[0].version = 18
    assert findings(model).count(";") == 1
