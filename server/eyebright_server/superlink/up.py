"""Everything the central server runs: enrolment, releases, SuperLink and nginx, until it is told to stop.

* Enrolment and releases are served by this process; SuperLink and nginx are its children and are started again when
  they end.
* Every two seconds the SuperLink's nodes are made those of the ledger: a hospital that has just joined can connect at
  once, a revoked one is cut off.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eyebright_common.errors import FederationError, WireError
from eyebright_common.supervision import Supervisor
from eyebright_server.distribution import OperatorFolder, ServerAddresses, serve_in_thread
from eyebright_server.superlink.control import SuperLinkControl
from eyebright_server.superlink.credentials import LOOPBACK, prepare_credentials, superlink_access
from eyebright_server.superlink.nginx import write_nginx_configuration
from eyebright_server.superlink.programs import nginx_program, superlink_program
from eyebright_server.superlink.registrations import nodes_in_force

_LOOK_S = 0.25
_MATCH_S = 2.0
_START_S = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that is up.

    Attributes:
        addresses: Of enrolment and releases.
        fleet: Where hospitals' nodes connect.
        superlink: The SuperLink, on loopback.
        pids: The children.
    """

    addresses: ServerAddresses
    fleet: str
    superlink: str
    pids: dict[str, int]


def serve_everything(
    operator: OperatorFolder,
    *,
    listen: Sequence[str],
    stopped: threading.Event,
    ready: Callable[[Running], None],
    on_event: Callable[[str], None],
) -> None:
    """Serve until ``stopped`` is set.

    Args:
        operator: The folder to serve.
        listen: Addresses to come in by, for all three services.
        stopped: Ends it.
        ready: Told once everything answers.
        on_event: Told in one sentence what happens.

    Raises:
        InputError: nginx is not installed.
        WireError: a port is taken, or a child does not come up.
    """
    prepare_credentials(operator)
    configuration = write_nginx_configuration(operator, listen=listen)
    programs = [superlink_program(operator), nginx_program(operator, configuration)]
    ports = {"superlink": operator.settings.superlink_port, "nginx": operator.settings.fleet_port}
    for port in ports.values():
        _must_be_free(LOOPBACK, port)
    supervisor = Supervisor(programs, on_event=on_event)
    settings = operator.settings
    try:
        with serve_in_thread(
            operator,
            host=listen[0],
            enrolment_port=settings.enrolment_port,
            distribution_port=settings.distribution_port,
        ) as addresses:
            _bring_up(supervisor, ports, stopped)
            fleet = f"{listen[0]}:{settings.fleet_port}"
            superlink = f"{LOOPBACK}:{settings.superlink_port}"
            _match(operator, on_event)
            if not stopped.is_set():
                ready(Running(addresses=addresses, fleet=fleet, superlink=superlink, pids=supervisor.pids()))
            _look_after(operator, supervisor, stopped, on_event)
    finally:
        supervisor.stop()


def _bring_up(supervisor: Supervisor, ports: dict[str, int], stopped: threading.Event) -> None:
    ends = time.monotonic() + _START_S
    supervisor.check()
    while not stopped.is_set() and not all(_answers(LOOPBACK, port) for port in ports.values()):
        if time.monotonic() >= ends:
            silent = [name for name, port in ports.items() if not _answers(LOOPBACK, port)]
            raise WireError("a child does not come up", value=", ".join(silent), fix="Read its log in superlink/.")
        supervisor.check()
        stopped.wait(_LOOK_S)


def _look_after(
    operator: OperatorFolder, supervisor: Supervisor, stopped: threading.Event, on_event: Callable[[str], None]
) -> None:
    matched = time.monotonic()
    while not stopped.wait(_LOOK_S):
        supervisor.check()
        if time.monotonic() - matched >= _MATCH_S:
            _match(operator, on_event)
            matched = time.monotonic()


def _match(operator: OperatorFolder, on_event: Callable[[str], None]) -> None:
    try:
        with SuperLinkControl(superlink_access(operator.folder, operator.settings)) as control:
            for sentence in control.match(nodes_in_force(operator.records)):
                on_event(sentence)
    except FederationError as error:
        on_event(str(error))  # it is being started again; the next look finds it


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _must_be_free(host: str, port: int) -> None:
    if _answers(host, port):
        raise WireError("cannot listen", value=f"{host}:{port}", fix="Is another server running? Choose another port.")
