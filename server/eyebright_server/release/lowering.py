"""Lowering: the exporter's graph, rewritten for the oldest runtime a screening unit may have (opset 13, IR 7).

* ``ReduceMean``: a constant axes input (opset 18) becomes the ``axes`` attribute. TensorRT 8.2 does not refuse the new
  form, it ignores the axes and averages over everything, so this one matters most.
* ``HardSwish`` (opset 14) becomes ``x * HardSigmoid(x; 1/6, 1/2)``, which is its definition.
* ``Reshape``: ``allowzero`` (opset 14) is dropped where the constant shape has no zero and it therefore means nothing.
* ``Add, Sub, Mul, Div, Relu`` (opset 14) only gained integer types since 13 and stay as they are.
* Any other operator whose definition is newer than 13 is refused by name: nothing is relabelled in the hope it works.
* Weights carry the names of the student's state, which refitting an engine needs. A batch normalisation folded into a
  convolution leaves its shift as ``<convolution>.weight_bias``; the map's copy of the head is ``cam.weight``; the few
  other constants are numbered in the order of their use.
* What nobody reads is removed: unused initializers, intermediate shapes, and the exporter's notes, which hold the
  stack traces and paths of the machine that exported.

It changes no arithmetic: lowered and unlowered give the same bits in ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import onnx
from onnx import AttributeProto, ModelProto, NodeProto, helper, numpy_helper

from eyebright_common.errors import ExportError

OPSET = 13
IR_VERSION = 7
PRODUCER = "eyebright"

_ONLY_GAINED_TYPES = frozenset({"Add", "Sub", "Mul", "Div", "Relu"})
_REWRITTEN = frozenset({"ReduceMean", "HardSwish", "Reshape"})


def lower(model: ModelProto, *, state_names: Iterable[str] = (), prefix: str = "") -> ModelProto:
    """Return the same computation at opset 13 and IR 7.

    Args:
        model: What the exporter made; left as it is.
        state_names: Names of the student's state, which its weights keep.
        prefix: What the exporter put in front of them.

    Raises:
        ExportError: an operator has no form in opset 13 that we know.
    """
    if model.functions:
        raise ExportError("exported graph has functions", value=model.functions[0].name, fix="Export it inlined.")
    source_opset = _source_opset(model)
    lowered = ModelProto()
    lowered.CopyFrom(model)
    constants = {tensor.name: tensor for tensor in lowered.graph.initializer}
    nodes = [new for node in model.graph.node for new in _lower_node(node, constants, source_opset)]
    del lowered.graph.node[:]
    lowered.graph.node.extend(nodes)
    _prune(lowered)
    _rename(lowered, {name: name.removeprefix(prefix) for name in constants}, frozenset(state_names))
    del lowered.opset_import[:]
    lowered.opset_import.append(helper.make_opsetid("", OPSET))
    lowered.ir_version = IR_VERSION
    return lowered


def _source_opset(model: ModelProto) -> int:
    versions = {entry.domain: entry.version for entry in model.opset_import}
    foreign = sorted({node.domain for node in model.graph.node} - {"", "ai.onnx"})
    if foreign:
        raise ExportError("exported graph uses operators outside ONNX", value=", ".join(foreign))
    return int(versions.get("", versions.get("ai.onnx", 0)))


def _lower_node(node: NodeProto, constants: dict[str, onnx.TensorProto], source_opset: int) -> Iterator[NodeProto]:
    try:
        since = onnx.defs.get_schema(node.op_type, max_inclusive_version=source_opset).since_version
    except onnx.defs.SchemaError as error:
        raise ExportError("exported graph uses an unknown operator", value=node.op_type) from error
    if since <= OPSET or node.op_type in _ONLY_GAINED_TYPES:
        yield _copy(node)
    elif node.op_type == "ReduceMean":
        yield _reduce_mean(node, constants)
    elif node.op_type == "Reshape":
        yield _reshape(node, constants)
    elif node.op_type == "HardSwish":
        yield from _hard_swish(node)
    else:
        raise ExportError(
            f"operator {node.op_type} is newer than opset {OPSET} (since {since})",
            value=node.name or node.output[0],
            fix="Use a student without it, or teach the lowering pass how opset 13 says the same.",
        )


def _copy(node: NodeProto, inputs: Iterable[str] | None = None, without: Iterable[str] = ()) -> NodeProto:
    copy = NodeProto(op_type=node.op_type, name=node.name, output=node.output)
    copy.input.extend(node.input if inputs is None else inputs)
    copy.attribute.extend(attribute for attribute in node.attribute if attribute.name not in set(without))
    for attribute in copy.attribute:
        attribute.ClearField("doc_string")
    return copy


def _reduce_mean(node: NodeProto, constants: dict[str, onnx.TensorProto]) -> NodeProto:
    copy = _copy(node, inputs=node.input[:1], without=["noop_with_empty_axes"])
    axes = _constant(node, 1, constants) if len(node.input) > 1 and node.input[1] else []
    if axes:
        copy.attribute.append(helper.make_attribute("axes", axes))
    elif _integer(node, "noop_with_empty_axes"):
        raise ExportError("ReduceMean without axes that does nothing", value=node.name, fix="Leave it out.")
    return copy


def _reshape(node: NodeProto, constants: dict[str, onnx.TensorProto]) -> NodeProto:
    if _integer(node, "allowzero") and 0 in _constant(node, 1, constants):
        raise ExportError("Reshape to a side of length zero has no form in opset 13", value=node.name)
    return _copy(node, without=["allowzero"])


def _hard_swish(node: NodeProto) -> Iterator[NodeProto]:
    gate = f"{node.output[0]}_gate"
    yield helper.make_node("HardSigmoid", [node.input[0]], [gate], f"{node.name}_gate", alpha=1.0 / 6.0, beta=0.5)
    yield helper.make_node("Mul", [gate, node.input[0]], [node.output[0]], node.name)


def _constant(node: NodeProto, index: int, constants: dict[str, onnx.TensorProto]) -> list[int]:
    tensor = constants.get(node.input[index])
    if tensor is None:
        raise ExportError(f"{node.op_type} needs a constant second input", value=node.name or node.output[0])
    return [int(value) for value in numpy_helper.to_array(tensor).ravel()]


def _integer(node: NodeProto, name: str) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == name), 0)


def _prune(model: ModelProto) -> None:
    read = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    for tensor in kept:
        tensor.ClearField("doc_string")
        del tensor.metadata_props[:]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    del model.graph.value_info[:]
    holders: tuple[Any, ...] = (model, model.graph, *model.graph.input, *model.graph.output)
    for holder in holders:
        del holder.metadata_props[:]
        holder.ClearField("doc_string")
    model.producer_name = PRODUCER
    model.ClearField("producer_version")
    model.graph.name = PRODUCER


def _rename(model: ModelProto, bare: dict[str, str], state_names: frozenset[str]) -> None:
    """Give weights their names in the student's state, the map's weights theirs, and number what remains."""
    names: dict[str, str] = {}
    initializers = {tensor.name for tensor in model.graph.initializer}
    numbered = 0
    for node in model.graph.node:
        for name in node.input:
            if name not in initializers or name in names:
                continue
            if bare[name] in state_names or _belongs_to_a_weight(bare[name], state_names):
                names[name] = bare[name]
            elif "cam" in node.output:
                names[name] = "cam.weight"
            else:
                names[name] = f"constant.{numbered}"
                numbered += 1
    for tensor in model.graph.initializer:
        tensor.name = names[tensor.name]
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]


def _belongs_to_a_weight(name: str, state_names: frozenset[str]) -> bool:
    return name.removesuffix("_bias") in state_names


def has_subgraph(node: NodeProto) -> bool:
    """Return whether a node carries a graph of its own."""
    return any(attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for attribute in node.attribute)
