"""The process that does the work of a round: ``python -m eyebright_client.node.worker HOME PORT``.

* Flower's SuperNode would run whatever app the server sends. With ``process`` isolation it runs nothing: it keeps the
  message until somebody on this machine who knows the secret takes it. That is this process, and what it runs is the
  installed ``ClientApp`` of this package. **The bundle that came with the run is received and never opened.**
* One message at a time. Until it is answered it lies on disk (``taken``): a worker that was killed goes on with it.
* A SuperNode that is away is asked again; nothing here gives up.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

import httpx
from flwr.app import Array, ArrayRecord, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import SubStatus
from flwr.proto.runtime_pb2 import AcquireTaskRequest, SendTaskHeartbeatRequest
from flwr.supercore.constant import TaskType
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.interceptors import (
    RuntimeTokenHttpInterceptor,
    RuntimeVersionHttpInterceptor,
    SuperExecAuthHttpInterceptor,
)
from flwr.supercore.protobuf.client import ProtobufClientInterceptor
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode.runtime.run_clientapp import pull_task_input, push_message, push_task_output

from eyebright_client.app import make_client_app
from eyebright_client.enrolment.home import HospitalHome
from eyebright_client.node.taken import MOST_DEATHS, TakenMessage, forget_taken, keep_taken, left_behind
from eyebright_client.policy import read_policy
from eyebright_common import exchange
from eyebright_common.errors import EyebrightError
from eyebright_common.exchange import Refusal
from eyebright_common.packing import MessagePacker

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_PACKER = MessagePacker(array=Array, array_record=ArrayRecord, content=RecordDict)
_GRAPHICS_CARDS = os.environ.get("CUDA_VISIBLE_DEVICES")
_ASK_EVERY_S = 0.5
_ACQUIRE = frozenset({"/flwr.proto.Runtime/AcquireTask"})


def serve(home: HospitalHome, port: int, stopped: threading.Event) -> None:
    """Take messages from the SuperNode on ``port`` and answer them, until ``stopped`` is set."""
    app = make_client_app()
    secret = home.runtime_secret.read_bytes()
    signed = SuperExecAuthHttpInterceptor(master_secret=secret, protected_methods=_ACQUIRE)
    queue = _client(port, RuntimeVersionHttpInterceptor(component_name="SuperExec"), signed)
    wanted = AcquireTaskRequest(supported_task_types=[TaskType.CLIENT_APP])
    _finish_what_was_taken(home, port, app)
    while not stopped.wait(_ASK_EVERY_S):
        try:
            given = queue.AcquireTask(wanted)
            if given.token:
                _answer(home, port, str(given.token), app)
        except httpx.HTTPError as error:
            log.debug("the SuperNode does not answer: %s", error)
    queue.close()


def _finish_what_was_taken(home: HospitalHome, port: int, app: ClientApp) -> None:
    """Answer the message at which a worker before us died; one that killed two is answered with a refusal."""
    if (left := left_behind(home.node)) is None:
        return
    try:
        _answer(home, port, left.token, app, left=left)
    except httpx.HTTPError as error:  # the SuperNode has ended too, or has answered for us
        log.info("a message of a worker that died is not wanted any more: %s", error)
        forget_taken(home.node)


def _answer(home: HospitalHome, port: int, token: str, app: ClientApp, left: TakenMessage | None = None) -> None:
    versioned = RuntimeVersionHttpInterceptor(component_name="flwr-clientapp")
    client = _client(port, versioned, RuntimeTokenHttpInterceptor(token))
    heartbeat = HeartbeatSender(lambda: _beat(client))
    heartbeat.start()
    try:
        if left is None:
            message, context, _, _ = pull_task_input(client)
            left = TakenMessage(token=token, task=TaskIdentity.task_id, message=message, context=context, deaths=0)
            keep_taken(home.node, left)
        else:
            client.SendTaskHeartbeat(SendTaskHeartbeatRequest())  # a SuperNode that was started since knows no token
            TaskIdentity.task_id = left.task
            TaskIdentity.run_id, TaskIdentity.node_id = left.context.run_id, left.context.node_id
        message, context = left.message, left.context
        context.node_config = {"site": str(home.site.resolve())}
        _stand_back(home)
        log.info("%s of round %s", message.metadata.message_type, message.metadata.group_id)
        reply = _reply(app, left)
        push_message(client, reply, context)
        push_task_output(client, context, SubStatus.COMPLETED, "")
        forget_taken(home.node)
    finally:
        heartbeat.stop()
        client.close()


def _reply(app: ClientApp, taken: TakenMessage) -> Message:
    message = taken.message
    try:
        if taken.deaths >= MOST_DEATHS:
            raise EyebrightError("workers died of this message", value=taken.deaths)
        message.content = _PACKER.unpacked(message.content)
        reply = app(message, taken.context)
        if not reply.has_error():
            reply.content = _PACKER.packed(reply.content)
    except Exception:
        # The app answers everything itself; what escapes must not reach Flower, which would send its text.
        log.exception("the message could not be answered")
        text = exchange.REFUSAL_TEXT[Refusal.FAILED]
        reply = Message(Error(code=int(Refusal.FAILED), reason=text), reply_to=message)
    return reply


def _client(port: int, *interceptors: ProtobufClientInterceptor) -> RuntimeHttpClient:
    return RuntimeHttpClient.from_server_address(f"{LOOPBACK}:{port}", True, None, list(interceptors))


def _beat(client: RuntimeHttpClient) -> bool:
    with suppress(httpx.HTTPError):
        client.SendTaskHeartbeat(SendTaskHeartbeatRequest())
    return True  # a node that is away takes no answer either; the work goes on, and its push tells


def _stand_back(home: HospitalHome) -> None:
    """Do what can be done before the work: stand back behind other programs, and look away from the graphics card."""
    try:
        policy = read_policy(home.site)
    except EyebrightError:
        return  # the app says what is wrong with the policy, in its log and its answer
    if policy.nice > os.getpriority(os.PRIO_PROCESS, 0):
        os.setpriority(os.PRIO_PROCESS, 0, policy.nice)
    if not policy.gpu_share:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif _GRAPHICS_CARDS is None:
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    else:
        os.environ["CUDA_VISIBLE_DEVICES"] = _GRAPHICS_CARDS


def main(arguments: list[str]) -> None:
    """Serve until a signal to stop."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it matrix products are not deterministic
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    serve(HospitalHome(Path(arguments[0])), int(arguments[1]), stopped)


if __name__ == "__main__":
    main(sys.argv[1:])
