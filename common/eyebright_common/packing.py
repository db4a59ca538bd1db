"""Many arrays as one run of bytes, for a transport that pays per array.

Layout: length of the header (8 bytes, little endian), the header (JSON: name, dtype and shape of each array, in
order), then the arrays' bytes one after the other, little endian, C order. No pickle, no compression: what arrives can
be no larger than what was sent, and a header that does not fit its bytes is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import numpy as np

from eyebright_common.errors import InputError

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


def _little(array: np.ndarray) -> np.ndarray:
    assert array.dtype.kind in _KINDS, "only numbers travel"
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)


def _shape(given: object) -> tuple[int, ...]:
    if not isinstance(given, list) or not all(type(n) is int and 0 <= n <= _LONGEST for n in given):
        raise ValueError("a shape is a list of whole numbers")
    return tuple(given)
