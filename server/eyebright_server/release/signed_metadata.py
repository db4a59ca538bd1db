"""The signed metadata files of a repository: reading them with suspicion, writing them from the leaves to the trunk.

* Everything read is verified against the root before anybody builds on it: a targets file that somebody changed in the
  served folder would otherwise get the offline signatures with the next release.
* What is in force is what the timestamp leads to, not the highest number in the folder: a killed publication leaves
  numbers that nothing refers to, and the next one overwrites them.
* Snapshot and timestamp are always written together and share one count of versions.
* The targets metadata lists nothing that units or hospitals fetch: it delegates to the roles that do (``DELEGATED``).
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, TypeVar

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from eyebright_common.durable import replacing, write_bytes
from eyebright_common.errors import TrustError
from eyebright_common.trust import set_signing_time

SignedT = TypeVar("SignedT", Root, Targets, Snapshot, Timestamp)
# Who speaks for which names: units fetch students, hospitals teachers. Nobody else is asked about these names.
DELEGATED = {"students": ("releases/*/*/*", "rollouts/*/*"), "teachers": ("teachers/*",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiries:
    """How long the metadata of each role may be trusted; a role that is signed by hand lasts longer.

    Attributes:
        root: Offline, rotated by hand.
        targets: Offline, signed when the keys of students or teachers change.
        delegated: Students and teachers: offline, signed with every release or teacher.
        snapshot: Online, renewed by the server.
        timestamp: Online; how long a unit can be kept from hearing of a newer release without noticing.
    """

    root: timedelta = timedelta(days=365)
    targets: timedelta = timedelta(days=365)
    delegated: timedelta = timedelta(days=90)
    snapshot: timedelta = timedelta(days=7)
    timestamp: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """Everything that is in force, verified; a starting point for what comes next.

    Attributes:
        root: The newest root.
        targets: The top of the targets.
        delegated: What it delegates to, by role.
        timestamp: The timestamp; None before the first.
        snapshot: The snapshot; None before the first.
    """

    root: Root
    targets: Targets
    delegated: dict[str, Targets] = field(default_factory=dict)
    timestamp: Timestamp | None = None
    snapshot: Snapshot | None = None

    def of(self, role: str) -> Targets:
        """Return the targets metadata of ``role``."""
        return self.targets if role == "targets" else self.delegated[role]

    @property
    def versions(self) -> dict[str, int]:
        """The version of every targets metadata, by role."""
        return {"targets": self.targets.version, **{role: made.version for role, made in self.delegated.items()}}

    @property
    def all_targets(self) -> dict[str, TargetFile]:
        """Every target, by name."""
        return {name: each for made in (self.targets, *self.delegated.values()) for name, each in made.targets.items()}

    @property
    def expiries(self) -> dict[str, datetime]:
        """When each role's metadata ends, the one that is nearest first."""
        signed = {"root": self.root, "targets": self.targets, **self.delegated}
        signed |= {"snapshot": self.snapshot} if self.snapshot else {}
        signed |= {"timestamp": self.timestamp} if self.timestamp else {}
        return dict(sorted(((role, each.expires) for role, each in signed.items()), key=lambda pair: pair[1]))


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

    def in_force(self) -> InForce:
        """Return everything that is in force.

        Raises:
            TrustError: a part of it does not verify, or the way to it is broken.
        """
        root = self.root()
        timestamp = self.timestamp(root)
        if timestamp is None:
            raise TrustError("the repository is incomplete", value=self._repository, fix="Create it anew elsewhere.")
        snapshot: Metadata[Snapshot] = self._numbered(timestamp.snapshot_meta, "snapshot")
        _verify(root, "snapshot", snapshot)
        targets: Metadata[Targets] = self._numbered(snapshot.signed.meta["targets.json"], "targets")
        _verify(root, "targets", targets)
        delegated = {role: self._delegated(snapshot.signed, targets.signed, role) for role in DELEGATED}
        return InForce(
            root=root, targets=targets.signed, delegated=delegated, timestamp=timestamp, snapshot=snapshot.signed
        )

    def write_root(self, root: Root, signers: Sequence[CryptoSigner]) -> None:
        """Write a version of the root metadata with all the signatures given."""
        root.expires = self._clock() + self._expiries.root
        self._storage.write(self._folder / f"{root.version}.root.json", _signed(root, signers))

    def write_targets(self, role: str, targets: Targets, signers: Sequence[CryptoSigner]) -> None:
        """Write a version of the targets metadata of ``role``; it is in force only after ``write_online``."""
        lasts = self._expiries.targets if role == "targets" else self._expiries.delegated
        targets.expires = self._clock() + lasts
        self._storage.write(self._folder / f"{targets.version}.{role}.json", _signed(targets, signers))

    def write_online(
        self,
        versions: Mapping[str, int],
        signers: Mapping[str, Sequence[CryptoSigner]],
        *,
        current: Timestamp | None,
    ) -> None:
        """Write snapshot and timestamp: the moment at which all that was written before comes into force.

        Args:
            versions: Of every targets metadata, by role.
            signers: Of ``snapshot`` and ``timestamp``.
            current: The timestamp in force until now.
        """
        now = self._clock()
        number = current.version + 1 if current else 1
        meta = {}
        for role, version in versions.items():
            data = (self._folder / f"{version}.{role}.json").read_bytes()
            meta[f"{role}.json"] = MetaFile.from_data(version, data, ["sha256"])
        data = _signed(Snapshot(number, expires=now + self._expiries.snapshot, meta=meta), signers["snapshot"])
        self._storage.write(self._folder / f"{number}.snapshot.json", data)
        timestamp = Timestamp(
            number,
            expires=now + self._expiries.timestamp,
            snapshot_meta=MetaFile.from_data(number, data, ["sha256"]),
        )
        set_signing_time(timestamp, now)
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

    def _delegated(self, snapshot: Snapshot, targets: Targets, role: str) -> Targets:
        meta = snapshot.meta.get(f"{role}.json")
        if meta is None or targets.delegations is None or role not in (targets.delegations.roles or {}):
            raise TrustError(
                f"the repository does not delegate to {role}",
                value=self._repository,
                fix="It was made by an older Eyebright: make a new one.",
            )
        metadata: Metadata[Targets] = self._numbered(meta, role)
        _verify(targets, role, metadata)
        return metadata.signed

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
    if metadata.signed.type != ("targets" if role in DELEGATED else role):
        raise _not_trusted(role)
    return metadata


def _verify(delegator: Root | Targets, role: str, metadata: Metadata[SignedT]) -> None:
    try:
        delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
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
