"""Rounds over the SuperLink: this process is the run's ServerApp.

* Flower's ``process`` isolation leaves it to the operator who serves a run. We start a run by the control interface,
  take its task from the queue with the operator's secret, and hold it by heartbeat: no SuperExec, and no code that
  travels.
* A run left behind by a killed process is ended first; what it had asked is asked again in the new run. What must not
  be lost is in our ledger, not in Flower's run.
* Flower's own pulls are not paced; a question every half second is enough for rounds of minutes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
from flwr.app import Message, RecordDict
from flwr.common.constant import SubStatus
from flwr.common.serde import run_from_proto
from flwr.proto.runtime_pb2 import AcquireTaskRequest, PullTaskInputRequest, PushTaskOutputRequest
from flwr.supercore.constant import TaskType
from flwr.supercore.heartbeat import HeartbeatSender, make_task_heartbeat_fn_http
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid import HttpGrid

from eyebright_common.errors import FederationError, InputError
from eyebright_server.superlink.bundle import rounds_bundle
from eyebright_server.superlink.control import SuperLinkControl
from eyebright_server.superlink.credentials import SuperLinkAccess
from eyebright_server.superlink.packed_records import packed, unpacked

_ACQUIRE = frozenset({"/flwr.proto.Runtime/AcquireTask"})
_PULL_EVERY_S = 0.5


class PacedGrid(HttpGrid):
    """Flower's grid over HTTP, asking for replies at a measured pace."""

    _pulled = 0.0

    def get_node_ids(self) -> Iterable[int]:
        """Return the nodes that are online."""
        self._pace()
        found: Iterable[int] = super().get_node_ids()
        return found

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that have arrived."""
        self._pace()
        return [_apart(message) for message in super().pull_messages(message_ids)]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages, their arrays packed; what several share is packed once."""
        given, once = list(messages), dict[int, RecordDict]()
        for message in given:
            content = message.content
            if id(content) not in once:
                once[id(content)] = packed(content)
            message.content = once[id(content)]
        sent: Iterable[str] = super().push_messages(given)
        return sent

    def _pace(self) -> None:
        time.sleep(max(0.0, self._pulled + _PULL_EVERY_S - time.monotonic()))
        self._pulled = time.monotonic()


@contextmanager
def superlink_grid(access: SuperLinkAccess) -> Iterator[HttpGrid]:
    """Start a run, serve it for as long as the block lasts, and end it.

    Raises:
        FederationError: the SuperLink does not answer or gives the task to nobody.
    """
    with SuperLinkControl(access) as control:
        run_id = control.start_run(rounds_bundle())
        token = _task_of(run_id, access, control)
    grid = PacedGrid(access.address, False, access.authority_pem, token=token)
    try:
        heartbeat = HeartbeatSender(make_task_heartbeat_fn_http(grid._runtime_client))
        heartbeat.start()
        try:
            given = grid._runtime_client.PullTaskInput(PullTaskInputRequest())
            grid.set_run(run_from_proto(given.run))
            TaskIdentity.task_id = given.task_id
            TaskIdentity.run_id, TaskIdentity.node_id = given.run.run_id, given.context.node_id
            yield grid
        finally:
            outcome = PushTaskOutputRequest(context=None, sub_status=SubStatus.COMPLETED, details="")
            with suppress(httpx.HTTPError):  # a SuperLink that is gone needs no goodbye
                grid._runtime_client.PushTaskOutput(outcome)
            heartbeat.stop()
    finally:
        grid.close()


def run_on_superlink(
    main: Callable[[Any], None], *, access: SuperLinkAccess, hospitals: int, deadline_s: float | None
) -> None:
    """Run ``main`` with the hospitals that are connected to the operator's SuperLink; as ``run_locally``.

    Raises:
        FederationError: the SuperLink does not answer, or fewer hospitals than asked for are connected.
        Exception: whatever ``main`` raised.
    """
    from eyebright_server.federation.flower import FlowerHospitals

    with superlink_grid(access) as grid:
        people = FlowerHospitals(grid, expected=hospitals, deadline_s=deadline_s)
        people.stopped = threading.Event()
        main(people)


def _apart(message: Message) -> Message:
    if not message.has_error():
        with suppress(InputError):  # arrays nobody can read stay packed, and the reply gate refuses their names
            message.content = unpacked(message.content)
    return message


def _task_of(run_id: int, access: SuperLinkAccess, control: SuperLinkControl) -> str:
    signed = SuperExecAuthHttpInterceptor(master_secret=access.secret, protected_methods=_ACQUIRE)
    versioned = RuntimeVersionHttpInterceptor(component_name="SuperExec")
    queue = RuntimeHttpClient.from_server_address(access.address, False, access.authority_pem, [versioned, signed])
    try:
        # Older runs that nobody serves come out of the queue before ours.
        while True:
            given = queue.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP]))
            if not given.token:
                raise FederationError("the run was taken by another process", value=run_id, fix="Stop it; run again.")
            if given.task.run_id == run_id:
                return str(given.token)
            control.stop_run(given.task.run_id)
    except httpx.HTTPError as error:
        raise FederationError(
            f"the SuperLink gives no task ({error})", value=access.address, fix="Read its superlink.log."
        ) from error
    finally:
        queue.close()
