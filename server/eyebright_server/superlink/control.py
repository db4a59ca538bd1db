"""The SuperLink's control interface, as far as we need it: nodes and runs.

Flower lets everybody in who reaches this interface, so it is bound to loopback and nginx does not pass it on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from flwr.common.serde import fab_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    UnregisterNodeRequest,
)
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.fab import Fab
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor

from eyebright_common.closing import Closing
from eyebright_common.errors import FederationError
from eyebright_server.superlink.credentials import SuperLinkAccess
from eyebright_server.superlink.registrations import NodeRegistration


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetNode:
    """A node the SuperLink knows.

    Attributes:
        node_id: Flower's number for it.
        name: The hospital.
        public_key_pem: Its key.
        online: Whether it called within its heartbeat.
    """

    node_id: int
    name: str
    public_key_pem: bytes
    online: bool


class SuperLinkControl(Closing):
    """Nodes and runs of one SuperLink."""

    def __init__(self, access: SuperLinkAccess) -> None:
        self._address = access.address
        self._client = ControlHttpClient.from_server_address(
            access.address, False, access.authority_pem, [RuntimeVersionHttpInterceptor(component_name="flwr CLI")]
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def nodes(self) -> dict[str, FleetNode]:
        """Return the registered nodes by hospital.

        Raises:
            FederationError: the SuperLink does not answer.
        """
        with self._explained():
            found = self._client.ListNodes(ListNodesRequest()).nodes_info
        return {
            node.name: FleetNode(
                node_id=node.node_id,
                name=node.name,
                public_key_pem=bytes(node.public_key),
                online=node.status == "online",
            )
            for node in found
            if node.status != "unregistered"
        }

    def match(self, wanted: Mapping[str, NodeRegistration]) -> list[str]:
        """Make the SuperLink's nodes those that are wanted; return what was done, in words.

        Raises:
            FederationError: the SuperLink does not answer.
        """
        done, known = [], self.nodes()
        for name, node in known.items():
            if name not in wanted or wanted[name].public_key_pem != node.public_key_pem:
                with self._explained():
                    self._client.UnregisterNode(UnregisterNodeRequest(node_id=node.node_id))
                done.append(f"the node of {name} is out")
        for name, registration in wanted.items():
            if name not in known or known[name].public_key_pem != registration.public_key_pem:
                request = RegisterNodeRequest(public_key=registration.public_key_pem, name=name)
                with self._explained():
                    self._client.RegisterNode(request)
                done.append(f"the node of {name} is in")
        return done

    def start_run(self, bundle: bytes) -> int:
        """Start a run and return its number.

        Raises:
            FederationError: the SuperLink refuses or does not answer.
        """
        fab = Fab(hashlib.sha256(bundle).hexdigest(), bundle, {})
        with self._explained():
            reply = self._client.StartRun(StartRunRequest(fab=fab_to_proto(fab)))
        if not reply.HasField("run_id"):
            raise FederationError("the SuperLink started no run", value=self._address)
        return int(reply.run_id)

    def stop_run(self, run_id: int) -> None:
        """End a run that nobody serves any more.

        Raises:
            FederationError: the SuperLink refuses or does not answer.
        """
        with self._explained():
            self._client.StopRun(StopRunRequest(run_id=run_id))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            raise FederationError(
                f"the SuperLink does not do what was asked ({error})",
                value=self._address,
                fix="Is `eyebright server up` running? Read its superlink.log.",
            ) from error
