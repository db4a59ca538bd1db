"""Small conversions between our arrays and Flower's records, and the identity Flower asks a process for."""

from __future__ import annotations

import numpy as np
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.common.serde import message_from_proto, message_to_proto, recorddict_to_proto
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.supercore.task_identity import TaskIdentity

from eyebright_server.federation.records import Arrays


def array_record(arrays: Arrays, *, widen: bool = False) -> ArrayRecord:
    """Return the arrays as a record, by name in order; ``widen`` makes them float64."""
    return ArrayRecord(
        {name: Array(arrays[name].astype(np.float64) if widen else arrays[name]) for name in sorted(arrays)}
    )


def content_size(content: RecordDict) -> int:
    """Return how many bytes the content has as Flower serialises it, without the envelope."""
    return int(recorddict_to_proto(content).ByteSize())


def through_bytes(message: Message) -> Message:
    """Serialise a message and read it back, as a network would."""
    return message_from_proto(ProtoMessage.FromString(message_to_proto(message).SerializeToString()))


def take_identity(*, anew: bool = False) -> None:
    """Give this process an identity such as Flower's own processes are started with; ``Message`` asks for it.

    Args:
        anew: Also where it has one, e.g. from a simulation that is over.
    """
    try:
        known = TaskIdentity.run_id
    except RuntimeError:
        known = None
    if known is None or anew:
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
