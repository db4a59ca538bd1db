"""The federation as it runs in earnest: nginx, SuperLink, SuperNodes and workers as processes, over TLS on loopback."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key
from flwr.proto.fleet_pb2 import ActivateNodeRequest, RegisterNodeFleetRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from contract_runs import everything
from driver_contract import DriverContract
from eyebright_client.enrolment import HospitalHome
from eyebright_server.distribution.operator_folder import ServerSettings
from eyebright_server.federation import FederationResult, RoundRules, run_federation
from eyebright_server.federation.warm_start import fresh_student
from eyebright_server.records import LedgerEntry, Records
from eyebright_server.superlink.credentials import superlink_access
from eyebright_server.superlink.federate import federate, participants_of
from eyebright_simulations.federation_demo.demo import RunningFederation
from real_federation import Crossings, ledger_of_the_last_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def four_hospitals(federation: RunningFederation) -> Iterator[RunningFederation]:
    """Two hospitals that take part, one that has not agreed, one whose pictures are damaged."""
    spoilt = {federation.sites[2] / "policy.json": b"{}", federation.sites[3] / "train.npz": b"not a zip"}
    before = {path: path.read_bytes() for path in spoilt}
    for path, content in spoilt.items():
        path.write_bytes(content)
    yield federation
    for path, content in before.items():
        path.write_bytes(content)


@pytest.fixture(scope="module")
def crossings(four_hospitals: RunningFederation) -> Crossings:
    return Crossings(four_hospitals, 0)


@pytest.fixture(scope="module")
def told(
    four_hospitals: RunningFederation,
    crossings: Crossings,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    def run(folder: Path, fresh: bool, rules: RoundRules) -> FederationResult:
        return over_superlink(four_hospitals, folder, rules)

    def ledger(folder: Path) -> Sequence[LedgerEntry]:
        return ledger_of_the_last_run(four_hospitals)

    return everything(run, ledger, tmp_path_factory.mktemp("superlink"))


class TestOverTheSuperLink(DriverContract):
    """The driver's contract over the real SuperLink, SuperNodes and workers."""

    def test_the_weights_are_those_of_rounds_in_one_process(self, told, four_hospitals, tmp_path):
        found = run_federation(
            plan=four_hospitals.plan,
            initial=fresh_student(four_hospitals.plan),
            sites=four_hospitals.sites,
            checkpoint=tmp_path,
        )
        assert [record.weights_sha256 for record in found.rounds] == told["straight"]["weights"]

    def test_every_crossing_stands_in_the_log_of_the_hospital(self, told, crossings):
        asked = ["query", "train", "evaluate", "train", "evaluate"]
        expected = [(kind, way, "ok") for kind in asked for way in ("in", "out")]
        assert crossings.seen()[: len(expected)] == expected


def over_superlink(federation: RunningFederation, folder: Path, rules: RoundRules) -> FederationResult:
    operator = federation.operator
    settings = ServerSettings.model_validate_json((operator / "server.json").read_bytes())
    with Records.open(operator / "records.sqlite") as records:
        return federate(
            access=superlink_access(operator, settings),
            plan=federation.plan,
            initial=fresh_student(federation.plan),
            participants=participants_of(records),
            checkpoint=folder,
            records=records,
            deadline_s=400.0,
            rules=rules,
        )


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


def test_a_key_that_nobody_registered_comes_in_under_no_name(federation):
    """Well made and well signed, but not of a hospital that joined: not as itself, and not as another's node."""
    home = HospitalHome(federation.homes["hospital-a"])
    node = int(re.findall(r"SuperNode ID: (\d+)", (home.node / "supernode.log").read_text())[-1])
    heartbeat = SendNodeHeartbeatRequest(node=Node(node_id=node), heartbeat_interval=30.0)
    registered = load_ssh_private_key(home.node_key.read_bytes(), None)
    with fleet_client(federation, registered) as known:
        assert known.SendNodeHeartbeat(heartbeat).success, "the proof that the refusals below are the key's"
    stranger = ec.generate_private_key(ec.SECP384R1())
    public = stranger.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with fleet_client(federation, stranger) as unknown:
        for status, call, request in (
            (401, unknown.SendNodeHeartbeat, heartbeat),
            (412, unknown.RegisterNode, RegisterNodeFleetRequest(public_key=public)),
            (412, unknown.ActivateNode, ActivateNodeRequest(public_key=public, heartbeat_interval=30.0)),
        ):
            with pytest.raises(httpx.HTTPStatusError) as refused:
                call(request)
            assert refused.value.response.status_code == status


@contextmanager
def fleet_client(federation: RunningFederation, key: ec.EllipticCurvePrivateKey) -> Iterator[FleetHttpClient]:
    """Flower's own client of the fleet's routes, from a hospital's position, signing with ``key``."""
    signing = [
        RuntimeVersionHttpInterceptor(component_name="SuperNode"),
        NodeAuthHttpInterceptor(key, key.public_key()),
    ]
    client = FleetHttpClient.from_server_address(
        federation.server.facts["fleet"], False, authority(federation).encode(), signing
    )
    try:
        yield client
    finally:
        client.close()


def test_the_refused_routes_do_answer_on_the_operator_s_loopback(federation):
    """The proof that the table above tests something."""
    status, _ = asked(federation.server.facts["superlink"], "POST /v1/control/list-nodes", authority(federation))
    assert status == 200


def test_the_task_queue_is_closed_without_the_operator_s_secret(federation):
    status, _ = asked(federation.server.facts["superlink"], "POST /v1/runtime/acquire-task", authority(federation))
    assert status in {401, 403}


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
