"""Frames between the unit and the worker, the same code at both ends.

::

    4 bytes  magic "EYTW"        1 byte  kind (request, answer, progress, failure)
    1 byte   protocol version    4 bytes length of the header, 8 bytes length of the payload
    header   JSON object, UTF-8
    payload  arrays one after the other, as the header's "arrays" describes them

* Both lengths are bounded before anything is read, and another version is refused by number.
* Engines and networks travel as paths, pictures and logits as payload.
"""

import json
import struct
from typing import Any, BinaryIO, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

PROTOCOL = 1
REQUEST, ANSWER, PROGRESS, FAILURE = 1, 2, 3, 4
LONGEST_HEADER_BYTES = 1 << 18
LONGEST_PAYLOAD_BYTES = 1 << 26

_MAGIC = b"EYTW"
_HEAD = struct.Struct(">4sBBIQ")
_DTYPES = ("float32", "uint8")


class FrameError(Exception):
    """The bytes on the pipe are no frame of this protocol."""


class Frame(NamedTuple):
    """One message: its kind, its header and what came with it."""

    kind: int
    header: Dict[str, Any]
    payload: bytes


def write_frame(stream: BinaryIO, kind: int, header: Dict[str, Any], payload: bytes = b"") -> None:
    """Write one frame and flush.

    Raises:
        FrameError: it is longer than the protocol allows.
    """
    encoded = json.dumps(header, allow_nan=False).encode("utf-8")
    if len(encoded) > LONGEST_HEADER_BYTES or len(payload) > LONGEST_PAYLOAD_BYTES:
        raise FrameError("a message of %d and %d bytes is too long" % (len(encoded), len(payload)))
    stream.write(_HEAD.pack(_MAGIC, kind, PROTOCOL, len(encoded), len(payload)) + encoded + payload)
    stream.flush()


def read_frame(stream: BinaryIO) -> Optional[Frame]:
    """Return the next frame; None when the other side has closed the pipe between two frames.

    Raises:
        FrameError: what comes is cut, too long, of another version or no frame at all.
    """
    head = _exactly(stream, _HEAD.size, may_end=True)
    if not head:
        return None
    magic, kind, protocol, header_bytes, payload_bytes = _HEAD.unpack(head)
    if magic != _MAGIC or kind not in (REQUEST, ANSWER, PROGRESS, FAILURE):
        raise FrameError("the other side does not speak this protocol")
    if protocol != PROTOCOL:
        raise FrameError("the other side speaks version %d, this one version %d" % (protocol, PROTOCOL))
    if header_bytes > LONGEST_HEADER_BYTES or payload_bytes > LONGEST_PAYLOAD_BYTES:
        raise FrameError("a message of %d and %d bytes is too long" % (header_bytes, payload_bytes))
    try:
        header = json.loads(_exactly(stream, header_bytes).decode("utf-8"))
    except ValueError as error:
        raise FrameError("a message's header is no JSON") from error
    if not isinstance(header, dict):
        raise FrameError("a message's header is no JSON object")
    return Frame(kind, header, _exactly(stream, payload_bytes))


def pack_arrays(arrays: Dict[str, Any]) -> Tuple[List[Dict[str, Any]], bytes]:
    """Return the description and the bytes of named arrays, float32 or uint8."""
    described, parts = [], []
    for name, array in arrays.items():
        if str(array.dtype) not in _DTYPES:
            raise FrameError("an array of %s cannot be sent" % array.dtype)
        described.append({"name": name, "dtype": str(array.dtype), "shape": list(array.shape)})
        parts.append(np.ascontiguousarray(array).tobytes())
    return described, b"".join(parts)


def unpack_arrays(described: Any, payload: bytes) -> Dict[str, Any]:
    """Return named arrays, as copies that may be written to.

    Raises:
        FrameError: the description and the bytes do not fit together.
    """
    found: Dict[str, Any] = {}
    begin = 0
    try:
        for one in described:
            shape = [int(side) for side in one["shape"]]
            if one["dtype"] not in _DTYPES or min(shape, default=1) < 0:
                raise ValueError(one["dtype"])
            dtype = np.dtype(one["dtype"])
            count = 1
            for side in shape:
                count *= side
            end = begin + count * dtype.itemsize
            if end > len(payload):
                raise ValueError("too few bytes")
            found[str(one["name"])] = np.frombuffer(payload[begin:end], dtype).reshape(shape).copy()
            begin = end
    except (KeyError, TypeError, ValueError) as error:
        raise FrameError("the arrays of a message do not fit their description") from error
    if begin != len(payload):
        raise FrameError("a message has bytes that no array describes")
    return found


def _exactly(stream: BinaryIO, size: int, may_end: bool = False) -> bytes:
    parts, missing = [], size
    while missing:
        part = stream.read(min(missing, 1 << 20))
        if not part:
            if may_end and missing == size:
                return b""
            raise FrameError("a message was cut")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
