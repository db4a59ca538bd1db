"""The process that does the work of a round: ``python -m eyebright_client.node.worker HOME PORT``.

* Flower's SuperNode would run whatever app the server sends. With ``process`` isolation it runs nothing: it keeps the
  message until somebody on this machine who knows the secret takes it. That is this process, and what it runs is the
  installed ``ClientApp`` of this package. **The bundle that came with the run is received and never opened.**
* One message at a time. A message whose work was cut short is answered by the SuperNode once our heartbeat is missing.
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
from flwr.app import Error, Message
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
from flwr.supernode.runtime.run_clientapp import pull_task_input, push_message, push_task_output

from eyebright_client.app import make_client_app
from eyebright_client.enrolment.home import HospitalHome
from eyebright_client.node.packed_records import packed, unpacked
from eyebright_client.policy import read_policy
from eyebright_common import exchange
from eyebright_common.errors import EyebrightError
from eyebright_common.exchange import Refusal

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_ASK_EVERY_S = 0.5
_ACQUIRE = frozenset({"/flwr.proto.Runtime/AcquireTask"})


def serve(home: HospitalHome, port: int, stopped: threading.Event) -> None:
    """Take messages from the SuperNode on ``port`` and answer them, until ``stopped`` is set."""
    app = make_client_app()
    secret = home.runtime_secret.read_bytes()
    signed = SuperExecAuthHttpInterceptor(master_secret=secret, protected_methods=_ACQUIRE)
    queue = _client(port, RuntimeVersionHttpInterceptor(component_name="SuperExec"), signed)
    wanted = AcquireTaskRequest(supported_task_types=[TaskType.CLIENT_APP])
    while not stopped.wait(_ASK_EVERY_S):
        try:
            given = queue.AcquireTask(wanted)
            if given.token:
                _answer(home, port, str(given.token), app)
        except httpx.HTTPError as error:
            log.debug("the SuperNode does not answer: %s", error)
    queue.close()


def _answer(home: HospitalHome, port: int, token: str, app: ClientApp) -> None:
    versioned = RuntimeVersionHttpInterceptor(component_name="flwr-clientapp")
    client = _client(port, versioned, RuntimeTokenHttpInterceptor(token))
    heartbeat = HeartbeatSender(lambda: _beat(client))
    heartbeat.start()
    try:
        message, context, _, _ = pull_task_input(client)
        context.node_config = {"site": str(home.site.resolve())}
        _stand_back(home)
        log.info("%s of round %s", message.metadata.message_type, message.metadata.group_id)
        try:
            message.content = unpacked(message.content)
            reply = app(message, context)
            if not reply.has_error():
                reply.content = packed(reply.content)
        except Exception:
            # The app answers everything itself; what escapes must not reach Flower, which would send its text.
            log.exception("the message could not be answered")
            text = exchange.REFUSAL_TEXT[Refusal.FAILED]
            reply = Message(Error(code=int(Refusal.FAILED), reason=text), reply_to=message)
        push_message(client, reply, context)
        push_task_output(client, context, SubStatus.COMPLETED, "")
    finally:
        heartbeat.stop()
        client.close()


def _client(port: int, *interceptors: ProtobufClientInterceptor) -> RuntimeHttpClient:
    return RuntimeHttpClient.from_server_address(f"{LOOPBACK}:{port}", True, None, list(interceptors))


def _beat(client: RuntimeHttpClient) -> bool:
    with suppress(httpx.HTTPError):
        client.SendTaskHeartbeat(SendTaskHeartbeatRequest())
    return True  # a node that is away takes no answer either; the work goes on, and its push tells


def _stand_back(home: HospitalHome) -> None:
    try:
        wanted = read_policy(home.site).nice
    except EyebrightError:
        return  # the app says what is wrong with the policy, in its log and its answer
    if wanted > os.getpriority(os.PRIO_PROCESS, 0):
        os.setpriority(os.PRIO_PROCESS, 0, wanted)


def main(arguments: list[str]) -> None:
    """Serve until a signal to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    serve(HospitalHome(Path(arguments[0])), int(arguments[1]), stopped)


if __name__ == "__main__":
    main(sys.argv[1:])
