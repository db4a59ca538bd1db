"""Every hospital of a run, over any Flower grid.

* Node numbers are Flower's and differ from run to run; a hospital says its own in its first answer, and keeps it.
* Bytes are those of the serialised content, without Flower's envelope, and so the same over every grid.
* Replies are pulled as they arrive. A deadline closes the question; who has not answered gets a reply that says so.
  What comes after the deadline is late: it is noted and discarded, never taken for an answer to another question.
* Every message has a nonce, in its group, so that all hospitals can share one content. The answer must repeat it.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Collection, Iterator, Mapping

from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.serverapp import Grid

from eyebright_common import exchange
from eyebright_common.errors import FederationError
from eyebright_common.plan import Plan
from eyebright_server.federation.flower.grid import LocalGrid
from eyebright_server.federation.flower.records import array_record, content_bytes
from eyebright_server.federation.records import UNIDENTIFIED, Arrays, Reply, Setback

_KINDS = {
    "train": MessageType.TRAIN,
    "statistics": f"{MessageType.TRAIN}.statistics",
    "evaluate": MessageType.EVALUATE,
    "query": MessageType.QUERY,
}
_NO_REPLY = 4  # Flower's own code for it
_POLL_S = 0.05
_MEET_S = 120.0


class FlowerHospitals:
    """Every hospital of a run, over a Flower grid.

    Args:
        grid: The transport.
        expected: Number of hospitals to wait for at the start.
        deadline_s: Seconds after which a question is closed and missing replies are given up; None waits.
        signature: Of the plan, by the operator; empty for none.
    """

    def __init__(self, grid: Grid, *, expected: int, deadline_s: float | None = None, signature: str = "") -> None:
        self._signature = signature
        self._late: list[Setback] = []
        self._given_up: dict[str, tuple[int, str]] = {}
        self._grid = grid
        self._expected = expected
        self._deadline_s = deadline_s
        self._sites: dict[int, int] = {}
        self.stopped = threading.Event()

    def __len__(self) -> int:
        return self._expected

    def ask(
        self, kind: str, *, plan: Plan, round_number: int, arrays: Arrays | None, skip: Collection[int] = frozenset()
    ) -> Iterator[Reply]:
        """Ask every hospital but those in ``skip`` and yield one reply each, as they arrive.

        Raises:
            FederationError: fewer hospitals than expected are connected.
        """
        config = ConfigRecord({exchange.PLAN: plan.canonical_json(), exchange.ROUND: round_number})
        if self._signature:
            config[exchange.PLAN_SIGNATURE] = self._signature
        content = RecordDict({exchange.CONFIG: config})
        if arrays is not None:
            content[exchange.ARRAYS] = array_record(arrays)
        size = len(content_bytes(content))
        nodes = [node for node in self._nodes() if self._sites.get(node, UNIDENTIFIED) not in set(skip)]
        nonces = {node: secrets.token_hex(8) for node in nodes}
        messages = [Message(content, node, _KINDS[kind], group_id=nonces[node]) for node in nodes]
        waiting = dict(zip(self._grid.push_messages(messages), nodes, strict=False))
        missing = set(nodes) - set(waiting.values())
        question = f"{kind} of round {round_number}"
        for message in self._collect(waiting, question):
            yield self._reply(message, size, nonces)
        self._give_up(waiting, question)
        for node in sorted({*missing, *waiting.values()}):
            yield self._error(node, size, _NO_REPLY, "no reply came")

    def late(self) -> list[Setback]:
        """Return, once, the answers to earlier questions that came since the last call, and were discarded."""
        said, self._late = self._late, []
        return said

    def _collect(self, waiting: dict[str, int], question: str) -> Iterator[Message]:
        """Yield replies and take them out of ``waiting`` until it is empty or the time is over."""
        ends = None if self._deadline_s is None else time.monotonic() + self._deadline_s
        while waiting and not self.stopped.is_set() and (ends is None or time.monotonic() < ends):
            arrived = list(self._grid.pull_messages([*waiting, *self._given_up]))
            in_time = ends is None or time.monotonic() < ends
            for message in arrived:
                name = message.metadata.reply_to_message_id
                if name in self._given_up:
                    self._note_late(*self._given_up.pop(name))
                elif name in waiting and in_time:
                    del waiting[name]
                    yield message
                elif name in waiting:  # the work of a hospital in this process ends when it ends
                    self._note_late(waiting[name], question)
            if not arrived:
                self.stopped.wait(_POLL_S)
        if self.stopped.is_set():
            raise FederationError("the run was stopped", fix="Run again to resume after the last finished round.")

    def _give_up(self, waiting: dict[str, int], question: str) -> None:
        """Take no answer to these messages any more; a grid in this process need not begin their work."""
        if isinstance(self._grid, LocalGrid):
            self._grid.drop(waiting)
        else:
            self._given_up |= {name: (node, question) for name, node in waiting.items()}

    def _note_late(self, node: int, question: str) -> None:
        self._late.append(Setback(site=self._sites.get(node, UNIDENTIFIED), reason="late", detail=question))

    def _nodes(self) -> list[int]:
        ends = time.monotonic() + _MEET_S
        while len(nodes := sorted(self._grid.get_node_ids())) < self._expected:
            if time.monotonic() >= ends or self.stopped.wait(_POLL_S):
                raise FederationError("hospitals are missing", value=f"{len(nodes)} of {self._expected} connected")
        return nodes

    def _reply(self, message: Message, bytes_down: int, nonces: Mapping[int, str]) -> Reply:
        node = message.metadata.src_node_id
        if message.has_error():
            return self._error(node, bytes_down, message.error.code, message.error.reason or "")
        bytes_up = len(content_bytes(message.content))
        try:
            numbers = dict(message.content.metric_records[exchange.METRICS])
            echo = dict(message.content.config_records[exchange.CONFIG])
            records = message.content.array_records
            arrays = {name: array.numpy() for name, array in records.get(exchange.ARRAYS, {}).items()}
        except (KeyError, ValueError, TypeError) as error:
            return self._error(node, bytes_down, int(exchange.Refusal.FAILED), f"unreadable reply: {error}", bytes_up)
        return Reply(
            site=self._identify(node, numbers.get(exchange.SITE_INDEX)),
            arrays=arrays,
            numbers=numbers,
            echo=echo,
            bytes_up=bytes_up,
            bytes_down=bytes_down,
            nonce=nonces[node],
        )

    def _error(self, node: int, bytes_down: int, code: int, text: str, bytes_up: int | None = None) -> Reply:
        return Reply(
            site=self._sites.get(node, UNIDENTIFIED),
            error_code=code,
            error=text,
            bytes_up=len(text) if bytes_up is None else bytes_up,
            bytes_down=bytes_down,
        )

    def _identify(self, node: int, claimed: object) -> int:
        """The number a node gave first is its number; nobody else may take it."""
        if node not in self._sites and isinstance(claimed, int) and claimed not in self._sites.values():
            self._sites[node] = claimed
        known = self._sites.get(node, UNIDENTIFIED)
        return known if claimed == known else UNIDENTIFIED
