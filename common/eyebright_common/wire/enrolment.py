"""Joining the network with an invitation, and staying in it.

* The key is made here first; only a request for a certificate leaves. Enrolling again after a cut connection or a
  power loss uses the same key, and the server answers the same key with the same certificate.
* The server is recognised by the authority in the invitation. The reply's authority must be that one: an enrolment
  server may not hand a unit over to another network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from eyebright_common.errors import TrustError
from eyebright_common.trust import Invitation, UnitIdentity
from eyebright_common.wire import distribution_pb2 as pb
from eyebright_common.wire.channel import Patience, call_patiently, open_channel
from eyebright_common.wire.client import DistributionClient, unary
from eyebright_common.wire.methods import ENROLL


def enrol(invitation: Invitation, folder: Path, *, patience: Patience | None = None) -> UnitIdentity:
    """Exchange an invitation for an identity kept in ``folder``.

    Raises:
        InvitationError: the server does not take the invitation.
        TrustError: the folder has an identity already, or the answer does not fit the invitation.
        WireError: the server could not be reached; trying again is safe.
    """
    return _complete(invitation, folder, _exchange(invitation, folder, node_public_key_pem=b"", patience=patience))


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlace:
    """Where a hospital's node connects, and as whom.

    Attributes:
        name: The hospital's name in the network.
        fleet_address: ``host:port`` of the proxy before the SuperLink.
        site_index: The hospital's number in the federation.
    """

    name: str
    fleet_address: str
    site_index: int


def enrol_hospital(
    invitation: Invitation,
    folder: Path,
    *,
    node_public_key_pem: bytes,
    keep: Callable[[FleetPlace], None],
    patience: Patience | None = None,
) -> UnitIdentity:
    """Exchange a hospital's invitation for an identity kept in ``folder``, and register its node key.

    Args:
        invitation: From the operator.
        folder: For the identity.
        node_public_key_pem: Public half of the Flower node key, EC P-384.
        keep: Writes down what the server answered; called before the identity is complete, so that a power loss in
            between is mended by asking again.
        patience: How long to wait for the server.

    Raises:
        EyebrightError: as ``enrol``.
    """
    reply = _exchange(invitation, folder, node_public_key_pem=node_public_key_pem, patience=patience)
    if not reply.fleet_address:
        raise TrustError("the server runs no rounds", value=invitation.enrolment_address, fix="Ask the operator.")
    keep(FleetPlace(name=reply.name, fleet_address=reply.fleet_address, site_index=reply.site_index))
    return _complete(invitation, folder, reply)


def _exchange(
    invitation: Invitation, folder: Path, *, node_public_key_pem: bytes, patience: Patience | None
) -> pb.EnrollReply:
    request_pem = UnitIdentity.begin(folder, name=invitation.name, role=invitation.role)
    request = pb.EnrollRequest(
        token=invitation.token, certificate_request_pem=request_pem, node_public_key_pem=node_public_key_pem
    )
    with open_channel(invitation.enrolment_address, invitation.authority_pem.encode()) as channel:
        enroll = unary(channel, ENROLL)
        reply = call_patiently(lambda s: enroll(request, timeout=s), patience=patience or Patience(), doing="enrolling")
    if reply.authority_pem.strip() != invitation.authority_pem.encode().strip() or reply.name != invitation.name:
        raise TrustError(
            "the server answered for another network or name", fix="Ask the operator for a new invitation."
        )
    return reply


def _complete(invitation: Invitation, folder: Path, reply: pb.EnrollReply) -> UnitIdentity:
    return UnitIdentity.complete(
        folder,
        certificate_pem=reply.certificate_pem,
        authority_pem=reply.authority_pem,
        root_metadata=reply.root_metadata,
        distribution_address=invitation.distribution_address,
    )


def renew_if_due(identity: UnitIdentity, client: DistributionClient, *, now: datetime) -> bool:
    """Fetch a fresh certificate when the present one ends soon; return whether that happened.

    A connection keeps the certificate it was opened with: open a new one afterwards.

    Raises:
        EyebrightError: the call failed; the present certificate stays in force.
    """
    if not identity.needs_renewal(now):
        return False
    identity.renew(client.renew(identity.renewal_request()))
    return True
