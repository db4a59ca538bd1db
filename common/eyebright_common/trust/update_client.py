"""The update client core: from "is there anything new?" to a folder of verified files.

* The workflow and every check are python-tuf's (``tuf.ngclient``, client workflow of the TUF specification 5.3). This
  file gives it a place to keep its state, our names for what can go wrong, and releases instead of single files.
* Trust begins with the root metadata received at enrolment and follows signed rotations from there. Metadata seen
  once is kept, so nothing older is accepted afterwards, not even after a restart.
* A release is downloaded into a folder of its own beside the destination, file by file, each verified by its signed
  length and hash, and appears under its own name by one rename. An interrupted download keeps its verified files.
* Who downloads may leave files of a release out, having read its verified description, and may offer files that are at
  hand: what has the signed length and hash is copied, not fetched.
* Releases and teachers stand in roles of their own, to which the targets metadata delegates. Such a role is loaded when
  somebody asks for a name of its kind: a unit never fetches the list of teachers.
* Expiry is checked against this machine's clock, and against the moment at which the timestamp in force was signed:
  a clock that was set back cannot bring metadata to life that had ended before. A clock that is ahead can refuse a
  good update (never accept a forged one); nothing of that is kept, so the next try with a right clock succeeds.
* Not here: whether a release is good (golden cases, gate) and when it becomes active. That is the agent's.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable
from urllib.parse import quote

from tuf.api import exceptions as tuf_errors
from tuf.api.metadata import Metadata, Signed, TargetFile, Targets, Timestamp
from tuf.ngclient import FetcherInterface, Updater

from eyebright_common.durable import move_into_place, sync_file, sync_folder
from eyebright_common.errors import MetadataExpired, NotPublished, TargetRejected, TrustError, WireError
from eyebright_common.trust.folder_fetcher import METADATA_URL, TARGETS_URL
from eyebright_common.trust.releases import RELEASE_FILE, AvailableRelease, releases_among, target_name
from eyebright_common.trust.signing_time import signing_time

SignedT = TypeVar("SignedT", bound=Signed)


@runtime_checkable
class ResumingFetcher(Protocol):
    """A fetcher that keeps the beginning of a cut download."""

    def forget(self, target: str) -> None:
        """Drop what is kept of a target: it is complete, or it is not what was signed."""


class UpdateClient:
    """Finds and downloads releases of one repository.

    Args:
        folder: Where trusted metadata is kept between runs; one client at a time may use it.
        fetcher: The transport, e.g. ``GrpcFetcher`` or ``FolderFetcher``.
        bootstrap: The root metadata trusted from enrolment.
        metadata_dir: Where in particular; ``folder/metadata`` when left out.

    Raises:
        TrustError: the bootstrap root does not verify itself.
    """

    def __init__(
        self, folder: Path, fetcher: FetcherInterface, bootstrap: bytes, *, metadata_dir: Path | None = None
    ) -> None:
        self._metadata_dir = metadata_dir or folder / "metadata"
        self._metadata_dir.mkdir(parents=True, exist_ok=True)
        self._fetcher = fetcher
        self._bootstrap = bootstrap
        self._updater: Updater | None = None
        self._new_updater()  # a root that does not hold is reported here, not at the first poll

    def refresh(self) -> None:
        """Bring trusted metadata up to date; two small requests when there is nothing new.

        Raises:
            MetadataExpired: the newest metadata to be had is too old: the server is frozen, or the clock is wrong.
            TrustError: metadata is unsigned, rolled back or otherwise not to be trusted.
            WireError: the server could not be reached.
        """
        updater = self._new_updater()  # python-tuf refreshes once in an updater's life
        with _explained():
            updater.refresh()
        self._updater = None  # should the next line refuse, nothing of this refresh is offered
        for role in ("root", "snapshot", "targets"):
            self._require_alive(role)
        self._updater = updater

    def available(self, task: str) -> tuple[AvailableRelease, ...]:
        """Return the releases of ``task``, oldest first; refreshes when nothing was refreshed yet.

        Raises:
            EyebrightError: as ``refresh``.
        """
        releases = releases_among(self._trusted_targets("releases/"))
        return tuple(release for release in releases if release.task == task)

    def download_release(
        self,
        task: str,
        version: str,
        destination: Path,
        *,
        leave_out: Callable[[bytes], Collection[str]] = lambda described: (),
        at_hand: Path | None = None,
    ) -> Path:
        """Download and verify the files of a release into ``destination``, which appears complete or not at all.

        Args:
            task: Of the release.
            version: Of the release.
            destination: Where to; must not exist.
            leave_out: Given the verified bytes of ``release.json``, names the files that are not wanted.
            at_hand: A folder whose files of the same names may be taken over, if they are what was signed.

        Raises:
            NotPublished: the trusted metadata has no such release.
            TargetRejected: a file is not what was signed; nothing of it is kept.
            TrustError: ``destination`` exists already, or as ``refresh``.
            WireError: the connection failed; calling again resumes.
        """
        release = next((r for r in self.available(task) if r.version == version), None)
        if release is None:
            raise NotPublished("no such release", value=f"{task} {version}", fix="Ask for one that is available.")
        if destination.exists():
            raise TrustError("the destination of a download exists already", value=destination, fix="Choose another.")
        partial = destination.parent / f".{destination.name}.partial"
        partial.mkdir(parents=True, exist_ok=True)
        self._download(target_name(task, version, RELEASE_FILE), partial / RELEASE_FILE)
        unwanted = {*leave_out((partial / RELEASE_FILE).read_bytes())} - {RELEASE_FILE}
        wanted = tuple(file for file in release.files if file not in unwanted)
        for file in wanted:
            if at_hand is not None:
                _take_over(at_hand / file, partial / file)
            self._download(target_name(task, version, file), partial / file)
        _remove_strangers(partial, wanted)
        sync_folder(partial)
        move_into_place(partial, destination)
        return destination

    def download_target(self, name: str, path: Path) -> Path:
        """Download and verify a single target that is not part of a release.

        Raises:
            EyebrightError: as ``download_release``.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._download(name, path)
        sync_folder(path.parent)
        return path

    def names(self, prefix: str) -> tuple[str, ...]:
        """Return the signed names of targets that begin with ``prefix``, in order.

        Raises:
            EyebrightError: as ``refresh``.
        """
        return tuple(sorted(target.path for target in self._trusted_targets(prefix)))

    def _new_updater(self) -> Updater:
        with _explained():
            return Updater(
                str(self._metadata_dir),
                METADATA_URL,
                target_base_url=TARGETS_URL,
                fetcher=self._fetcher,
                bootstrap=self._bootstrap,
            )

    def _refreshed(self) -> Updater:
        if self._updater is None:
            self.refresh()
        assert self._updater is not None
        return self._updater

    def _trusted_targets(self, prefix: str) -> Iterator[TargetFile]:
        updater = self._refreshed()
        # ngclient has no public list of targets. The names come from the files it has just verified and kept; what is
        # trusted about each name is then asked of the updater, so a file changed in between can add nothing.
        names = set(self._kept_targets("targets").targets)
        for role, probe in self._roles_with(prefix):
            with _explained():
                updater.get_targetinfo(probe)  # loads and verifies the role, if need be
            self._require_alive(role)
            names |= set(self._kept_targets(role).targets)
        for name in sorted(name for name in names if name.startswith(prefix)):
            with _explained():
                target = updater.get_targetinfo(name)
            if target is not None:
                yield target

    def _roles_with(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield the delegated roles that may speak for names beginning with ``prefix``, each with a name of theirs."""
        delegations = self._kept_targets("targets").delegations
        for name, role in (delegations.roles or {}).items() if delegations else ():
            for pattern in role.paths or ():
                literal = pattern.partition("*")[0]
                if literal.startswith(prefix) or prefix.startswith(literal):
                    yield name, pattern.replace("*", "-")
                    break

    def _kept_targets(self, role: str) -> Targets:
        return self._kept(role, Targets)

    def _kept(self, role: str, kind: type[SignedT]) -> SignedT:
        with _explained():
            signed = Metadata.from_file(str(self._metadata_dir / f"{quote(role, safe='')}.json")).signed
        if not isinstance(signed, kind):
            raise TrustError("the kept metadata is of another kind", value=role, fix="Tell the operator.")
        return signed

    def _require_alive(self, role: str) -> None:
        vouched = signing_time(self._kept("timestamp", Timestamp))
        expires = self._kept(role, Signed).expires  # type: ignore[type-abstract]  # compared with, never made
        if vouched is not None and expires <= vouched:
            raise MetadataExpired(
                "the update metadata had expired before it was served",
                value=f"{role}, {expires:%Y-%m-%d %H:%M} UTC",
                fix="Check the clock of this machine; if it is right, tell the operator.",
            )

    def _download(self, name: str, path: Path) -> None:
        updater = self._refreshed()
        with _explained():
            target = updater.get_targetinfo(name)
        if target is None:
            raise NotPublished("no such target", value=name)
        if updater.find_cached_target(target, str(path)) is not None:
            return
        try:
            with _explained():
                updater.download_target(target, str(path))
        except TargetRejected:
            self._forget(target)
            raise
        sync_file(path)  # python-tuf wrote it, without waiting for the disk
        self._forget(target)

    def _forget(self, target: TargetFile) -> None:
        if isinstance(self._fetcher, ResumingFetcher):
            for fetched_as in target.get_prefixed_paths():
                self._fetcher.forget(fetched_as)


def _take_over(found: Path, path: Path) -> None:
    # A copy, which the check of the download then verifies: a link would let a failed download spoil what is kept.
    if not path.exists() and found.is_file() and not found.is_symlink():
        shutil.copyfile(found, path)


def _remove_strangers(folder: Path, wanted: tuple[str, ...]) -> None:
    # Left by a download of the same version under an older description; the release is exactly what was signed.
    for path in folder.iterdir():
        if path.name not in wanted:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def _explained() -> Iterator[None]:
    # Order matters: the special cases are subclasses of the general ones.
    try:
        yield
    except tuf_errors.ExpiredMetadataError as error:
        raise MetadataExpired(
            "the update metadata has expired",
            value=error,
            fix="Check the clock of this machine; if it is right, tell the operator.",
        ) from error
    except (tuf_errors.LengthOrHashMismatchError, tuf_errors.DownloadLengthMismatchError) as error:
        raise TargetRejected(
            "a file is not what was signed", value=error, fix="It was thrown away; try again."
        ) from error
    except tuf_errors.RepositoryError as error:
        raise TrustError(
            f"the update metadata cannot be trusted ({type(error).__name__})", value=error, fix="Tell the operator."
        ) from error
    except tuf_errors.DownloadError as error:
        if isinstance(error.__cause__, TrustError):
            raise error.__cause__ from error  # the server knows us and said no: the network is not what to check
        raise WireError(
            "an update could not be fetched", value=error, fix="Check the network; a cut download is resumed."
        ) from error
