"""Everything one operator has, in one folder.

``server.json`` (where units reach the server), ``ca/`` (the authority), ``keys/`` (signing keys, ``offline/`` to be
moved to a safe place), ``repository/`` (what is served), ``engines/`` (what builders sent and nobody has signed yet)
and ``records.sqlite``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from pydantic import Field, ValidationError

from eyebright_common.closing import Closing
from eyebright_common.documents import Document
from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_common.trust import CertificateAuthority, Invitation, Role, new_invitation, token_hash
from eyebright_server.records import Records
from eyebright_server.release.engine_inbox import EngineInbox
from eyebright_server.release.repository import ReleaseRepository, utc_now

ENROLMENT_PORT = 7441
DISTRIBUTION_PORT = 7442
FLEET_PORT = 7443
SUPERLINK_PORT = 7444
INVITATION_VALIDITY = timedelta(hours=72)
# A host name, an IPv4 or an IPv6 address; what they mean is for the resolver to say.
_HOST = re.compile(r"[A-Za-z0-9:]([A-Za-z0-9.:_-]{0,252}[A-Za-z0-9:])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddresses:
    """Where a running server is reached, each ``host:port``."""

    enrolment: str
    distribution: str


class ServerSettings(Document):
    """``server.json``.

    Attributes:
        hosts: Names and addresses under which units reach the server; they stand in its certificate.
        enrolment_port: Port of the enrolment service.
        distribution_port: Port of the distribution service.
        fleet_port: Port of nginx, where hospitals' nodes connect.
        superlink_port: Port of the SuperLink, on loopback only.
        records_url: SQLAlchemy URL of the records (``records.database``); None for the file in this folder.
    """

    format: int = 1
    hosts: tuple[str, ...] = Field(min_length=1)
    enrolment_port: int = Field(default=ENROLMENT_PORT, ge=0, le=65535)
    distribution_port: int = Field(default=DISTRIBUTION_PORT, ge=0, le=65535)
    fleet_port: int = Field(default=FLEET_PORT, ge=1, le=65535)
    superlink_port: int = Field(default=SUPERLINK_PORT, ge=1, le=65535)
    records_url: str | None = None

    @property
    def addresses(self) -> ServerAddresses:
        """Where units reach the server when it runs as configured."""
        return ServerAddresses(
            enrolment=f"{self._host}:{self.enrolment_port}", distribution=f"{self._host}:{self.distribution_port}"
        )

    @property
    def fleet_address(self) -> str:
        """Where hospitals' nodes connect, ``host:port``."""
        return f"{self._host}:{self.fleet_port}"

    @property
    def _host(self) -> str:
        return f"[{self.hosts[0]}]" if ":" in self.hosts[0] else self.hosts[0]


class OperatorFolder(Closing):
    """An operator's folder, opened.

    Attributes:
        settings: Where units reach the server.
        repository: The signed repository.
        records: Invitations, participants, reports and ledger.
        engines: What builders send.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], datetime], passphrase: bytes | None) -> None:
        self.folder = folder
        self.clock = clock
        self.settings = read_settings(folder)
        self.repository = ReleaseRepository.open(
            folder / "repository", folder / "keys", clock=clock, passphrase=passphrase
        )
        self.records = Records.open(self.settings.records_url or folder / "records.sqlite")
        self.engines = EngineInbox(folder / "engines", self.repository, self.records, clock=clock)

    @cached_property
    def authority(self) -> CertificateAuthority:
        """The certificate authority; opened by those who let others connect, so that without it one can still export.

        Raises:
            TrustError: it is not here, or its key cannot be read.
        """
        return CertificateAuthority.open(self.folder / "ca")

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        hosts: Sequence[str] = ("127.0.0.1", "localhost"),
        enrolment_port: int = ENROLMENT_PORT,
        distribution_port: int = DISTRIBUTION_PORT,
        fleet_port: int = FLEET_PORT,
        superlink_port: int = SUPERLINK_PORT,
        records_url: str | None = None,
        clock: Callable[[], datetime] = utc_now,
        passphrase: bytes | None = None,
    ) -> OperatorFolder:
        """Make the authority, the keys, an empty repository and the records.

        Args:
            folder: New or empty.
            hosts: Under which units reach the server; the first is the one invitations name.
            enrolment_port: Port of the enrolment service.
            distribution_port: Port of the distribution service.
            fleet_port: Port of nginx, where hospitals' nodes connect.
            superlink_port: Port of the SuperLink, on loopback only.
            records_url: SQLAlchemy URL, when the records are not to be a file here.
            clock: The present time, UTC.
            passphrase: To encrypt the offline signing keys with.

        Raises:
            InputError: the folder holds something already, or a host cannot be the name of one.
            EyebrightError: the records cannot be opened.
        """
        for host in hosts:
            if not _HOST.fullmatch(host):
                fix = "Give a name or an address, e.g. rounds.example.org; ports have options of their own."
                raise InputError("this cannot be the name of a server", value=repr(host[:80]), fix=fix)
        ports = [port for port in (enrolment_port, distribution_port, fleet_port, superlink_port) if port]
        if len(set(ports)) < len(ports):
            raise InputError("two services would share a port", value=ports, fix="Give each a port of its own.")
        if folder.exists() and any(folder.iterdir()):
            raise InputError("the operator's folder is not empty", value=folder, fix="Name a new folder.")
        if records_url is not None:
            Records.open(records_url).close()  # before anything is made: an address has more ways to be wrong
        folder.mkdir(parents=True, exist_ok=True)
        settings = ServerSettings(
            hosts=tuple(hosts),
            enrolment_port=enrolment_port,
            distribution_port=distribution_port,
            fleet_port=fleet_port,
            superlink_port=superlink_port,
            records_url=records_url,
        )
        CertificateAuthority.create(folder / "ca", now=clock())
        ReleaseRepository.create(folder / "repository", folder / "keys", clock=clock, passphrase=passphrase)
        # Last: a folder without settings is one whose making was interrupted.
        write_bytes(folder / "server.json", settings.to_json(), mode=0o600 if records_url else 0o644)
        return cls(folder, clock=clock, passphrase=passphrase)

    @classmethod
    def open(
        cls, folder: Path, *, clock: Callable[[], datetime] = utc_now, passphrase: bytes | None = None
    ) -> OperatorFolder:
        """Open an operator's folder.

        Raises:
            EyebrightError: it is not one, or a part of it is missing or does not verify.
        """
        return cls(folder, clock=clock, passphrase=passphrase)

    def invite(
        self,
        name: str,
        *,
        role: Role = Role.UNIT,
        validity: timedelta = INVITATION_VALIDITY,
        addresses: ServerAddresses | None = None,
    ) -> Invitation:
        """Return a one-time invitation; only its hash is kept here.

        Args:
            name: Name of the participant to be.
            role: What it will be.
            validity: How long the invitation can be used.
            addresses: Where the server is reached, when not as configured.

        Raises:
            InputError: the name cannot be used, or the validity is not positive.
        """
        if validity <= timedelta(0):
            raise InputError("an invitation must be valid for some time", value=validity, fix="Give it some hours.")
        now = self.clock()
        reached = addresses or self.settings.addresses
        invitation = new_invitation(
            name=name,
            role=role,
            enrolment_address=reached.enrolment,
            distribution_address=reached.distribution,
            authority_pem=self.authority.certificate_pem,
            expires=now + validity,
        )
        self.records.invite(
            token_hash=token_hash(invitation.token), role=role, name=name, now=now, expires=invitation.expires
        )
        return invitation

    def close(self) -> None:
        """Close the records."""
        self.records.close()


def read_settings(folder: Path) -> ServerSettings:
    """Return the settings in an operator's folder.

    Raises:
        InputError: it is not one, or they cannot be read.
    """
    path = folder / "server.json"
    try:
        return ServerSettings.model_validate_json(path.read_bytes())
    except OSError as error:
        fix = "Make one with: eyebright server init DIR"
        raise InputError("this is not an operator's folder", value=folder, fix=fix) from error
    except ValidationError as error:
        raise InputError("the server's settings cannot be read", value=path, fix="Correct or restore it.") from error
