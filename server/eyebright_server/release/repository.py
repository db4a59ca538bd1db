"""The signed repository that units pull from (TUF specification 1.0, written with python-tuf).

Served folder: ``metadata/N.root.json``, ``metadata/N.targets.json``, ``metadata/N.snapshot.json``,
``metadata/timestamp.json``, ``targets/releases/<task>/<version>/<sha256>.<file>`` (consistent snapshots, section 6.2).
Keys folder, never served: ``offline/`` (root: 3 keys, threshold 2; targets: 2 keys, threshold 2) and ``online/``
(snapshot, timestamp). Only publishing and rotation need ``offline/``; keep it off the serving machine.

* Whatever is written goes from the leaves to the trunk: files, targets, snapshot, and the timestamp last. Until that
  last rename a client sees the old state, after it the new one.
* What a release folder becomes in here, and which versions may follow which, stands in ``release_targets``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypedDict, Unpack

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Root, TargetFile, Targets

from eyebright_common.errors import ReleaseError, TrustError
from eyebright_common.trust import AvailableRelease, Keyring, releases_among
from eyebright_server.release.release_targets import ReleaseTargets
from eyebright_server.release.signed_metadata import DurableStorage, Expiries, MetadataFolder, Storage

OFFLINE_KEYS = {"root": 3, "targets": 2}
ONLINE_KEYS = {"snapshot": 1, "timestamp": 1}
THRESHOLDS = {"root": 2, "targets": 2, "snapshot": 1, "timestamp": 1}


def utc_now() -> datetime:
    """Return the present time as metadata writes it: UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


class RepositoryOptions(TypedDict, total=False):
    """What can be chosen when a repository is made or opened; ``ReleaseRepository`` says what each is."""

    expiries: Expiries | None
    passphrase: bytes | None
    clock: Callable[[], datetime]
    storage: Storage | None


class ReleaseRepository:
    """The repository of one network; ``create`` makes one, ``open`` verifies and opens one.

    Args:
        folder: What is served.
        keys_folder: Where the private keys lie; outside ``folder``.
        expiries: How long each role's metadata holds.
        passphrase: Of the offline keys, if they are encrypted.
        clock: The present time, UTC.
        storage: How to write.
    """

    def __init__(
        self,
        folder: Path,
        keys_folder: Path,
        *,
        expiries: Expiries | None = None,
        passphrase: bytes | None = None,
        clock: Callable[[], datetime] = utc_now,
        storage: Storage | None = None,
    ) -> None:
        self.folder = folder
        self._targets = folder / "targets"
        self._offline = Keyring(keys_folder / "offline", passphrase=passphrase)
        self._online = Keyring(keys_folder / "online")
        self._clock = clock
        self._storage = storage or DurableStorage()
        self._metadata = MetadataFolder(folder, storage=self._storage, clock=clock, expiries=expiries or Expiries())

    @classmethod
    def create(cls, folder: Path, keys_folder: Path, **how: Unpack[RepositoryOptions]) -> ReleaseRepository:
        """Make the keys and an empty signed repository.

        Raises:
            TrustError: there is a repository already, or the keys would lie in the served folder.
        """
        if keys_folder.resolve().is_relative_to(folder.resolve()):
            raise TrustError("private keys must not lie in the served folder", value=keys_folder, fix="Move them out.")
        if (folder / "metadata" / "1.root.json").exists():
            raise TrustError("there is a repository already", value=folder, fix="Open it, or choose another folder.")
        for part in ("metadata", "targets"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        repository = cls(folder, keys_folder, **how)
        with repository._metadata.locked():
            repository._write_first()
        return repository

    @classmethod
    def open(cls, folder: Path, keys_folder: Path, **how: Unpack[RepositoryOptions]) -> ReleaseRepository:
        """Open an existing repository and verify what is in it.

        Raises:
            TrustError: there is none, or its metadata does not verify.
        """
        repository = cls(folder, keys_folder, **how)
        repository.releases()
        return repository

    @property
    def root_metadata(self) -> bytes:
        """The newest root metadata, with which a new participant begins.

        Raises:
            TrustError: there is none.
        """
        return self._metadata.root_bytes()

    def releases(self) -> tuple[AvailableRelease, ...]:
        """Return what is published, by task, oldest first.

        Raises:
            TrustError: the metadata does not verify.
        """
        return releases_among(self._metadata.targets(self._metadata.root()).targets.values())

    def publish(self, release_dir: Path, *, task: str | None = None, version: str | None = None) -> AvailableRelease:
        """Sign and publish every file of a release; doing it again with the same bytes changes nothing.

        Args:
            release_dir: A folder of plain files with ``release.json`` among them.
            task: What ``release.json`` must say; taken from it when left out.
            version: Likewise.

        Raises:
            ReleaseError: the folder is no release, or its version is published with other bytes or too low.
            TrustError: the offline keys are not here, or the metadata does not verify.
        """
        made = ReleaseTargets.of(release_dir, task=task, version=version)
        with self._metadata.locked():
            root = self._metadata.root()
            targets = self._metadata.targets(root)
            if not made.are_among(targets.targets):
                self._add(root, targets, made.targets, made.sources)
        return made.release

    def add_target(self, path: Path, name: str) -> None:
        """Sign and publish a single file that is not part of a release, e.g. a teacher.

        Raises:
            ReleaseError: the name cannot be a target's, or stands for other bytes already.
            TrustError: as ``publish``.
        """
        parts = name.split("/")
        if parts[0] == "releases" or any(part in {"", ".", ".."} for part in parts) or not name.isascii():
            raise ReleaseError("this cannot be the name of a target", value=name, fix="Use plain names and '/'.")
        new = TargetFile.from_file(name, str(path), ["sha256"])
        with self._metadata.locked():
            root = self._metadata.root()
            targets = self._metadata.targets(root)
            known = targets.targets.get(name)
            if known is None:
                self._add(root, targets, {name: new}, {name: path})
            elif known.hashes != new.hashes:
                raise ReleaseError("a target of this name has other bytes", value=name, fix="Use another name.")

    def renew_online(self, *, unless_valid_for: timedelta | None = None) -> bool:
        """Sign snapshot and timestamp afresh, without any offline key; return whether that was done.

        Args:
            unless_valid_for: Do nothing while the timestamp holds at least this much longer.

        Raises:
            TrustError: the online keys are not here, or the metadata does not verify.
        """
        with self._metadata.locked():
            root = self._metadata.root()
            timestamp = self._metadata.timestamp(root)
            if unless_valid_for is not None and timestamp and timestamp.expires - self._clock() > unless_valid_for:
                return False
            self._metadata.write_online(root, self._metadata.targets(root).version, self._online)
            return True

    def renew_targets(self) -> None:
        """Sign the targets metadata afresh with the offline keys, before its 90 days are over.

        Raises:
            TrustError: the offline keys are not here, or the metadata does not verify.
        """
        with self._metadata.locked():
            root = self._metadata.root()
            self._add(root, self._metadata.targets(root), {}, {})

    def rotate_root_key(self, keyid: str | None = None) -> int:
        """Replace one root key by a fresh one; return the version of the new root metadata.

        The new root is signed by the old keys and the new (specification 5.3.4), so clients follow by themselves.

        Args:
            keyid: The key to retire; the first when left out.

        Raises:
            TrustError: no such root key, or too few root keys are here.
        """
        with self._metadata.locked():
            root = self._metadata.root()
            targets_version = self._metadata.targets(root).version
            retired = keyid or root.roles["root"].keyids[0]
            if retired not in root.roles["root"].keyids:
                raise TrustError("this is not a root key", value=retired)
            old = self._offline.signers("root", root)
            root.add_key(self._offline.new_key("root"), "root")
            root.revoke_key(retired, "root")
            root.version += 1
            self._metadata.write_root(root, [*old, *self._offline.signers("root", root)])
            # Only now: a power cut before this line leaves an unused key file, never a root nobody can sign.
            self._offline.drop_key("root", retired)
            self._metadata.write_online(root, targets_version, self._online)
            return root.version

    def _write_first(self) -> None:
        root = Root(consistent_snapshot=True)
        for ring, counts in ((self._offline, OFFLINE_KEYS), (self._online, ONLINE_KEYS)):
            for role, count in counts.items():
                for _ in range(count):
                    root.add_key(ring.new_key(role), role)
                root.roles[role].threshold = THRESHOLDS[role]
        self._metadata.write_root(root, self._offline.signers("root", root))
        self._metadata.write_targets(Targets(), self._offline.signers("targets", root))
        self._metadata.write_online(root, 1, self._online)

    def _add(self, root: Root, targets: Targets, new: dict[str, TargetFile], sources: dict[str, Path]) -> None:
        signers = self._offline.signers("targets", root)  # before anything is copied: refuse early
        for name, target in new.items():
            self._copy_in(target, sources[name])
        targets.targets.update(new)
        targets.version += 1
        self._metadata.write_targets(targets, signers)
        self._metadata.write_online(root, targets.version, self._online)

    def _copy_in(self, target: TargetFile, source: Path) -> None:
        path = self._targets / target.get_prefixed_paths()[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        self._storage.copy(source, path)
        try:
            with path.open("rb") as copied:
                target.verify_length_and_hashes(copied)
        except RepositoryError as error:
            raise ReleaseError("a file changed while it was published", value=source, fix="Publish again.") from error
