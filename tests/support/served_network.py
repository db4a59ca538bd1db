"""A whole operator on loopback for tests: authority, repository with one release, records and a running server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from eyebright_common.trust import UnitIdentity, UpdateClient
from eyebright_common.wire import DistributionClient, GrpcFetcher, Patience, enrol
from eyebright_server.distribution import OperatorFolder, ServerAddresses, serve_in_thread
from signed_network import write_release

IMPATIENT = Patience(deadline_s=10, stream_deadline_s=30, attempts=3, sleep=lambda seconds: None)


@dataclass
class Network:
    """A running operator."""

    operator: OperatorFolder
    addresses: ServerAddresses
    folder: Path

    def unit(self, name: str = "unit-1") -> UnitIdentity:
        """Enrol a new unit."""
        invitation = self.operator.invite(name, addresses=self.addresses)
        return enrol(invitation, self.folder / name, patience=IMPATIENT)

    def target_path(self, file: str) -> str:
        """Return the hash-prefixed name of a published file."""
        targets = self.operator.repository.folder / "targets"
        (path,) = targets.rglob(f"*.{file}")
        return path.relative_to(targets).as_posix()


@contextmanager
def running_network(folder: Path, **serving: object) -> Iterator[Network]:
    """Make an operator with one published release and serve it."""
    operator = OperatorFolder.create(folder / "operator")
    operator.repository.publish(write_release(folder / "release"))
    try:
        with serve_in_thread(operator, **serving) as addresses:
            yield Network(operator=operator, addresses=addresses, folder=folder)
    finally:
        operator.close()


@contextmanager
def update_client(identity: UnitIdentity) -> Iterator[tuple[UpdateClient, GrpcFetcher]]:
    """Return a unit's update client and its transport."""
    with DistributionClient.connect(identity, patience=IMPATIENT) as connection:
        fetcher = GrpcFetcher(connection, identity.folder / "parts")
        yield UpdateClient(identity.folder / "tuf", fetcher, identity.root_metadata), fetcher
