"""What the SuperLink and nginx are started with: certificates of the operator's authority and one secret.

::

    OPERATOR/superlink/fleet.key, fleet.pem        nginx: the names under which hospitals reach the server
    OPERATOR/superlink/loopback.key, loopback.pem  the SuperLink: loopback only
    OPERATOR/superlink/runtime.secret              opens the SuperLink's task queue; nobody else may serve our rounds
    OPERATOR/superlink/rounds.lock                 held by the process that runs rounds
    OPERATOR/superlink/superlink.sqlite            the SuperLink's own database
    OPERATOR/superlink/nginx.conf                  written afresh at every start

Certificates are issued afresh when they end within 30 days; nginx and SuperLink read them when they start.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from eyebright_common.durable import write_bytes
from eyebright_common.errors import FederationError
from eyebright_common.trust.certificates import load_certificate
from eyebright_server.distribution import OperatorFolder
from eyebright_server.distribution.operator_folder import ServerSettings

LOOPBACK = "127.0.0.1"
_RENEW_WITHIN = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperLinkAccess:
    """How a process of the operator reaches the SuperLink.

    Attributes:
        address: ``host:port`` on loopback.
        authority_pem: By which it is recognised.
        secret: Opens its task queue.
        lock: File that the process that runs rounds holds; the number of its Flower run is in it.
    """

    address: str
    authority_pem: bytes
    secret: bytes
    lock: Path

    def __repr__(self) -> str:
        return f"SuperLinkAccess(address={self.address!r})"


def superlink_folder(operator: OperatorFolder) -> Path:
    """Where everything of the SuperLink lies."""
    return operator.folder / "superlink"


def superlink_access(folder: Path, settings: ServerSettings) -> SuperLinkAccess:
    """Return how to reach the SuperLink of the operator's ``folder``.

    Raises:
        FederationError: it was never started here.
    """
    path = folder / "superlink" / "runtime.secret"
    if not path.is_file():
        fix = f"Run: eyebright server up {folder}"
        raise FederationError("the SuperLink was never started here", value=folder, fix=fix)
    return SuperLinkAccess(
        address=f"{LOOPBACK}:{settings.superlink_port}",
        authority_pem=(folder / "ca" / "ca.pem").read_bytes(),
        secret=path.read_bytes(),
        lock=path.with_name("rounds.lock"),
    )


def prepare_credentials(operator: OperatorFolder) -> None:
    """Make what is missing of certificates and secret, and renew what ends soon."""
    folder = superlink_folder(operator)
    folder.mkdir(mode=0o700, exist_ok=True)
    _certificate(operator, "fleet", [*operator.settings.hosts])
    _certificate(operator, "loopback", [LOOPBACK, "localhost"])
    if not (folder / "runtime.secret").exists():
        write_bytes(folder / "runtime.secret", secrets.token_urlsafe(32).encode(), mode=0o600)


def _certificate(operator: OperatorFolder, name: str, hosts: list[str]) -> None:
    path, now = superlink_folder(operator) / f"{name}.pem", operator.clock()
    if path.exists() and not _ends_soon(path, now):
        return
    issued = operator.authority.issue_server(hosts, now=now)
    write_bytes(path.with_suffix(".key"), issued.key_pem, mode=0o600)
    write_bytes(path, issued.certificate_pem)


def _ends_soon(path: Path, now: datetime) -> bool:
    return load_certificate(path.read_bytes()).not_valid_after_utc - now <= _RENEW_WITHIN
