"""Joining with a one-time invitation, and leaving.

* Both keys are made here: the one for mutual TLS and the Flower node key (EC P-384, in OpenSSH's spelling, which is
  what Flower reads). Only a certificate request and a public key leave.
* Joining again after a cut connection or a power loss uses the same keys, and the server gives the same answer.
* A new hospital approves nothing: its policy is written with an empty list of plans.
* Leaving keeps the site directory, the audit log above all; keys and membership are deleted.
"""

from __future__ import annotations

import json
import secrets
import shutil
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from eyebright_client.enrolment.home import HospitalHome, Membership
from eyebright_client.policy.approval import FILE_NAME as POLICY
from eyebright_client.policy.approval import Policy
from eyebright_common.durable import write_bytes
from eyebright_common.errors import EyebrightError, InvitationError, TrustError
from eyebright_common.trust import Invitation, Role, UnitIdentity
from eyebright_common.wire import DistributionClient, FleetPlace, Patience, enrol_hospital


def read_invitation(given: str) -> Invitation:
    """Return the invitation in a line of text, or in the file that ``given`` names.

    Raises:
        InvitationError: it is not an invitation, or not one for a hospital.
    """
    try:
        text = Path(given).read_text("utf-8")
    except (OSError, ValueError):
        if not given.strip().startswith("eyebright"):
            fix = "Name the file from the operator, or give its whole line."
            # Its beginning only: what was cut wrongly while copying still has the token in it.
            raise InvitationError("neither a file nor an invitation", value=repr(given[:24]), fix=fix) from None
        text = given  # the invitation itself; `decode` says what is wrong with it
    invitation = Invitation.decode(text)
    if invitation.role is not Role.HOSPITAL:
        fix = "Ask for one for a hospital."
        raise InvitationError("this invitation is not for a hospital", value=invitation.role.value, fix=fix)
    return invitation


def join(home: HospitalHome, invitation: Invitation, *, patience: Patience | None = None) -> Membership:
    """Make the keys, exchange the invitation, and write a site directory that approves nothing.

    Raises:
        InputError: the home cannot be made.
        TrustError: this home has joined already, or the server does not take the invitation.
        WireError: the server could not be reached; trying again is safe.
    """
    home.create()
    if (home.identity / "identity.json").exists() and not (home.site / "site.json").exists():
        _write_site(home, home.membership())  # cut short on its last step the time before
        return home.membership()
    public = _node_public_key(home)
    if not home.runtime_secret.exists():
        write_bytes(home.runtime_secret, secrets.token_urlsafe(32).encode(), mode=0o600)

    def keep(place: FleetPlace) -> None:
        home.keep(Membership(name=place.name, site_index=place.site_index, fleet_address=place.fleet_address))

    enrol_hospital(invitation, home.identity, node_public_key_pem=public, keep=keep, patience=patience)
    membership = home.membership()
    _write_site(home, membership)
    return membership


def leave(home: HospitalHome, *, patience: Patience | None = None, without_telling: bool = False) -> None:
    """Withdraw: tell the server, then delete keys and membership. Data, policy and audit log stay.

    Args:
        home: The hospital's.
        patience: How long to wait for the server.
        without_telling: Leave although the server cannot be reached; it will notice when our certificate ends.

    Raises:
        EyebrightError: the node is up, or the server cannot be told.
    """
    home.membership()
    with home.locked():
        try:
            with DistributionClient.connect(UnitIdentity.open(home.identity), patience=patience) as client:
                client.leave()
        except EyebrightError:
            if not without_telling:
                raise
        shutil.rmtree(home.identity, ignore_errors=True)
        shutil.rmtree(home.node, ignore_errors=True)
        home.membership_file.unlink()


def _node_public_key(home: HospitalHome) -> bytes:
    """Make the node key if there is none yet; return its public half."""
    if not home.node_key.exists():
        made = ec.generate_private_key(ec.SECP384R1())
        pem = made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        write_bytes(home.node_key, pem, mode=0o600)
    try:
        key = load_ssh_private_key(home.node_key.read_bytes(), None)
    except ValueError as error:
        raise TrustError("the node key cannot be read", value=home.node_key, fix="Move it away and join.") from error
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _write_site(home: HospitalHome, membership: Membership) -> None:
    facts = {"name": membership.name, "index": membership.site_index}
    write_bytes(home.site / "site.json", (json.dumps(facts) + "\n").encode())
    if not (home.site / POLICY).exists():
        write_bytes(home.site / POLICY, Policy().to_json())
