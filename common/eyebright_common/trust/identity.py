"""A participant's own identity: a key that never leaves it, and the certificate that vouches for the key.

Folder: ``key.pem`` (0600), ``certificate.pem``, ``authority.pem``, ``root.json`` (where trust in updates begins) and
``identity.json``, written last: an identity without it is an enrolment that was interrupted and may be taken up again
with the same key and the same invitation.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from eyebright_common.documents import Document
from eyebright_common.durable import write_bytes
from eyebright_common.errors import TrustError
from eyebright_common.trust.authority import Credentials
from eyebright_common.trust.certificates import (
    PeerIdentity,
    Role,
    certificate_request,
    checked_name,
    load_certificate,
    read_identity,
)
from eyebright_common.trust.keys import load_certificate_key, new_certificate_key, private_pem, save_private_key

RENEW_WITHIN = timedelta(days=10)


class _Enrolled(Document):
    format: int = 1
    name: str
    role: Role
    distribution_address: str


class UnitIdentity:
    """Who this unit (or hospital) is, once it has enrolled.

    Attributes:
        name: Its name in the network.
        role: What it is there.
        distribution_address: ``host:port`` of the server it pulls from.
    """

    def __init__(self, folder: Path, enrolled: _Enrolled) -> None:
        self.folder = folder
        self.name = enrolled.name
        self.role = enrolled.role
        self.distribution_address = enrolled.distribution_address

    @classmethod
    def begin(cls, folder: Path, *, name: str, role: Role = Role.UNIT) -> bytes:
        """Make the key if there is none yet and return a certificate request (PEM) for it.

        Raises:
            TrustError: this folder has enrolled already, or its key cannot be read.
        """
        if (folder / "identity.json").exists():
            raise TrustError(
                "this folder already has an identity", value=folder, fix="Use another folder, or move this one away."
            )
        if not (folder / "key.pem").exists():
            save_private_key(folder / "key.pem", new_certificate_key())
        return certificate_request(load_certificate_key(folder / "key.pem"), role=role, name=checked_name(name))

    @classmethod
    def complete(
        cls,
        folder: Path,
        *,
        certificate_pem: bytes,
        authority_pem: bytes,
        root_metadata: bytes,
        distribution_address: str,
    ) -> UnitIdentity:
        """Keep what the enrolment answered.

        Raises:
            TrustError: the certificate is not for the key made here.
        """
        identity = _checked(folder, certificate_pem)
        enrolled = _Enrolled(name=identity.name, role=identity.role, distribution_address=distribution_address)
        write_bytes(folder / "certificate.pem", certificate_pem)
        write_bytes(folder / "authority.pem", authority_pem)
        write_bytes(folder / "root.json", root_metadata)
        write_bytes(folder / "identity.json", enrolled.to_json())
        return cls(folder, enrolled)

    @classmethod
    def open(cls, folder: Path) -> UnitIdentity:
        """Open the identity in ``folder``.

        Raises:
            TrustError: nobody has enrolled here, or the record is damaged.
        """
        try:
            enrolled = _Enrolled.model_validate_json((folder / "identity.json").read_bytes())
        except FileNotFoundError as error:
            raise TrustError("not enrolled yet", value=folder, fix="Enrol with an invitation first.") from error
        except (OSError, ValidationError) as error:
            raise TrustError("the identity cannot be read", value=folder, fix="Enrol again elsewhere.") from error
        return cls(folder, enrolled)

    @property
    def certificate(self) -> PeerIdentity:
        """What the certificate in force says."""
        return read_identity((self.folder / "certificate.pem").read_bytes())

    @property
    def authority_pem(self) -> bytes:
        """The certificate by which servers are recognised."""
        return (self.folder / "authority.pem").read_bytes()

    @property
    def root_metadata(self) -> bytes:
        """The root metadata with which trust in updates began."""
        return (self.folder / "root.json").read_bytes()

    def credentials(self) -> Credentials:
        """Return key and certificate for a mutual TLS channel.

        Raises:
            TrustError: the key cannot be read.
        """
        key = load_certificate_key(self.folder / "key.pem")
        return Credentials(key_pem=private_pem(key), certificate_pem=(self.folder / "certificate.pem").read_bytes())

    def renewal_request(self) -> bytes:
        """Return a certificate request (PEM) for the key in force."""
        return certificate_request(load_certificate_key(self.folder / "key.pem"), role=self.role, name=self.name)

    def renew(self, certificate_pem: bytes) -> None:
        """Take a fresh certificate into use.

        Raises:
            TrustError: it is for another key or another participant.
        """
        identity = _checked(self.folder, certificate_pem)
        if (identity.role, identity.name) != (self.role, self.name):
            raise TrustError("the new certificate names another participant", value=identity.uri)
        write_bytes(self.folder / "certificate.pem", certificate_pem)

    def needs_renewal(self, now: datetime, *, within: timedelta = RENEW_WITHIN) -> bool:
        """Whether the certificate ends soon enough to ask for a fresh one now."""
        return self.certificate.not_after - now <= within


def _checked(folder: Path, certificate_pem: bytes) -> PeerIdentity:
    key = load_certificate_key(folder / "key.pem")
    if load_certificate(certificate_pem).public_key() != key.public_key():
        raise TrustError("the certificate is not for the key of this machine", value=folder, fix="Enrol again.")
    return read_identity(certificate_pem)
