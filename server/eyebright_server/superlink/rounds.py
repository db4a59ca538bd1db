"""Rounds over the SuperLink: this process is the run's ServerApp.

* Flower's ``process`` isolation leaves it to the operator who serves a run. We start a run by the control interface,
  take its task from the queue with the operator's secret, and hold it by heartbeat: no SuperExec, and no code that
  travels.
* One process runs rounds at a time. A run left behind by a killed one is ended first; what it had asked is asked again
  in the new run. What must not be lost is in our ledger, not in Flower's run.
* A SuperLink that was away for more than a minute has given the run up. The rounds go on in a new one, as ``rounds
  resume`` would: ``main`` begins again and finds in the ledger what it has.
* Flower's own pulls are not paced; a question every half second is enough for rounds of minutes.
"""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.common.constant import SubStatus
from flwr.common.serde import run_from_proto
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullTaskInputRequest,
    PushTaskOutputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.supercore.constant import TaskType
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid import HttpGrid

from eyebright_common.errors import FederationError, InputError
from eyebright_common.packing import MessagePacker
from eyebright_server.federation.flower import FlowerHospitals
from eyebright_server.federation.flower.hospitals import Roll
from eyebright_server.superlink.bundle import rounds_bundle
from eyebright_server.superlink.control import SuperLinkControl
from eyebright_server.superlink.credentials import SuperLinkAccess

_ACQUIRE = frozenset({"/flwr.proto.Runtime/AcquireTask"})
_PULL_EVERY_S = 0.5
_RUNS = 5  # of Flower, in one process, before a person is asked
_BUSY = frozenset({502, 503, 504})
_PACKER = MessagePacker(array=Array, array_record=ArrayRecord, content=RecordDict)


class PacedGrid(HttpGrid):
    """Flower's grid over HTTP, asking for replies at a measured pace."""

    _pulled = 0.0

    def __init__(self, access: SuperLinkAccess, token: str) -> None:
        super().__init__(access.address, False, access.authority_pem, token=token)
        self._retry_invoker.should_giveup = _final

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
                once[id(content)] = _PACKER.packed(content)
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
        FederationError: the SuperLink does not answer or gives the task to nobody, or another process runs rounds.
    """
    with _alone(access.lock) as lock, SuperLinkControl(access) as control:
        _stop_abandoned(lock, control)
        run_id = control.start_run(rounds_bundle())
        lock.write_text(str(run_id))
        grid = PacedGrid(access, _task_of(run_id, access, control))
        try:
            heartbeat = HeartbeatSender(partial(_beat, grid._runtime_client))
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
    main: Callable[[FlowerHospitals], None],
    *,
    access: SuperLinkAccess,
    participants: Collection[int],
    roll: Roll,
    deadline_s: float | None,
    signature: str = "",
) -> None:
    """Run ``main`` with hospitals of the operator's SuperLink; as ``run_locally``.

    Args:
        main: Runs the rounds; called again when Flower's run was lost.
        access: The SuperLink.
        participants: Numbers of the hospitals that are asked.
        roll: As in ``FlowerHospitals``.
        deadline_s: As in ``FlowerHospitals``.
        signature: As in ``FlowerHospitals``.

    Raises:
        FederationError: the SuperLink does not answer or ended the run.
        Exception: whatever ``main`` raised.
    """
    logging.getLogger("flwr").setLevel(logging.CRITICAL)  # what a person should know is in the records and events
    for left in reversed(range(_RUNS)):
        try:
            with superlink_grid(access) as grid:
                people = FlowerHospitals(
                    grid,
                    expected=len(participants),
                    deadline_s=deadline_s,
                    signature=signature,
                    roll=roll,
                    participants=participants,
                )
                main(people)
            return
        except httpx.HTTPError as error:
            if not left:
                fix = (
                    "Is `eyebright server up` running? Then: eyebright server rounds resume. What was accepted is kept."
                )
                raise FederationError(f"the SuperLink was lost ({error})", value=access.address, fix=fix) from error


@contextmanager
def _alone(path: Path) -> Iterator[Path]:
    """Hold the right to run rounds; the kernel gives it back when the process dies."""
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fix = "Wait for it, or stop it."
            raise FederationError("another process runs rounds over this SuperLink", value=path, fix=fix) from None
        yield path


def _stop_abandoned(lock: Path, control: SuperLinkControl) -> None:
    """End the run of a process that was killed, so that no hospital works for it any more."""
    left = lock.read_text().strip()
    if left.isdigit():
        with suppress(FederationError):  # it has ended, or the SuperLink has forgotten it
            control.stop_run(int(left))


def _beat(client: RuntimeHttpClient) -> bool:
    with suppress(httpx.HTTPError):  # a run that was given up is told by the next question, in the thread that asks
        client.SendTaskHeartbeat(SendTaskHeartbeatRequest())
    return True


def _final(error: Exception) -> bool:
    """Whether asking again is no use. Flower's own answer to a run it has given up is to interrupt the process."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code not in _BUSY
    return any(word in str(error).lower() for word in ("certificate", "ssl", "tls"))


def _apart(message: Message) -> Message:
    if not message.has_error():
        with suppress(InputError):  # arrays nobody can read stay packed, and the reply gate refuses their names
            message.content = _PACKER.unpacked(message.content)
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
