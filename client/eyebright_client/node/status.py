"""How a hospital stands: for the data engineer, from the home folder and one handshake."""

from __future__ import annotations

import socket
import ssl
from dataclasses import asdict, dataclass
from typing import Any

from eyebright_client.audit import read_audit
from eyebright_client.enrolment.home import HospitalHome
from eyebright_client.policy import asked_plans, is_paused, read_policy
from eyebright_common.trust import UnitIdentity

_REACH_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HospitalStatus:
    """What ``eyebright client status`` says.

    Attributes:
        name: Our name in the network.
        site_index: Our number in the federation.
        fleet_address: Where our node connects.
        up: Whether the node runs.
        paused: Whether we refuse everything for now.
        reached: Whether the server answers with a certificate of the operator.
        certificate_until: End of our certificate, ISO 8601.
        waiting: Digests of the plans that were asked for and are not approved.
        approved: Digests of the approved ones.
        messages: Lines of the audit log.
        bytes_out: What left the building.
    """

    name: str
    site_index: int
    fleet_address: str
    up: bool
    paused: bool
    reached: bool
    certificate_until: str
    waiting: tuple[str, ...]
    approved: tuple[str, ...]
    messages: int
    bytes_out: int

    def to_dict(self) -> dict[str, Any]:
        """Return the facts for machines."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the facts in words."""
        state = "paused" if self.paused else "taking part"
        node = "up" if self.up else "down (eyebright client up)"
        answers = "answers" if self.reached else "does not answer"
        said = [
            f"{self.name}, hospital {self.site_index}: {state}; the node is {node}",
            f"the server at {self.fleet_address} {answers}; our certificate ends {self.certificate_until[:16]}",
            f"{len(self.approved)} plans approved; {self.messages} messages, {self.bytes_out} bytes have left",
        ]
        return said + [f"waiting for your answer: eyebright client approve {digest}" for digest in self.waiting]


def hospital_status(home: HospitalHome) -> HospitalStatus:
    """Return how this hospital stands.

    Raises:
        EyebrightError: it has not joined, or its policy or audit log cannot be used.
    """
    membership, identity = home.membership(), UnitIdentity.open(home.identity)
    approved, audit = read_policy(home.site).approved_plans, read_audit(home.site)
    return HospitalStatus(
        name=membership.name,
        site_index=membership.site_index,
        fleet_address=membership.fleet_address,
        up=home.is_up(),
        paused=is_paused(home.site),
        reached=_reaches(membership.fleet_address, identity.authority_pem),
        certificate_until=identity.certificate.not_after.isoformat(),
        waiting=tuple(digest for digest in asked_plans(home.site) if digest not in approved),
        approved=approved,
        messages=len(audit.lines),
        bytes_out=audit.bytes_by("out"),
    )


def _reaches(address: str, authority_pem: bytes) -> bool:
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context(cadata=authority_pem.decode())
    host = host.strip("[]")
    try:
        with (
            socket.create_connection((host, int(port)), timeout=_REACH_S) as raw,
            context.wrap_socket(raw, server_hostname=host),
        ):
            return True
    except OSError:
        return False
