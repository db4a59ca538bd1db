"""The message a worker has taken and not answered yet, on disk.

::

    HOME/node/taken/message.bin      the message as Flower serialises it, and context.bin beside it
    HOME/node/taken/taken.json       the token that answers it, and how many workers died of it; written last

A SuperNode gives a message to one worker, once, and waits a minute before it believes that the worker is dead. So a
worker that was killed is followed by one that reads the message here and answers it. A message of which
``MOST_DEATHS`` workers died (a picture that needs more memory than there is) is refused instead.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from flwr.app import Context, Message
from flwr.common.serde import context_from_proto, context_to_proto, message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Context as ProtoContext
from flwr.proto.message_pb2 import Message as ProtoMessage
from google.protobuf.message import DecodeError

from eyebright_common.durable import write_bytes

MOST_DEATHS = 2
_FOLDER = "taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenMessage:
    """A message that waits for its answer.

    Attributes:
        token: Answers it.
        task: Flower's number for the work.
        message: As it came, still packed.
        context: Of the run.
        deaths: Workers that ended while they had it.
    """

    token: str
    task: int
    message: Message
    context: Context
    deaths: int


def keep_taken(node: Path, taken: TakenMessage) -> None:
    """Write down that a message was taken, in the hospital's folder ``node``."""
    folder = node / _FOLDER
    write_bytes(folder / "message.bin", message_to_proto(taken.message).SerializeToString(), mode=0o600)
    write_bytes(folder / "context.bin", context_to_proto(taken.context).SerializeToString(), mode=0o600)
    _note(folder, taken.token, taken.task, deaths=0)


def left_behind(node: Path) -> TakenMessage | None:
    """Return the message at which a worker died, its death counted; None when there is none that can be read."""
    folder = node / _FOLDER
    try:
        facts = json.loads((folder / "taken.json").read_bytes())
        message = message_from_proto(ProtoMessage.FromString((folder / "message.bin").read_bytes()))
        context = context_from_proto(ProtoContext.FromString((folder / "context.bin").read_bytes()))
        token, task, deaths = str(facts["token"]), int(facts["task"]), int(facts["deaths"]) + 1
    except (OSError, ValueError, KeyError, TypeError, DecodeError):
        return None
    _note(folder, token, task, deaths=deaths)
    return TakenMessage(token=token, task=task, message=message, context=context, deaths=deaths)


def forget_taken(node: Path) -> None:
    """The message is answered, or nobody waits for the answer any more."""
    for name in ("taken.json", "message.bin", "context.bin"):
        (node / _FOLDER / name).unlink(missing_ok=True)


def _note(folder: Path, token: str, task: int, *, deaths: int) -> None:
    facts = {"token": token, "task": task, "deaths": deaths}
    write_bytes(folder / "taken.json", json.dumps(facts).encode(), mode=0o600)
