"""What a release's graph may be: the contract with every runtime a screening unit may have.

* One file: no external data, so nothing beside it is needed and nothing outside its folder can be named.
* Opset at most 13, IR at most 7, only operators on the list (TensorRT 8.2 has them all), no subgraphs, no functions.
* What shapes or limits a value (``Clip``, ``Pad``, ``Reshape``, ``Unsqueeze``) is constant: TensorRT 8.2 takes
  no computed shapes.
* Static shapes: ``image`` float32 ``[1, 3, S, S]`` in; ``logits`` ``[1, C]`` and ``cam`` ``[1, C, h, w]`` out, in this
  order.
* Every weight is a finite number, and the file is within its size budget.
* An FP16 file may cast, and has float32 input and outputs all the same. An INT8 file may quantise and dequantise: with
  constant, positive scales, signed weights around zero, per channel along the first axis only. The plain file does
  neither.
* No notes: an exporter's stack traces and paths do not leave the server.
* The ONNX checker agrees, shapes inferred; it is what catches a file that only claims an older opset.

The linter reads the bytes that ship, not the model in memory, and returns every finding rather than the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError, Message
from onnx import ModelProto, TensorProto, ValueInfoProto, numpy_helper

from eyebright_common.release import Precision
from eyebright_server.release.lowering import IR_VERSION, OPSET, has_subgraph

SIZE_BUDGET_BYTES = 64 << 20

# Operators of TensorRT 8.2's own table that a convolutional student with a pooled head may need.
ALLOWED_OPERATORS = frozenset(
    {
        "Add",
        "AveragePool",
        "BatchNormalization",
        "Clip",
        "Concat",
        "Constant",
        "Conv",
        "Div",
        "Flatten",
        "Gemm",
        "GlobalAveragePool",
        "HardSigmoid",
        "Identity",
        "LeakyRelu",
        "MatMul",
        "MaxPool",
        "Mul",
        "Pad",
        "ReduceMean",
        "Relu",
        "Reshape",
        "Sigmoid",
        "Softmax",
        "Sub",
        "Transpose",
        "Unsqueeze",
    }
)

# Operators whose inputs after the first must be constants of the file.
CONSTANT_PARAMETERS = frozenset({"Clip", "Pad", "Reshape", "Unsqueeze"})

# What a variant may have beside it.
MORE_OPERATORS: dict[Precision, frozenset[str]] = {
    "fp32": frozenset(),
    "fp16": frozenset({"Cast"}),
    "int8": frozenset({"QuantizeLinear", "DequantizeLinear"}),
}


def lint(
    data: bytes,
    *,
    image_size: int,
    classes: int,
    size_budget_bytes: int = SIZE_BUDGET_BYTES,
    precision: Precision = "fp32",
) -> tuple[str, ...]:
    """Return what is wrong with an ONNX file, in words; nothing when it may ship.

    Args:
        data: The file's bytes.
        image_size: S, side of the input in pixels.
        classes: C, number of logits.
        size_budget_bytes: Largest file that a unit takes.
        precision: Of the variant.
    """
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        return ("the file is not an ONNX model",)
    if not _is_text(model):
        return ("a name in the file is not UTF-8 text",)
    weights = tuple(_weights(model))
    found = [
        *_size(data, size_budget_bytes),
        *_versions(model),
        *_operators(model, precision),
        *_computed_shapes(model),
        *weights,
        *(() if weights else _quantisation(model)),
        *_interface(model, image_size, classes),
        *_notes(model),
    ]
    # With external data the checker would look for files; it was refused above.
    return tuple(found) if found else tuple(_checker(model))


def _is_text(message: Message) -> bool:
    """Whether every string in a message is one: what is not UTF-8 arrives as bytes, and ONNX's checker stumbles."""
    for field, value in message.ListFields():
        several = value if field.is_repeated else [value]
        if field.type == field.TYPE_STRING and not all(isinstance(one, str) for one in several):
            return False
        if field.type == field.TYPE_MESSAGE and not all(_is_text(one) for one in several):
            return False
    return True


def _size(data: bytes, budget: int) -> Iterator[str]:
    if len(data) > budget:
        yield f"the file has {len(data)} bytes, the budget is {budget}"


def _versions(model: ModelProto) -> Iterator[str]:
    domains = [(entry.domain, entry.version) for entry in model.opset_import]
    if len(domains) != 1 or domains[0][0] not in ("", "ai.onnx"):
        yield f"operator sets {domains}, allowed is ONNX's own alone"
    elif domains[0][1] > OPSET:
        yield f"opset {domains[0][1]}, allowed is at most {OPSET}"
    if not 1 <= model.ir_version <= IR_VERSION:
        yield f"IR version {model.ir_version}, allowed is at most {IR_VERSION}"
    if model.functions or model.training_info or model.graph.sparse_initializer:
        yield "functions, training information or sparse weights"


def _operators(model: ModelProto, precision: Precision) -> Iterator[str]:
    foreign = {f"{n.domain}.{n.op_type}" for n in model.graph.node if n.domain not in ("", "ai.onnx")}
    unlisted = {n.op_type for n in model.graph.node} - ALLOWED_OPERATORS - MORE_OPERATORS[precision]
    if foreign or unlisted:
        yield f"operators that are not on the list: {', '.join(sorted(foreign | unlisted))}"
    if any(has_subgraph(node) for node in model.graph.node):
        yield "an operator carries a subgraph"


def _computed_shapes(model: ModelProto) -> Iterator[str]:
    constants = {tensor.name for tensor in model.graph.initializer}
    constants |= {name for node in model.graph.node if node.op_type == "Constant" for name in node.output}
    computed = {
        node.op_type
        for node in model.graph.node
        if node.op_type in CONSTANT_PARAMETERS and any(name and name not in constants for name in node.input[1:])
    }
    if computed:
        yield f"operators whose shape or limits are computed: {', '.join(sorted(computed))}"


def _weights(model: ModelProto) -> Iterator[str]:
    inner = [a.t for node in model.graph.node for a in node.attribute if a.HasField("t")]
    inner += [tensor for node in model.graph.node for a in node.attribute for tensor in a.tensors]
    tensors = [*model.graph.initializer, *inner]
    outside = [t.name for t in tensors if t.data_location == TensorProto.EXTERNAL or t.external_data]
    if outside:
        yield f"weights outside the file: {', '.join(outside[:3])}"
        return
    names = [tensor.name for tensor in model.graph.initializer]
    if len(set(names)) != len(names):
        yield "two weights have the same name"
    try:
        broken = [t.name for t in tensors if not np.isfinite(numpy_helper.to_array(t)).all()]
    except (ValueError, TypeError, KeyError) as error:  # KeyError: of a kind that ONNX does not know
        yield f"a weight cannot be read ({error})"
        return
    if broken:
        yield f"weights that are not finite numbers: {', '.join(broken[:3])}"


def _quantisation(model: ModelProto) -> Iterator[str]:
    """What the oldest runtimes need of Q/DQ pairs; ONNX itself allows more."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    wrong = set()
    for node in model.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        fixed = [constants.get(name) for name in node.input[1:]]
        if len(fixed) != 2 or fixed[0] is None or fixed[1] is None:
            wrong.add("without a constant scale and zero point")
            continue
        scale, zero = (numpy_helper.to_array(tensor) for tensor in fixed if tensor is not None)
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        if not (scale > 0).all():
            wrong.add("with a scale that is not positive")
        if node.input[0] in constants and zero.any():
            wrong.add("with weights that are not around zero")
        if scale.size > 1 and (node.input[0] not in constants or axis != 0):
            wrong.add("per channel elsewhere than along the first axis of weights")
    if wrong:
        yield f"quantisation {'; '.join(sorted(wrong))}"


def _interface(model: ModelProto, image_size: int, classes: int) -> Iterator[str]:
    wanted_input = ("image", TensorProto.FLOAT, (1, 3, image_size, image_size))
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [_signature(value) for value in model.graph.input if value.name not in weights]
    if inputs != [wanted_input] or len(model.graph.input) != 1:
        yield f"inputs {inputs}, wanted is {wanted_input} alone"
    outputs = [_signature(value) for value in model.graph.output]
    logits = ("logits", TensorProto.FLOAT, (1, classes))
    if len(outputs) != 2 or outputs[0] != logits or not _is_map(outputs[1], classes):
        yield f"outputs {outputs}, wanted are {logits} and cam (1, {classes}, h, w)"


def _signature(value: ValueInfoProto) -> tuple[str, int, tuple[int, ...]]:
    """Name, element type and shape of a value; a side that is not a fixed number counts as 0."""
    tensor = value.type.tensor_type
    return value.name, tensor.elem_type, tuple(d.dim_value if not d.dim_param else 0 for d in tensor.shape.dim)


def _is_map(signature: tuple[str, int, tuple[int, ...]], classes: int) -> bool:
    name, kind, shape = signature
    return (
        name == "cam" and kind == TensorProto.FLOAT and len(shape) == 4 and shape[:2] == (1, classes) and min(shape) > 0
    )


def _notes(model: ModelProto) -> Iterator[str]:
    graph = model.graph
    holders: tuple[Any, ...] = (
        model,
        graph,
        *graph.node,
        *graph.initializer,
        *graph.input,
        *graph.output,
        *graph.value_info,
    )
    if any(holder.metadata_props or holder.doc_string for holder in holders):
        yield "notes of the exporter (metadata_props, doc_string)"


def _checker(model: ModelProto) -> Iterator[str]:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        yield f"the ONNX checker refuses it: {str(error).splitlines()[0]}"
