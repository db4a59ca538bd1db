"""The signed repository that units pull from (TUF specification 1.0, written with python-tuf).

Served folder: ``metadata/N.root.json``, ``metadata/N.targets.json``, ``metadata/N.students.json``,
``metadata/N.teachers.json``, ``metadata/N.snapshot.json``, ``metadata/timestamp.json``,
``targets/releases/<task>/<version>/<sha256>.<file>`` (consistent snapshots, section 6.2).
Keys folder, never served: ``offline/`` (root: 3 keys, threshold 2; targets, students, teachers: 2 keys each, threshold
2) and ``online/`` (snapshot, timestamp). Publishing needs the keys of students or of teachers; targets and root are for
the day on which a key is replaced (``key_rotation``).

* Whatever is written goes from the leaves to the trunk: files, students, targets, snapshot, and the timestamp last.
  Until that last rename a client sees the old state, after it the new one.
* What a release folder becomes in here, and which versions may follow which, stands in ``release_targets``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypedDict, Unpack

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import TargetFile, Targets

from eyebright_common.errors import ReleaseError, TrustError
from eyebright_common.trust import (
    BUNDLE_FILE,
    AvailableRelease,
    Keyring,
    Locations,
    ModelSigner,
    releases_among,
)
from eyebright_server.release.key_keeping import KeyKeeping
from eyebright_server.release.release_targets import ReleaseTargets, checked_target
from eyebright_server.release.role_keys import OFFLINE_KEYS, RoleKeys
from eyebright_server.release.signed_metadata import (
    DELEGATED,
    DurableStorage,
    Expiries,
    InForce,
    MetadataFolder,
    Storage,
)

WARN_WITHIN = timedelta(days=14)


def utc_now() -> datetime:
    """Return the present time as metadata writes it: UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


class RepositoryOptions(TypedDict, total=False):
    """What can be chosen when a repository is made or opened; ``ReleaseRepository`` says what each is."""

    expiries: Expiries | None
    passphrase: bytes | None
    clock: Callable[[], datetime]
    storage: Storage | None


class ReleaseRepository(KeyKeeping):
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
        self._locations = keys_folder / "locations.json"
        elsewhere = Locations.read(self._locations).keys
        offline = Keyring(keys_folder / "offline", passphrase=passphrase, locations=elsewhere)
        self._keys = RoleKeys(offline=offline, online=Keyring(keys_folder / "online", locations=elsewhere))
        self._models = ModelSigner(keys_folder / "offline", passphrase=passphrase)
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
        return releases_among(self._metadata.in_force().of("students").targets.values())

    def publish(self, release_dir: Path, *, task: str | None = None, version: str | None = None) -> AvailableRelease:
        """Sign and publish every file of a release; doing it again with the same bytes changes nothing.

        Beside the files stands their model-signing bundle, for tools that know nothing of this network.

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
            now = self._metadata.in_force()
            if not made.are_among(now.of("students").targets):
                self._keys.signers("students", now)  # before anything is made: refuse early
                with TemporaryDirectory() as place:
                    bundle = Path(place) / BUNDLE_FILE
                    bundle.write_bytes(self._models.sign(made.sources.values(), name=made.folder_name))
                    with_bundle = made.with_bundle(bundle)
                    self._add("students", now, with_bundle.targets, with_bundle.sources)
        return made.release

    def add_target(self, path: Path, name: str) -> None:
        """Sign and publish a single file that is not part of a release, e.g. a teacher.

        Raises:
            ReleaseError: the name cannot be a target's, or stands for other bytes already.
            TrustError: as ``publish``.
        """
        self.add_targets({name: path})

    def add_targets(self, files: Mapping[str, Path]) -> None:
        """Sign and publish files that belong together, by target name; all of them under the role of the first.

        Raises:
            EyebrightError: as ``add_target``.
        """
        new = {checked_target(name): TargetFile.from_file(name, str(path), ["sha256"]) for name, path in files.items()}
        with self._metadata.locked():
            now = self._metadata.in_force()
            known = now.all_targets
            for name, target in new.items():
                if name in known and known[name].hashes != target.hashes:
                    raise ReleaseError("a target of this name has other bytes", value=name, fix="Use another name.")
            if not new.keys() <= known.keys():
                self._add(_role_for(next(iter(new)), now.targets), now, new, dict(files))

    def remove_targets(self, names: Collection[str]) -> None:
        """Publish no longer what ``add_targets`` published; nobody who follows the metadata fetches it from then on.

        Raises:
            ReleaseError: a name is no such target's, or none of them is published.
            TrustError: as ``publish``.
        """
        gone = {checked_target(name) for name in names}
        with self._metadata.locked():
            now = self._metadata.in_force()
            roles = [role for role in now.versions if gone & now.of(role).targets.keys()]
            if not roles:
                raise ReleaseError("no such target is published", value=", ".join(sorted(gone)), fix="List them first.")
            signers = {role: self._keys.signers(role, now) for role in roles}
            for role, by in signers.items():
                targets = now.of(role)
                targets.targets = {name: each for name, each in targets.targets.items() if name not in gone}
                targets.version += 1
                self._metadata.write_targets(role, targets, by)
            self._bring_into_force(now)

    def targets(self) -> Mapping[str, TargetFile]:
        """Return every target that is published, by name.

        Raises:
            TrustError: the metadata does not verify.
        """
        return self._metadata.in_force().all_targets

    def target_file(self, name: str) -> Path:
        """Return where the bytes of a published target lie, having compared their length and digest.

        Raises:
            ReleaseError: there is no such target, or its bytes are not those that were signed.
        """
        target = self.targets().get(name)
        if target is None:
            raise ReleaseError("no such target is published", value=name, fix="List them first.")
        path = self._targets / target.get_prefixed_paths()[0]
        try:
            with path.open("rb") as file:
                target.verify_length_and_hashes(file)
        except (OSError, RepositoryError) as error:
            raise ReleaseError("a published file is not what was signed", value=path, fix="Restore it.") from error
        return path

    def renew_online(self, *, unless_valid_for: timedelta | None = None) -> bool:
        """Sign snapshot and timestamp afresh, without any offline key; return whether that was done.

        Args:
            unless_valid_for: Do nothing while the timestamp holds at least this much longer.

        Raises:
            TrustError: the online keys are not here, or the metadata does not verify.
        """
        with self._metadata.locked():
            now = self._metadata.in_force()
            ends = now.timestamp.expires if now.timestamp else None
            if unless_valid_for is not None and ends and ends - self._clock() > unless_valid_for:
                return False
            self._bring_into_force(now)
            return True

    def renew_targets(self) -> None:
        """Sign targets, students and teachers afresh with the offline keys, before their days are over.

        Raises:
            TrustError: the offline keys are not here, or the metadata does not verify.
        """
        with self._metadata.locked():
            now = self._metadata.in_force()
            signers = {role: self._keys.signers(role, now) for role in now.versions}
            for role, by in signers.items():
                now.of(role).version += 1
                self._metadata.write_targets(role, now.of(role), by)
            self._bring_into_force(now)

    def renew_root(self) -> int:
        """Sign the root metadata afresh with the root keys, before its 365 days are over; return its version.

        Raises:
            TrustError: too few root keys are here, or the metadata does not verify.
        """
        with self._metadata.locked():
            now = self._metadata.in_force()
            signers = self._keys.signers("root", now)
            now.root.version += 1
            self._metadata.write_root(now.root, signers)
            return now.root.version

    def expiries(self) -> dict[str, datetime]:
        """Return when the metadata of each role ends, the nearest first.

        Raises:
            TrustError: the metadata does not verify.
        """
        return self._metadata.in_force().expiries

    def ending_soon(self, *, within: timedelta = WARN_WITHIN) -> dict[str, datetime]:
        """Return which metadata that only a person can renew ends soon, and when.

        Raises:
            TrustError: the metadata does not verify.
        """
        latest = self._clock() + within
        return {role: end for role, end in self.expiries().items() if role in OFFLINE_KEYS and end <= latest}

    def _write_first(self) -> None:
        self._models.create()
        now = self._keys.made()
        self._metadata.write_root(now.root, self._keys.signers("root", now))
        for role in now.versions:
            self._metadata.write_targets(role, now.of(role), self._keys.signers(role, now))
        self._bring_into_force(now)

    def _add(self, role: str, now: InForce, new: dict[str, TargetFile], sources: dict[str, Path]) -> None:
        signers = self._keys.signers(role, now)  # before anything is copied: refuse early
        for name, target in new.items():
            self._copy_in(target, sources[name])
        targets = now.of(role)
        targets.targets.update(new)
        targets.version += 1
        self._metadata.write_targets(role, targets, signers)
        self._bring_into_force(now)

    def _bring_into_force(self, now: InForce) -> None:
        self._metadata.write_online(now.versions, self._keys.online_signers(now), current=now.timestamp)

    def _copy_in(self, target: TargetFile, source: Path) -> None:
        path = self._targets / target.get_prefixed_paths()[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        self._storage.copy(source, path)
        try:
            with path.open("rb") as copied:
                target.verify_length_and_hashes(copied)
        except RepositoryError as error:
            raise ReleaseError("a file changed while it was published", value=source, fix="Publish again.") from error


def _role_for(name: str, targets: Targets) -> str:
    """Return the role that may speak for ``name``: the targets themselves when it is nobody else's."""
    roles = (targets.delegations.roles or {}) if targets.delegations else {}
    return next((role for role in DELEGATED if roles[role].is_delegated_path(name)), "targets")
