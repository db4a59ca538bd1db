"""The signed metadata files of a repository: reading them with suspicion, writing them from the leaves to the trunk.

* Everything read is verified against the root before anybody builds on it: a targets file that somebody changed in the
  served folder would otherwise get the offline signatures with the next release.
* What is in force is what the timestamp leads to, not the highest number in the folder: a killed publication leaves
  numbers that nothing refers to, and the next one overwrites them.
* Snapshot and timestamp are always written together and share one count of versions.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, TypeVar

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from eyebright_common.durable import replacing, write_bytes
from eyebright_common.errors import TrustError
from eyebright_common.trust import Keyring

SignedT = TypeVar("SignedT", Root, Targets, Snapshot, Timestamp)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiries:
    """How long the metadata of each role may be trusted; a role that is signed by hand lasts longer.

    Attributes:
        root: Offline, rotated by hand.
        targets: Offline, signed with every release.
        snapshot: Online, renewed by the server.
        timestamp: Online; how long a unit can be kept from hearing of a newer release without noticing.
    """

    root: timedelta = timedelta(days=365)
    targets: timedelta = timedelta(days=90)
    snapshot: timedelta = timedelta(days=7)
    timestamp: timedelta = timedelta(days=1)


class Storage(Protocol):
    """Where the repository writes; a seam, so that tests can cut the power between two writes."""

    def write(self, path: Path, data: bytes) -> None:
        """Replace a file by ``data``, durably."""

    def copy(self, source: Path, path: Path) -> None:
        """Replace a file by a copy of ``source``, durably."""


class DurableStorage:
    """Files on this machine."""

    def write(self, path: Path, data: bytes) -> None:
        """Replace a file by ``data``, durably."""
        write_bytes(path, data)

    def copy(self, source: Path, path: Path) -> None:
        """Replace a file by a copy of ``source``, durably."""
        with source.open("rb") as origin, replacing(path) as draft:
            shutil.copyfileobj(origin, draft, 1 << 20)


class MetadataFolder:
    """The folder ``metadata/`` of a repository.

    Args:
        folder: The repository.
        storage: How to write.
        clock: The time from which expiries count.
        expiries: How long each role holds.
    """

    def __init__(self, folder: Path, *, storage: Storage, clock: Callable[[], datetime], expiries: Expiries) -> None:
        self._repository = folder
        self._folder = folder / "metadata"
        self._storage = storage
        self._clock = clock
        self._expiries = expiries

    def root_bytes(self) -> bytes:
        """Return the newest root metadata as it is served.

        Raises:
            TrustError: there is none.
        """
        versions = [int(path.name.split(".")[0]) for path in self._folder.glob("[1-9]*.root.json")]
        if not versions:
            raise TrustError("there is no repository here", value=self._repository, fix="Create it first.")
        return (self._folder / f"{max(versions)}.root.json").read_bytes()

    def root(self) -> Root:
        """Return the newest root metadata, verified by itself.

        Raises:
            TrustError: there is none, or it does not verify.
        """
        metadata: Metadata[Root] = _parsed(self.root_bytes(), "root")
        _verify(metadata.signed, "root", metadata)
        return metadata.signed

    def timestamp(self, root: Root) -> Timestamp | None:
        """Return the timestamp in force, or None before the first.

        Raises:
            TrustError: it does not verify.
        """
        path = self._folder / "timestamp.json"
        if not path.exists():
            return None
        metadata: Metadata[Timestamp] = _parsed(path.read_bytes(), "timestamp")
        _verify(root, "timestamp", metadata)
        return metadata.signed

    def targets(self, root: Root) -> Targets:
        """Return the targets metadata in force.

        Raises:
            TrustError: it does not verify, or the way to it is broken.
        """
        timestamp = self.timestamp(root)
        if timestamp is None:
            raise TrustError("the repository is incomplete", value=self._repository, fix="Create it anew elsewhere.")
        snapshot: Metadata[Snapshot] = self._numbered(timestamp.snapshot_meta, "snapshot")
        _verify(root, "snapshot", snapshot)
        targets: Metadata[Targets] = self._numbered(snapshot.signed.meta["targets.json"], "targets")
        _verify(root, "targets", targets)
        return targets.signed

    def write_root(self, root: Root, signers: Sequence[CryptoSigner]) -> None:
        """Write a version of the root metadata with all the signatures given."""
        root.expires = self._clock() + self._expiries.root
        self._storage.write(self._folder / f"{root.version}.root.json", _signed(root, signers))

    def write_targets(self, targets: Targets, signers: Sequence[CryptoSigner]) -> None:
        """Write a version of the targets metadata; it is in force only after ``write_online``."""
        targets.expires = self._clock() + self._expiries.targets
        self._storage.write(self._folder / f"{targets.version}.targets.json", _signed(targets, signers))

    def write_online(self, root: Root, targets_version: int, keys: Keyring) -> None:
        """Write snapshot and timestamp for a version of targets: the moment at which it comes into force.

        Raises:
            TrustError: the online keys are not here.
        """
        signers = {role: keys.signers(role, root) for role in ("snapshot", "timestamp")}
        now = self._clock()
        current = self.timestamp(root)
        number = current.version + 1 if current else 1
        targets_data = (self._folder / f"{targets_version}.targets.json").read_bytes()
        meta = {"targets.json": MetaFile.from_data(targets_version, targets_data, ["sha256"])}
        data = _signed(Snapshot(number, expires=now + self._expiries.snapshot, meta=meta), signers["snapshot"])
        self._storage.write(self._folder / f"{number}.snapshot.json", data)
        timestamp = Timestamp(
            number,
            expires=now + self._expiries.timestamp,
            snapshot_meta=MetaFile.from_data(number, data, ["sha256"]),
        )
        self._storage.write(self._folder / "timestamp.json", _signed(timestamp, signers["timestamp"]))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody else write meanwhile. The lock dies with its process: a killed one locks nobody out."""
        descriptor = os.open(self._repository / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _numbered(self, meta: MetaFile, role: str) -> Metadata[SignedT]:
        try:
            data = (self._folder / f"{meta.version}.{role}.json").read_bytes()
            meta.verify_length_and_hashes(data)
        except (OSError, RepositoryError) as error:
            raise _not_trusted(role) from error
        return _parsed(data, role)


def _parsed(data: bytes, role: str) -> Metadata[SignedT]:
    try:
        metadata: Metadata[SignedT] = Metadata.from_bytes(data)
    except DeserializationError as error:
        raise _not_trusted(role) from error
    if metadata.signed.type != role:
        raise _not_trusted(role)
    return metadata


def _verify(root: Root, role: str, metadata: Metadata[SignedT]) -> None:
    try:
        root.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except RepositoryError as error:
        raise _not_trusted(role) from error


def _not_trusted(role: str) -> TrustError:
    return TrustError(
        f"the repository's {role} metadata does not verify",
        fix="Somebody or something changed the served folder: restore it from a copy before signing anything.",
    )


def _signed(signed: SignedT, signers: Sequence[CryptoSigner]) -> bytes:
    metadata = Metadata(signed)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes()
