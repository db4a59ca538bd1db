"""Variants: less precision, the same contract, and an honest account of what was lost."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from eyebright_common.errors import ExportError
from eyebright_server.release.export import export_student
from eyebright_server.release.golden_pictures import drawn_pictures
from eyebright_server.release.lint import lint
from eyebright_server.release.reference_runtime import ReferenceRuntime
from eyebright_server.release.variants import Yardstick, convert, make_variant, measure
from tiny_student import TinyStudent

SIZE = 32


@pytest.fixture(scope="module")
def data() -> bytes:
    return export_student(TinyStudent(), image_size=SIZE).data


@pytest.fixture(scope="module")
def yardstick(data: bytes) -> Yardstick:
    pixels = np.ascontiguousarray(drawn_pictures(image_size=SIZE).calibration.transpose(0, 3, 1, 2))
    return Yardstick(
        pixels=pixels,
        logits=ReferenceRuntime(data).logits_of(pixels),
        referable=(False, True, True, True),
        temperature=1.0,
        threshold=0.5,
        band=0.02,
    )


def findings(model: onnx.ModelProto, precision: str = "int8") -> str:
    return "; ".join(lint(model.SerializeToString(), image_size=SIZE, classes=4, precision=precision))


@pytest.mark.parametrize(("precision", "most"), [("fp16", 1e-3), ("int8", 0.05)])
def test_a_variant_keeps_the_contract_and_most_of_the_scores(data, yardstick, precision: str, most: float) -> None:
    variant = make_variant(data, precision, yardstick)
    model = onnx.load_model_from_string(variant.data)
    assert variant.lint == ()
    assert ([entry.version for entry in model.opset_import], model.ir_version) == ([13], 7)
    assert variant.facts.max_abs_score_difference <= most
    assert variant.facts.pictures == len(yardstick.pixels)
    assert variant.facts.size_bytes == len(variant.data)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_same_file_gives_the_same_variant(data, yardstick, precision: str) -> None:
    assert convert(data, precision, yardstick.pixels) == convert(data, precision, yardstick.pixels)


def test_weights_of_half_precision_keep_their_names(data, yardstick) -> None:
    half = onnx.load_model_from_string(convert(data, "fp16", yardstick.pixels))
    whole = onnx.load_model_from_string(data)
    assert {t.name for t in whole.graph.initializer} <= {t.name for t in half.graph.initializer}


def test_a_variant_is_measured_against_the_file_it_came_from(data, yardstick) -> None:
    other = export_student(TinyStudent(seed=3), image_size=SIZE).data
    facts = measure(other, data, "int8", yardstick)
    logits = ReferenceRuntime(other).logits_of(yardstick.pixels)
    assert facts.max_abs_logit_difference == pytest.approx(float(np.abs(logits - yardstick.logits).max()))
    assert facts.golden_tolerance >= facts.max_abs_logit_difference
    none_inside = measure(other, data, "int8", replace(yardstick, band=1.0))
    assert none_inside.changed_outside_band == 0
    assert none_inside.changed_decisions == facts.changed_decisions


def test_fp32_is_the_file_itself(data, yardstick) -> None:
    assert convert(data, "fp32", yardstick.pixels) is data


def test_what_cannot_be_converted_is_a_clear_error(yardstick) -> None:
    with pytest.raises(ExportError, match="int8 variant cannot be made"):
        convert(b"not a model", "int8", yardstick.pixels)


def test_quantised_operators_belong_in_the_int8_file_only(data, yardstick) -> None:
    model = onnx.load_model_from_string(convert(data, "int8", yardstick.pixels))
    assert "DequantizeLinear, QuantizeLinear" in findings(model, "fp32")
    assert "DequantizeLinear, QuantizeLinear" in findings(model, "fp16")


def test_casts_belong_in_the_fp16_file_only(data, yardstick) -> None:
    assert "Cast" in findings(onnx.load_model_from_string(convert(data, "fp16", yardstick.pixels)), "fp32")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda scale: -scale, "not positive"),
        (lambda scale: scale * 0, "not positive"),
    ],
)
def test_a_scale_that_is_not_positive_is_refused(data, yardstick, change, words: str) -> None:
    model = onnx.load_model_from_string(convert(data, "int8", yardstick.pixels))
    for tensor in model.graph.initializer:
        if tensor.name.endswith("_scale"):
            tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), tensor.name))
    assert words in findings(model)


def test_weights_that_are_not_around_zero_are_refused(data, yardstick) -> None:
    model = onnx.load_model_from_string(convert(data, "int8", yardstick.pixels))
    weights = {t.name for t in model.graph.initializer if t.name.endswith("_quantized")}
    zeros = {n.input[2] for n in model.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in weights}
    for tensor in model.graph.initializer:
        if tensor.name in zeros:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + 1, tensor.name))
    assert "not around zero" in findings(model)


def test_a_shape_that_is_computed_is_refused(data) -> None:
    model = onnx.load_model_from_string(data)
    node = model.graph.node[-1]
    node.CopyFrom(helper.make_node("Reshape", [node.input[0], "image"], list(node.output)))
    assert "shape or limits are computed: Reshape" in findings(model, "fp32")
