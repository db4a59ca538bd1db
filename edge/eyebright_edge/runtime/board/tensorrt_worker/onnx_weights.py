"""The weights inside an ONNX file, read without the ``onnx`` package: neither the board nor the unit has it.

An ONNX file is one protobuf message. Needed are only ``ModelProto.graph`` (7), ``GraphProto.initializer`` (5) and, of a
``TensorProto``, dims (1), data_type (2), float_data (4), name (8), raw_data (9). Everything else is passed over.

``outline`` is the digest of the file with the weights' values left out: equal outlines mean the same network with other
numbers, which is what an engine can be refitted for.
"""

import hashlib
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

import numpy as np

_GRAPH, _INITIALIZER = 7, 5
_DIMS, _TYPE, _FLOATS, _NAME, _RAW = 1, 2, 4, 8, 9
_VALUES = (_FLOATS, _RAW)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DTYPES: Dict[int, Any] = {1: np.float32, 6: np.int32, 7: np.int64, 10: np.float16, 11: np.float64}


class Field(NamedTuple):
    """One field of a message: its number, its bytes or number, and all of its bytes with the tag."""

    number: int
    value: Any
    whole: memoryview


def read_weights(model: bytes) -> Dict[str, Any]:
    """Return the initializers of an ONNX file by name.

    Raises:
        ValueError: it is damaged, or a weight is of a kind that networks of ours do not have.
    """
    found: Dict[str, Any] = {}
    for field in _fields(memoryview(model)):
        if field.number == _GRAPH:
            for inner in _fields(_bytes(field)):
                if inner.number == _INITIALIZER:
                    name, array = _tensor(_bytes(inner))
                    found[name] = array
    return found


def outline(model: bytes) -> str:
    """Return the SHA-256, hexadecimal, of an ONNX file without the values of its weights.

    Raises:
        ValueError: the file is damaged.
    """
    digest = hashlib.sha256()
    for field in _fields(memoryview(model)):
        if field.number != _GRAPH:
            digest.update(field.whole)
            continue
        for inner in _fields(_bytes(field)):
            if inner.number != _INITIALIZER:
                digest.update(inner.whole)
                continue
            for part in _fields(_bytes(inner)):
                if part.number not in _VALUES:
                    digest.update(part.whole)
    return digest.hexdigest()


def _tensor(message: memoryview) -> Tuple[str, Any]:
    dims: List[int] = []
    floats: List[bytes] = []
    kind, name = 0, ""
    raw: Any = None
    for field in _fields(message):
        if field.number == _DIMS:
            dims.extend(_numbers(field.value))
        elif field.number == _TYPE:
            kind = _number(field)
        elif field.number == _NAME:
            name = bytes(_bytes(field)).decode("utf-8")
        elif field.number == _RAW:
            raw = _bytes(field)
        elif field.number == _FLOATS:
            floats.append(bytes(field.whole[-4:]) if isinstance(field.value, int) else bytes(field.value))
    if kind not in _DTYPES or (floats and kind != 1):
        raise ValueError("weight %r is of kind %d" % (name, kind))
    content = b"".join(floats) if raw is None else raw
    try:
        return name, np.frombuffer(content, _DTYPES[kind]).reshape(dims).copy()
    except OverflowError as error:
        raise ValueError("weight %r has a side of absurd length" % name) from error


def _bytes(field: Field) -> memoryview:
    if isinstance(field.value, int):
        raise ValueError("not an ONNX file")
    found: memoryview = field.value
    return found


def _number(field: Field) -> int:
    if not isinstance(field.value, int):
        raise ValueError("not an ONNX file")
    return field.value


def _numbers(value: Any) -> List[int]:
    # Repeated integers come one by one, or packed into one field.
    if isinstance(value, int):
        return [value]
    numbers, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        numbers.append(number)
    return numbers


def _fields(message: memoryview) -> Iterator[Field]:
    at = 0
    while at < len(message):
        begin = at
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        value: Any
        if wire == _VARINT:
            value, at = _varint(message, at)
        elif wire == _BYTES:
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        elif wire == _FIXED32:
            value, at = int.from_bytes(message[at : at + 4], "little"), at + 4
        elif wire == _FIXED64:
            value, at = int.from_bytes(message[at : at + 8], "little"), at + 8
        else:
            raise ValueError("not an ONNX file")
        if at > len(message):
            raise ValueError("the ONNX file is cut")
        yield Field(number, value, message[begin:at])


def _varint(message: memoryview, at: int) -> Tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("the ONNX file is cut")
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("not an ONNX file")
