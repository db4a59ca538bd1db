"""A transport inside this process, through Flower's public ``Grid``.

* Every message is serialised and read back, so an app that works here does not lean on shared memory.
* One hospital at a time, and only when its reply is pulled: one request is held at a time however many hospitals.
* What the app raises becomes an error reply without the exception's text.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from uuid import uuid4

from flwr.app import Context, Error, Message, RecordDict, UserConfig
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from eyebright_server.federation.flower.records import through_bytes

log = logging.getLogger(__name__)

APP_RAISED = 2  # Flower's own code for it
_FIRST_NODE = 1000


class LocalGrid(Grid):
    """A grid whose nodes are ClientApp calls in this process.

    Args:
        client_app: Answers for every node.
        node_configs: Configuration of each node, as a SuperNode would be given it.
    """

    def __init__(self, client_app: ClientApp, node_configs: Sequence[UserConfig]) -> None:
        self._app = client_app
        self._configs = {_FIRST_NODE + i: dict(config) for i, config in enumerate(node_configs)}
        self._pending: dict[str, Message] = {}
        self._run = Run.create_empty(run_id=1)

    def set_run(self, run: Run) -> None:
        """Set the run the grid belongs to."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run the grid belongs to."""
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Return a new message to one node."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return the numbers of all nodes."""
        return list(self._configs)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Queue messages; a node works when its reply is pulled."""
        names = []
        for message in messages:
            name = str(uuid4())
            message.metadata.__dict__["_message_id"] = name
            self._pending[name] = message
            names.append(name)
        return names

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Let the next of the named nodes work and return its reply."""
        asked = set(message_ids)
        name = next((name for name in self._pending if name in asked), None)
        return [] if name is None else [self._work(self._pending.pop(name))]

    def drop(self, message_ids: Iterable[str]) -> None:
        """Forget messages whose work has not begun; work that has begun is done when its reply is pulled."""
        for name in message_ids:
            self._pending.pop(name, None)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Return one reply per message; work that has not begun when ``timeout`` seconds are over is given up."""
        ends = None if timeout is None else time.monotonic() + timeout
        names = list(self.push_messages(messages))
        replies: list[Message] = []
        for name in names:
            if ends is not None and time.monotonic() >= ends:
                self._pending.pop(name, None)
            replies.extend(self.pull_messages([name]))
        return replies

    def _work(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        context = Context(
            run_id=self._run.run_id, node_id=node, node_config=self._configs[node], state=RecordDict(), run_config={}
        )
        request = through_bytes(message)
        try:
            return through_bytes(self._app(request, context))
        except Exception:
            # As a SuperNode does, but without the exception's text: it stays on this side of the border.
            log.exception("the ClientApp of node %d raised", node)
            return Message(Error(code=APP_RAISED, reason="the ClientApp raised"), reply_to=request)
