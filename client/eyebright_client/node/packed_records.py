"""A message's arrays as one array while they travel.

Flower sends every array as objects of its own, each with its own request: a student of 300 arrays costs 600 of them
in each direction and minutes of waiting. Packed, it is a few pieces of 5 MiB. Packing happens at the edge of this
process; the app and the rounds see plain arrays, and so do the audit log and the reply gate.
"""

from __future__ import annotations

import numpy as np
from flwr.app import Array, ArrayRecord, RecordDict

from eyebright_common.packing import pack_arrays, unpack_arrays

_PACKED = "packed-1"


def packed(content: RecordDict) -> RecordDict:
    """Return a message's content with the arrays of each record as one."""
    arrays = {name: record for name, record in content.array_records.items() if record}
    together = {
        name: pack_arrays({key: array.numpy() for key, array in record.items()}) for name, record in arrays.items()
    }
    return RecordDict({**dict(content.items()), **{name: _one(run) for name, run in together.items()}})


def unpacked(content: RecordDict) -> RecordDict:
    """Return a message's content with its arrays apart; what was not packed is left as it is.

    Raises:
        InputError: packed arrays that cannot be read.
    """
    found = {name: record for name, record in content.array_records.items() if list(record) == [_PACKED]}
    apart = {name: unpack_arrays(record[_PACKED].numpy().tobytes()) for name, record in found.items()}
    records = {name: ArrayRecord({key: Array(a) for key, a in arrays.items()}) for name, arrays in apart.items()}
    return RecordDict({**dict(content.items()), **records})


def _one(run: bytes) -> ArrayRecord:
    return ArrayRecord({_PACKED: Array(np.frombuffer(run, dtype=np.uint8))})
