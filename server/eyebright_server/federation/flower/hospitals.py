"""Every hospital of a run, over any Flower grid.

* Node numbers are Flower's. Which hospital a node is, its registered key says where there is a roll (``Roll``), and
  what the hospital claims is only compared with it. Without one, in rehearsals, a hospital says its own number in its
  first answer, and keeps it.
* Bytes are those of the serialised content, without Flower's envelope, and so the same over every grid.
* Replies are pulled as they arrive. A deadline closes the question; who has not answered gets a reply that says so.
  What comes after the deadline is late: it is noted and discarded, never taken for an answer to another question.
* Every message has a nonce, in its group, so that all hospitals can share one content. The answer must repeat it.
* A question that Flower lost, because a node or its worker died with it, is asked again once the node is back; at most
  ``_ASK_AGAIN`` times, so that a picture that kills every worker ends the question, not the run.
* A hospital that is not connected is waited for once; until it is back, the rounds go on without it.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.serverapp import Grid

from eyebright_common import exchange
from eyebright_common.errors import FederationError
from eyebright_common.plan import Plan
from eyebright_server.federation.flower.grid import LocalGrid
from eyebright_server.federation.flower.records import array_record, content_size
from eyebright_server.federation.records import UNIDENTIFIED, Arrays, Reply, Setback

_KINDS = {
    "train": MessageType.TRAIN,
    "statistics": f"{MessageType.TRAIN}.statistics",
    "evaluate": MessageType.EVALUATE,
    "query": MessageType.QUERY,
}
# Flower's own codes: a message or reply that is gone, a node that is, an app that died.
_MESSAGE_LOST, _NO_REPLY, _NODE_AWAY, _APP_DIED = 3, 4, 5, 8
_LOST = frozenset({_MESSAGE_LOST, _NO_REPLY, _NODE_AWAY, _APP_DIED})
_ASK_AGAIN = 2
_POLL_S = 0.05
_MEET_S = 120.0
Roll = Callable[[], Mapping[int, int]]


@dataclass(slots=True, kw_only=True)
class _Question:
    """One question on its way to many nodes."""

    text: str
    content: RecordDict
    message_type: str
    size: int
    nonces: dict[int, str] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    lost: dict[int, float] = field(default_factory=dict)
    asked_again: dict[int, int] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)


class FlowerHospitals:
    """Every hospital of a run, over a Flower grid.

    Args:
        grid: The transport.
        expected: Number of hospitals to wait for.
        deadline_s: Seconds after which a question is closed and missing replies are given up; None waits.
        signature: Of the plan, by the operator; empty for none.
        roll: Returns the hospital of every node that may answer, by its registered key; None where there are no keys.
        participants: With ``roll``, the hospitals that are asked.
    """

    def __init__(
        self,
        grid: Grid,
        *,
        expected: int,
        deadline_s: float | None = None,
        signature: str = "",
        roll: Roll | None = None,
        participants: Collection[int] = (),
    ) -> None:
        self._signature = signature
        self._roll, self._participants = roll, frozenset(participants)
        self._late: list[Setback] = []
        self._given_up: dict[str, tuple[int, str]] = {}
        self._grid = grid
        self._expected = expected
        self._deadline_s = deadline_s
        self._sites: dict[int, int] = {}
        self._away: set[int] = set()
        self.stopped = threading.Event()

    def __len__(self) -> int:
        return self._expected

    def ask(
        self, kind: str, *, plan: Plan, round_number: int, arrays: Arrays | None, skip: Collection[int] = frozenset()
    ) -> Iterator[Reply]:
        """Ask every hospital but those in ``skip`` and yield one reply each, as they arrive.

        Raises:
            FederationError: fewer hospitals than expected are connected, and nobody knows who is missing.
        """
        config = ConfigRecord({exchange.PLAN: plan.canonical_json(), exchange.ROUND: round_number})
        if self._signature:
            config[exchange.PLAN_SIGNATURE] = self._signature
        content = RecordDict({exchange.CONFIG: config})
        if arrays is not None:
            content[exchange.ARRAYS] = array_record(arrays)
        question = _Question(
            text=f"{kind} of round {round_number}",
            content=content,
            message_type=_KINDS[kind],
            size=content_size(content),
        )
        present, absent = self._meet(frozenset(skip))
        nodes = [node for node in present if self._sites.get(node, UNIDENTIFIED) not in set(skip)]
        self._send(question, nodes)
        missing = set(nodes) - set(question.waiting.values())
        for node, message in self._collect(question):
            yield self._reply(node, message, question)
        self._give_up(question.waiting, question.text)
        for node in sorted({*missing, *question.waiting.values(), *question.lost, *question.gone}):
            yield self._error(node, question.size, _NO_REPLY, "no reply came")
        for site in absent:
            yield Reply(site=site, error_code=_NODE_AWAY, error="it is not connected")

    def late(self) -> list[Setback]:
        """Return, once, the answers to earlier questions that came since the last call, and were discarded."""
        said, self._late = self._late, []
        return said

    def _send(self, question: _Question, nodes: list[int]) -> None:
        for node in nodes:
            question.nonces[node] = secrets.token_hex(8)
        messages = [
            Message(question.content, node, question.message_type, group_id=question.nonces[node]) for node in nodes
        ]
        question.waiting |= dict(zip(self._grid.push_messages(messages), nodes, strict=False))

    def _collect(self, question: _Question) -> Iterator[tuple[int, Message]]:
        """Yield replies and take them out of ``waiting`` until it is empty or the time is over."""
        ends = None if self._deadline_s is None else time.monotonic() + self._deadline_s
        waiting = question.waiting
        while (waiting or question.lost) and not self.stopped.is_set() and (ends is None or time.monotonic() < ends):
            self._ask_again(question)
            arrived = list(self._grid.pull_messages([*waiting, *self._given_up]))
            in_time = ends is None or time.monotonic() < ends
            for message in arrived:
                name = message.metadata.reply_to_message_id
                if name in self._given_up:
                    self._note_late(message, *self._given_up.pop(name))
                elif name in waiting and _is_lost(message) and self._may_ask_again(question, waiting[name]):
                    question.lost[waiting.pop(name)] = time.monotonic()
                elif name in waiting and in_time:
                    yield waiting.pop(name), message
                elif name in waiting:  # the work of a hospital in this process ends when it ends
                    self._note_late(message, waiting[name], question.text)
            if not arrived:
                self.stopped.wait(_POLL_S)
        if self.stopped.is_set():
            raise FederationError("the run was stopped", fix="Run again to resume after the last finished round.")

    def _may_ask_again(self, question: _Question, node: int) -> bool:
        return not isinstance(self._grid, LocalGrid) and question.asked_again.get(node, 0) < _ASK_AGAIN

    def _ask_again(self, question: _Question) -> None:
        """Send a lost question to the nodes that are back; who is away too long is not waited for any more."""
        if not question.lost:
            return
        back = sorted(question.lost.keys() & set(self._grid.get_node_ids()))
        for node in back:
            del question.lost[node]
            question.asked_again[node] = question.asked_again.get(node, 0) + 1
        self._send(question, back)
        for node, since in list(question.lost.items()):
            if time.monotonic() - since >= _MEET_S:
                del question.lost[node]
                question.gone.add(node)

    def _give_up(self, waiting: dict[str, int], question: str) -> None:
        """Take no answer to these messages any more; a grid in this process need not begin their work."""
        if isinstance(self._grid, LocalGrid):
            self._grid.drop(waiting)
        else:
            self._given_up |= {name: (node, question) for name, node in waiting.items()}

    def _note_late(self, message: Message, node: int, question: str) -> None:
        if not _is_lost(message):  # Flower's word that nothing comes any more is no answer
            self._late.append(Setback(site=self._sites.get(node, UNIDENTIFIED), reason="late", detail=question))

    def _meet(self, skip: frozenset[int]) -> tuple[list[int], list[int]]:
        """Return the nodes that are connected, and the participants on the roll that are not."""
        ends = time.monotonic() + min(_MEET_S, self._deadline_s or _MEET_S)
        while True:
            nodes = sorted(self._grid.get_node_ids())
            if self._roll is None:
                absent, complete = list[int](), len(nodes) >= self._expected
            else:
                self._sites |= {node: site for node, site in self._roll().items() if site in self._participants}
                nodes = [node for node in nodes if node in self._sites]
                absent = sorted(self._participants - {self._sites[node] for node in nodes} - skip)
                complete = set(absent) <= self._away
            if complete or (self._roll is not None and time.monotonic() >= ends):
                self._away = set(absent)
                return nodes, absent
            if time.monotonic() >= ends or self.stopped.wait(_POLL_S):
                raise FederationError("hospitals are missing", value=f"{len(nodes)} of {self._expected} connected")

    def _reply(self, node: int, message: Message, question: _Question) -> Reply:
        bytes_down = question.size
        if message.has_error():
            return self._error(node, bytes_down, message.error.code, message.error.reason or "")
        bytes_up = content_size(message.content)
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
            nonce=question.nonces[node],
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
        """Return the hospital of a node: that of its key, or the number it gave first and nobody else has."""
        if self._roll is not None:
            return self._sites[node]
        if node not in self._sites and isinstance(claimed, int) and claimed not in self._sites.values():
            self._sites[node] = claimed
        known = self._sites.get(node, UNIDENTIFIED)
        return known if claimed == known else UNIDENTIFIED


def _is_lost(message: Message) -> bool:
    return message.has_error() and message.error.code in _LOST
