"""Many arrays as one run of bytes, for a transport that pays per array.

Flower sends every array as objects of its own, each with its own request: a student of 300 arrays costs 600 of them
in each direction and minutes of waiting. Packed, it is a few pieces of 5 MiB. Packing happens at the edges of the two
processes that speak over it; the app and the rounds see plain arrays, and so do the audit log and the reply gate.

Layout: length of the header (8 bytes, little endian), the header (JSON: name, dtype and shape of each array, in
order), then the arrays' bytes one after the other, little endian, C order. No pickle, no compression: what arrives can
be no larger than what was sent, and a header that does not fit its bytes is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from eyebright_common.errors import InputError

PACKED = "packed-1"
_LENGTH_BYTES = 8
_KINDS = frozenset("fiub")
_LONGEST = 2**31  # of one axis; what fits memory is checked against the bytes that came


def pack_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return the arrays as one run of bytes, the same for the same arrays in the same order."""
    little = {name: _little(np.asarray(array)) for name, array in arrays.items()}
    header = json.dumps([[name, a.dtype.str, list(a.shape)] for name, a in little.items()]).encode()
    return b"".join([len(header).to_bytes(_LENGTH_BYTES, "little"), header, *(a.tobytes() for a in little.values())])


def unpack_arrays(packed: bytes) -> dict[str, np.ndarray]:
    """Return what ``pack_arrays`` was given.

    Raises:
        InputError: the bytes are not what ``pack_arrays`` writes.
    """
    try:
        begins = _LENGTH_BYTES + int.from_bytes(packed[:_LENGTH_BYTES], "little")
        rows = [(str(n), np.dtype(str(d)), _shape(s)) for n, d, s in json.loads(packed[_LENGTH_BYTES:begins])]
    except (ValueError, TypeError) as error:
        raise InputError("packed arrays cannot be read", value=str(error)[:200]) from None
    arrays: dict[str, np.ndarray] = {}
    for name, dtype, shape in rows:
        ends = begins + math.prod(shape) * dtype.itemsize
        if dtype.kind not in _KINDS or name in arrays or ends > len(packed):
            raise InputError("packed arrays do not fit their header", value=name[:200])
        arrays[name] = np.frombuffer(packed[begins:ends], dtype=dtype).reshape(shape).copy()
        begins = ends
    if begins != len(packed):
        raise InputError("packed arrays are followed by something else", value=len(packed) - begins)
    return arrays


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePacker:
    """Packs what a message holds, given Flower's three classes: this package does without Flower.

    Attributes:
        array: ``flwr.app.Array``.
        array_record: ``flwr.app.ArrayRecord``.
        content: ``flwr.app.RecordDict``.
    """

    array: Callable[[np.ndarray], Any]
    array_record: Callable[[dict[str, Any]], Any]
    content: Callable[[dict[str, Any]], Any]

    def packed(self, content: Any) -> Any:
        """Return a message's content with the arrays of each record as one."""
        runs = {
            name: pack_arrays({key: array.numpy() for key, array in record.items()})
            for name, record in content.array_records.items()
            if record
        }
        return self._with(content, {n: {PACKED: np.frombuffer(run, dtype=np.uint8)} for n, run in runs.items()})

    def unpacked(self, content: Any) -> Any:
        """Return a message's content with its arrays apart; what was not packed is left as it is.

        Raises:
            InputError: packed arrays that cannot be read.
        """
        found = {name: record for name, record in content.array_records.items() if list(record) == [PACKED]}
        return self._with(content, {n: unpack_arrays(r[PACKED].numpy().tobytes()) for n, r in found.items()})

    def _with(self, content: Any, arrays: Mapping[str, Mapping[str, np.ndarray]]) -> Any:
        records = {n: self.array_record({k: self.array(a) for k, a in some.items()}) for n, some in arrays.items()}
        return self.content({**dict(content.items()), **records})


def _little(array: np.ndarray) -> np.ndarray:
    assert array.dtype.kind in _KINDS, "only numbers travel"
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)


def _shape(given: object) -> tuple[int, ...]:
    if not isinstance(given, list) or not all(type(n) is int and 0 <= n <= _LONGEST for n in given):
        raise ValueError("a shape is a list of whole numbers")
    return tuple(given)
