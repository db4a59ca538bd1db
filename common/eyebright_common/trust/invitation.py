"""A one-time invitation: what an operator hands to a technician so that a unit can join.

* It carries where the server is, how to recognise it (the authority's certificate), a secret token and an end date.
* As text it is one line that survives copying, wrapping and e-mail: ``eyebright1.<base64url>.<check>``. The check is
  against slips of the mouse, not against attackers; what protects the network is the token.
* The server keeps only the token's SHA-256. The token has 256 random bits, so a plain hash needs no salt.
* The end date in the text is advice to the person; the server decides by its own record and its own clock.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
import zlib
from datetime import datetime

from pydantic import AwareDatetime, ValidationError

from eyebright_common.documents import Document
from eyebright_common.errors import InvitationError
from eyebright_common.trust.certificates import Role, checked_name

_PREFIX = "eyebright1"
_LONGEST = 16_384


class Invitation(Document):
    """An invitation for one participant.

    Attributes:
        name: The name the participant will have.
        role: What it will be.
        enrolment_address: ``host:port`` where the invitation is exchanged for a certificate.
        distribution_address: ``host:port`` from which releases are pulled afterwards.
        authority_pem: The certificate by which both servers are recognised.
        token: The secret; worth a certificate until it is used.
        expires: When the server stops accepting it.
    """

    name: str
    role: Role
    enrolment_address: str
    distribution_address: str
    authority_pem: str
    token: str
    expires: AwareDatetime

    def __repr__(self) -> str:
        return f"Invitation(name={self.name!r}, role={self.role.value!r}, expires={self.expires.isoformat()})"

    __str__ = __repr__

    def encode(self) -> str:
        """Return the invitation as one line of text."""
        packed = base64.urlsafe_b64encode(zlib.compress(self.model_dump_json().encode(), 9)).decode().rstrip("=")
        return f"{_PREFIX}.{packed}.{_check(packed)}"

    @classmethod
    def decode(cls, text: str) -> Invitation:
        """Read an invitation from text, whatever line breaks it has picked up on the way.

        Raises:
            InvitationError: it is not an invitation, or a part of it is missing.
        """
        line = re.sub(r"\s+", "", text)
        prefix, _, rest = line.partition(".")
        packed, _, check = rest.partition(".")
        if prefix != _PREFIX or not packed or len(line) > _LONGEST:
            raise InvitationError(
                "this is not an invitation", value=line[:24], fix=f"Copy the whole line beginning with {_PREFIX}."
            )
        if check != _check(packed):
            raise InvitationError("the invitation was cut or changed while copying", fix="Copy the whole line again.")
        try:
            padded = packed + "=" * (-len(packed) % 4)
            plain = zlib.decompressobj().decompress(base64.b64decode(padded, altchars=b"-_", validate=True), _LONGEST)
            return cls.model_validate_json(plain)
        except (binascii.Error, zlib.error, ValidationError, ValueError) as error:
            # The cause is left out on purpose: a validation error quotes its input, and that has the token in it.
            raise InvitationError("the invitation cannot be read", fix="Ask the operator for a new one.") from (
                error if isinstance(error, binascii.Error | zlib.error) else None
            )

    def has_expired(self, now: datetime) -> bool:
        """Whether the invitation says it is over; only the server's answer counts."""
        return now >= self.expires


def new_invitation(
    *,
    name: str,
    role: Role,
    enrolment_address: str,
    distribution_address: str,
    authority_pem: bytes,
    expires: datetime,
) -> Invitation:
    """Return an invitation with a fresh random token.

    Raises:
        InputError: the name cannot be used.
    """
    return Invitation(
        name=checked_name(name),
        role=role,
        enrolment_address=enrolment_address,
        distribution_address=distribution_address,
        authority_pem=authority_pem.decode(),
        token=secrets.token_urlsafe(32),
        expires=expires,
    )


def token_hash(token: str) -> str:
    """Return what the server stores in place of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _check(packed: str) -> str:
    return hashlib.sha256(packed.encode()).hexdigest()[:8]
