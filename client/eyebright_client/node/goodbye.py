"""Saying goodbye for a SuperNode that could not: killed, or out of memory.

Flower holds such a node to be online for another minute, refuses to let it in again so long, and the question it was
asked is lost. The goodbye is one signed request that any holder of the node key may send; after it, the node that is
started next is let in at once and gets the question that was waiting.
"""

from __future__ import annotations

import re
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from flwr.proto.fleet_pb2 import DeactivateNodeRequest
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from eyebright_client.enrolment.home import HospitalHome

_NODE = re.compile(rb"SuperNode ID: (\d+)")
_TAIL_BYTES = 65_536


def say_goodbye(home: HospitalHome) -> bool:
    """Tell the SuperLink that our node is away; return whether it was told."""
    node_id = _last_node(home.node / "supernode.log")
    key = load_ssh_private_key(home.node_key.read_bytes(), None)
    if node_id is None or not isinstance(key, ec.EllipticCurvePrivateKey):
        return False
    client = FleetHttpClient.from_server_address(
        home.membership().fleet_address,
        False,
        (home.identity / "authority.pem").read_bytes(),
        [
            RuntimeVersionHttpInterceptor(component_name="SuperNode"),
            NodeAuthHttpInterceptor(key, key.public_key()),
        ],
    )
    try:
        client.DeactivateNode(DeactivateNodeRequest(node_id=node_id))
    except httpx.HTTPError:
        return False  # not reached, or not online any more: the minute passes
    finally:
        client.close()
    return True


def _last_node(log: Path) -> int | None:
    """Return the number under which the node was let in last, from what it said itself."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            found = _NODE.findall(file.read())
    except OSError:
        return None
    return int(found[-1]) if found else None
