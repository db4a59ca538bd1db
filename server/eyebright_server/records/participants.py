"""Who may join, who has joined, and who is out.

* An invitation is redeemed by one conditional UPDATE: of two enrolments at the same moment the database lets one
  through. The claim, the certificate and the ledger entry are one transaction.
* The same key may redeem again: a unit whose answer got lost asks once more and gets the certificate it already has.
  Whoever copied the invitation has another key and is refused.
* Renewal keeps the fingerprint before: an answer that got lost must not lock a unit out.
* Revoking also withdraws open invitations of that name; a new invitation afterwards is a deliberate second chance.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from eyebright_common.errors import InputError, InvitationError, TrustError
from eyebright_common.trust import IssuedCertificate, PeerIdentity, Role
from eyebright_server.records import ledger
from eyebright_server.records.models import InvitationRow, ParticipantRow

Issue = Callable[[Role, str], IssuedCertificate]


def invite(session: Session, *, token_hash: str, role: Role, name: str, now: datetime, expires: datetime) -> None:
    """Record an invitation."""
    session.add(
        InvitationRow(token_hash=token_hash, role=role.value, name=name, created=now, expires=expires, redeemed=None)
    )
    ledger.append(
        session, "invitation-made", {"role": role.value, "name": name, "expires": expires.isoformat()}, now=now
    )


def redeem(session: Session, *, token_hash: str, key_digest: str, now: datetime, issue: Issue) -> tuple[str, bytes]:
    """Exchange an invitation for a certificate; return the participant's name and the certificate (PEM).

    Raises:
        InvitationError: it is unknown, expired, withdrawn, or used by another key.
    """
    claimed = session.scalars(
        update(InvitationRow)
        .where(
            InvitationRow.token_hash == token_hash,
            InvitationRow.redeemed.is_(None),
            InvitationRow.withdrawn.is_(None),
            InvitationRow.expires > now,
        )
        .values(redeemed=now, key_digest=key_digest)
        .returning(InvitationRow)
    ).one_or_none()
    if claimed is None:
        return _redeemed_before(session, token_hash=token_hash, key_digest=key_digest, now=now)
    issued = issue(Role(claimed.role), claimed.name)
    _enrol(session, issued, key_digest=key_digest, now=now)
    facts = {"role": claimed.role, "name": claimed.name, "fingerprint": issued.identity.fingerprint}
    ledger.append(session, "participant-enrolled", facts, now=now)
    return claimed.name, issued.pem


def authorise(session: Session, peer: PeerIdentity, *, role: Role, now: datetime) -> None:
    """Let a peer with a certificate of our authority through, or not.

    Raises:
        TrustError: it has another role, was revoked, or its certificate is not the one in force.
    """
    if peer.role is not role:
        raise TrustError(f"this service is for a {role.value}", value=peer.uri)
    row = session.get(ParticipantRow, (peer.role.value, peer.name))
    if row is None or peer.fingerprint not in {row.fingerprint, row.previous_fingerprint}:
        raise TrustError("this certificate is not in force", value=peer.uri)
    if row.revoked is not None:
        raise TrustError("this participant was revoked", value=peer.uri)
    if peer.not_after <= now:
        raise TrustError("this certificate has ended", value=peer.uri)


def renew(session: Session, peer: PeerIdentity, *, key_digest: str, now: datetime, issue: Issue) -> bytes:
    """Put a fresh certificate in force for an authorised peer; return it (PEM).

    Raises:
        TrustError: the request is made with another key than the one enrolled.
    """
    row = session.get_one(ParticipantRow, (peer.role.value, peer.name))
    if row.key_digest != key_digest:
        raise TrustError("a renewal must be for the enrolled key", value=peer.uri)
    issued = issue(peer.role, peer.name)
    row.previous_fingerprint = peer.fingerprint  # the one in hand; the newest may never have arrived
    row.fingerprint = issued.identity.fingerprint
    row.certificate_pem = issued.pem.decode()
    row.not_after = issued.identity.not_after
    facts = {"role": row.role, "name": row.name, "fingerprint": row.fingerprint}
    ledger.append(session, "certificate-renewed", facts, now=now)
    return issued.pem


def revoke(session: Session, *, role: Role, name: str, now: datetime) -> None:
    """Shut a participant out.

    Raises:
        InputError: there is none of that name.
    """
    row = session.get(ParticipantRow, (role.value, name))
    if row is None:
        raise InputError(f"no {role.value} has enrolled under this name", value=name, fix="Check the spelling.")
    row.revoked = now
    session.execute(
        update(InvitationRow)
        .where(InvitationRow.role == role.value, InvitationRow.name == name, InvitationRow.redeemed.is_(None))
        .values(withdrawn=now)
    )
    ledger.append(session, "participant-revoked", {"role": role.value, "name": name}, now=now)


def enrolled(session: Session, *, role: Role | None = None) -> list[ParticipantRow]:
    """Return the participants, revoked ones too, by role and name."""
    query = select(ParticipantRow).order_by(ParticipantRow.role, ParticipantRow.name)
    return list(session.scalars(query.where(ParticipantRow.role == role.value) if role else query))


def _enrol(session: Session, issued: IssuedCertificate, *, key_digest: str, now: datetime) -> None:
    # merge: a unit that lost its card enrols again under its name, and its old certificate ends with that.
    session.merge(
        ParticipantRow(
            role=issued.identity.role.value,
            name=issued.identity.name,
            fingerprint=issued.identity.fingerprint,
            previous_fingerprint=None,
            certificate_pem=issued.pem.decode(),
            key_digest=key_digest,
            enrolled=now,
            not_after=issued.identity.not_after,
            revoked=None,
        )
    )


def _redeemed_before(session: Session, *, token_hash: str, key_digest: str, now: datetime) -> tuple[str, bytes]:
    refused = InvitationError("the invitation is unknown, used or expired", fix="Ask the operator for a new one.")
    row = session.get(InvitationRow, token_hash)
    if row is None or row.key_digest != key_digest or row.expires <= now:
        raise refused
    participant = session.get(ParticipantRow, (row.role, row.name))
    if participant is None or participant.key_digest != key_digest or participant.revoked is not None:
        raise refused
    return row.name, participant.certificate_pem.encode()
