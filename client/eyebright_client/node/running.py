"""Keeping the node up: SuperNode and worker as children, the certificate renewed in time.

* The SuperNode runs in ``process`` isolation with the registered key, the operator's authority as its only root, no
  call home and no installation of dependencies. Its own interface is on loopback.
* A SuperNode that ends (a bad handshake, a lost registration) is started again; see ``eyebright_common.supervision``.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from eyebright_client.enrolment.home import HospitalHome
from eyebright_common.errors import EyebrightError
from eyebright_common.supervision import Program, Supervisor
from eyebright_common.trust import UnitIdentity
from eyebright_common.wire import DistributionClient, renew_if_due

RUNTIME_PORT = 9094
_LOOK_S = 0.25
_RENEW_EVERY_S = 3600.0
_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
}


def node_programs(home: HospitalHome, *, runtime_port: int) -> list[Program]:
    """Return the two programs of the node.

    Raises:
        InputError: this hospital has not joined.
    """
    root = home.root.resolve()
    place = HospitalHome(root)
    environment = {**_QUIET, "FLWR_HOME": str(place.node / "flwr")}
    supernode = (
        str(Path(sys.executable).parent / "flower-supernode"),
        *("--superlink", home.membership().fleet_address),
        *("--root-certificates", str(place.identity / "authority.pem")),
        *("--auth-supernode-private-key", str(place.node_key)),
        *("--isolation", "process", "--superexec-auth-secret-file", str(place.runtime_secret)),
        *("--host", "127.0.0.1", "--port", str(runtime_port)),
    )
    worker = (sys.executable, "-m", "eyebright_client.node.worker", str(root), str(runtime_port))
    return [
        Program(
            name="supernode",
            command=supernode,
            environment=environment,
            log=place.node / "supernode.log",
            after=partial(_say_goodbye, place),
        ),
        Program(name="worker", command=worker, environment=environment, log=place.node / "worker.log"),
    ]


def run_node(
    home: HospitalHome,
    *,
    runtime_port: int,
    stopped: threading.Event,
    ready: Callable[[dict[str, int]], None],
    on_event: Callable[[str], None],
) -> None:
    """Keep the node up until ``stopped`` is set.

    Args:
        home: The hospital's.
        runtime_port: Of the SuperNode's own interface, on loopback.
        stopped: Ends it.
        ready: Told the processes once they run.
        on_event: Told in one sentence what happens.

    Raises:
        InputError: this hospital has not joined.
        EyebrightError: the node is up already.
    """
    programs = node_programs(home, runtime_port=runtime_port)
    with home.locked():
        supervisor = Supervisor(programs, on_event=on_event)
        try:
            _say_goodbye(home)  # for a node that was killed together with its keeper
            supervisor.check()
            ready(supervisor.pids())
            renewed = -_RENEW_EVERY_S
            while not stopped.wait(_LOOK_S):
                supervisor.check()
                if time.monotonic() - renewed >= _RENEW_EVERY_S:
                    renewed = time.monotonic()
                    _renew(home, on_event)
        finally:
            supervisor.stop()


def _say_goodbye(home: HospitalHome) -> None:
    from eyebright_client.node.goodbye import say_goodbye  # brings Flower, which the other commands do without

    say_goodbye(home)


def _renew(home: HospitalHome, on_event: Callable[[str], None]) -> None:
    try:
        identity = UnitIdentity.open(home.identity)
        if not identity.needs_renewal(datetime.now(UTC)):
            return
        with DistributionClient.connect(identity) as client:
            renew_if_due(identity, client, now=datetime.now(UTC))
        on_event("the certificate was renewed")
    except EyebrightError as error:
        on_event(f"the certificate could not be renewed yet: {error}")
