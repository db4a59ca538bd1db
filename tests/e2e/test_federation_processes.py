"""The federation as it runs in earnest: nginx, SuperLink, SuperNodes and workers as processes, over TLS on loopback."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from eyebright_client.audit import read_audit
from eyebright_common.errors import InputError
from eyebright_learning.models import build_student
from eyebright_server.federation import run_federation
from eyebright_server.federation.records import FederationEvent, FederationResult
from eyebright_server.superlink.federate import federate
from eyebright_server.superlink.nginx import find_nginx
from eyebright_simulations.federation_demo.demo import RunningFederation, running_federation

pytestmark = [pytest.mark.slow, pytest.mark.kill]
HOSPITALS = 3


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFederation]:
    try:
        find_nginx()
    except InputError:
        pytest.skip("nginx is not installed (Debian: apt-get install nginx-light)")
    with running_federation(tmp_path_factory.mktemp("federation"), hospitals=HOSPITALS, rounds=2) as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(federation: RunningFederation, tmp_path_factory: pytest.TempPathFactory) -> FederationResult:
    """The same rounds in this process, over the same hospitals' folders."""
    return in_one_process(federation, tmp_path_factory.mktemp("undisturbed") / "rounds")


def initial(federation: RunningFederation) -> dict[str, np.ndarray]:
    plan = federation.plan
    student = build_student(plan.student, classes=len(plan.classes), seed=plan.seed)
    return {name: tensor.detach().cpu().numpy() for name, tensor in student.state_dict().items()}


def in_one_process(
    federation: RunningFederation, checkpoint: Path, on_event: Callable[[FederationEvent], None] = lambda event: None
) -> FederationResult:
    return run_federation(
        plan=federation.plan,
        initial=initial(federation),
        sites=[home / "site" for home in federation.homes.values()],
        checkpoint=checkpoint,
        on_event=on_event,
    )


def over_superlink(
    federation: RunningFederation, checkpoint: Path, on_event: Callable[[FederationEvent], None] = lambda event: None
) -> FederationResult:
    return federate(
        access=federation.access,
        plan=federation.plan,
        initial=initial(federation),
        hospitals=HOSPITALS,
        checkpoint=checkpoint,
        on_event=on_event,
        deadline_s=120.0,
    )


def assert_same_rounds(found: FederationResult, expected: FederationResult) -> None:
    assert [record.accepted for record in found.rounds] == [record.accepted for record in expected.rounds]
    assert [record.weights_sha256 for record in found.rounds] == [r.weights_sha256 for r in expected.rounds]


def test_rounds_end_with_the_weights_of_rounds_in_one_process_and_stand_in_every_log(federation, undisturbed, tmp_path):
    before = {name: len(read_audit(home / "site").lines) for name, home in federation.homes.items()}
    found = over_superlink(federation, tmp_path / "rounds")
    assert_same_rounds(found, undisturbed)
    assert found.rounds[-1].accepted == (0, 1, 2)
    for name, home in federation.homes.items():
        said = [(line.kind, line.direction, line.outcome) for line in read_audit(home / "site").lines[before[name] :]]
        asked = [("query", 1), ("train", 1), ("evaluate", 1), ("train", 2), ("evaluate", 2)]
        assert said == [(kind, way, "ok") for kind, _ in asked for way in ("in", "out")]


REFUSED = [
    "POST /v1/control/list-nodes",
    "POST /v1/control/start-run",
    "POST /v1/control/register-node",
    "POST /v1/runtime/acquire-task",
    "POST /v1/runtime/push-messages",
    "POST /v1/fleet/../control/list-nodes",
    "POST /v1/fleet/%2e%2e/control/list-nodes",
    "POST /v1/fleet/..%2fcontrol/list-nodes",
    "POST /v1/control/../fleet/../control/list-nodes",
    "POST //v1/control/list-nodes",
    "POST /v1/%63ontrol/list-nodes",
    "POST /v1/fleet/activate-node?x=/v1/control/list-nodes",
    "POST /V1/CONTROL/list-nodes",
    "POST https://localhost/v1/control/list-nodes",
    "GET /docs",
    "GET /openapi.json",
    "GET /health",
    "GET /",
]


@pytest.mark.parametrize("request_line", REFUSED)
def test_from_a_hospital_nothing_but_the_fleet_answers(federation, request_line):
    status, body = asked(federation.server.facts["fleet"], request_line, authority(federation))
    assert status in {400, 404, 405}
    assert b"nginx" in body or body == b"", "nginx itself refuses; Flower never sees it"


def test_from_a_hospital_the_fleet_refuses_a_request_without_a_node_key(federation):
    status, _ = asked(federation.server.facts["fleet"], "POST /v1/fleet/activate-node", authority(federation))
    assert status == 401


def test_the_refused_routes_do_answer_on_the_operator_s_loopback(federation):
    """The proof that the table above tests something."""
    status, _ = asked(federation.server.facts["superlink"], "POST /v1/control/list-nodes", authority(federation))
    assert status == 200


def test_the_task_queue_is_closed_without_the_operator_s_secret(federation):
    status, _ = asked(federation.server.facts["superlink"], "POST /v1/runtime/acquire-task", authority(federation))
    assert status in {401, 403}


def victim(federation: RunningFederation, program: str) -> int:
    """Return the process that runs as ``program`` now; one that was killed has another number later."""
    owner = federation.server if program in {"superlink", "nginx"} else next(iter(federation.hospitals.values()))
    children = Path(f"/proc/{owner.pid}/task/{owner.pid}/children").read_text().split()
    named = {"superlink": "flower-superlink", "nginx": "nginx", "supernode": "flower-supernode", "worker": "worker"}
    (found,) = [int(pid) for pid in children if named[program] in Path(f"/proc/{pid}/cmdline").read_text()]
    return found


@pytest.mark.parametrize("programs", [("nginx", "worker"), ("supernode",), ("superlink",)], ids="-".join)
def test_programs_killed_between_two_rounds_come_back_and_the_rounds_end_the_same(
    federation, undisturbed, tmp_path, programs
):
    killed: dict[str, int] = {}

    def kill_once(event: FederationEvent) -> None:
        if event.kind == "round_finished" and not killed:
            killed.update({program: victim(federation, program) for program in programs})
            for pid in killed.values():
                os.kill(pid, signal.SIGKILL)

    assert_same_rounds(over_superlink(federation, tmp_path / "rounds", kill_once), undisturbed)
    assert killed
    assert all(victim(federation, program) != pid for program, pid in killed.items())


def authority(federation: RunningFederation) -> str:
    return (federation.operator / "ca" / "ca.pem").read_text()


def asked(address: str, request_line: str, authority_pem: str) -> tuple[int, bytes]:
    """Send one request as it is written, without a client that would tidy it; return status and body."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context(cadata=authority_pem)
    head = f"{request_line} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/protobuf\r\n"
    with (
        socket.create_connection((host, int(port)), timeout=30) as raw,
        context.wrap_socket(raw, server_hostname=host) as connection,
    ):
        connection.sendall(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head_bytes, _, body = answer.partition(b"\r\n\r\n")
    return int(head_bytes.split()[1]), body
