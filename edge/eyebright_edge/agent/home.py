"""The unit's home folder: where everything a unit owns lies, and which release serves.

::

    home/
    ├── unit.json          what this unit screens for, and how careful it is with new releases
    ├── identity/          its key, its certificate, the operator's authority
    ├── metadata/          trusted TUF metadata
    ├── downloads/VERSION/ a release on its way in; incomplete files are resumed
    ├── releases/VERSION/  releases that this machine has proven: the one that serves, the one before, one on trial
    ├── active             the version that serves, one line
    ├── receipt.json       what was committed, since when, and how it was proven; signed, and kept twice
    ├── news.json          the newest signing time this unit has verified, and until when that news holds; kept twice
    ├── update.json        where the update machine stands
    ├── progress.json      how far a long work has come, for people; not durable
    ├── agent.json         when the agent looks next, and how often it failed in a row
    ├── visits.jsonl       the visits; what the kiosk wrote of a patient is sealed
    ├── vault/             the kiosk's pictures, encrypted, and the seals that open them
    ├── shadow.jsonl       how often a release that runs unseen agreed; counts and words, no patient
    ├── visiting           held, shared, by every visit in progress
    └── lock               held by whoever changes the releases

* ``active`` is replaced by an atomic rename: a reader sees the old version or the new one, never neither.
* Only a proven, complete release is ever named by ``active``; ``serving`` verifies it against the signed receipt all
  the same and falls back to the other kept release when the disk has lost something, saying so. A unit can always
  screen.
* Patients' records lie here, so the folder is readable by its owner alone.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from eyebright_common.durable import sync_folder, write_bytes
from eyebright_common.errors import EyebrightError, InputError
from eyebright_common.release import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The release that answers now.

    Attributes:
        folder: Where it lies.
        release: Its description, verified.
        notice: What a person must know, empty when all is well.
    """

    folder: Path
    release: Release
    notice: str = ""


@dataclass(frozen=True, slots=True)
class UnitHome:
    """Paths and switches of one unit's home folder."""

    root: Path

    @property
    def settings_file(self) -> Path:
        """Who this unit is."""
        return self.root / "unit.json"

    @property
    def identity(self) -> Path:
        """Key and certificates."""
        return self.root / "identity"

    @property
    def metadata(self) -> Path:
        """Trusted TUF metadata."""
        return self.root / "metadata"

    @property
    def downloads(self) -> Path:
        """Releases on their way in."""
        return self.root / "downloads"

    @property
    def releases(self) -> Path:
        """Releases that this machine has proven."""
        return self.root / "releases"

    @property
    def active_file(self) -> Path:
        """The version that serves."""
        return self.root / "active"

    @property
    def receipt_file(self) -> Path:
        """What was committed."""
        return self.root / "receipt.json"

    @property
    def update_file(self) -> Path:
        """Where the update machine stands."""
        return self.root / "update.json"

    @property
    def news_file(self) -> Path:
        """What the operator's metadata said last."""
        return self.root / "news.json"

    @property
    def progress_file(self) -> Path:
        """How far a long work has come."""
        return self.root / "progress.json"

    @property
    def agent_file(self) -> Path:
        """When the agent looks next."""
        return self.root / "agent.json"

    @property
    def shadow_file(self) -> Path:
        """How a release that runs unseen did."""
        return self.root / "shadow.jsonl"

    @property
    def visits_file(self) -> Path:
        """The visits."""
        return self.root / "visits.jsonl"

    def create(self) -> None:
        """Make the folder; an existing one is kept as it is.

        Raises:
            InputError: it cannot be made there.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            found = f"{self.root} ({error.strerror})"
            raise InputError("a unit's home cannot be made here", value=found, fix="Name another folder.") from error

    def require(self) -> None:
        """Do nothing when the folder exists.

        Raises:
            InputError: it does not.
        """
        if not self.root.is_dir():
            fix = "Name the folder given to `eyebright edge enrol … --home`."
            raise InputError("there is no unit's home here", value=self.root, fix=fix)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the right to change the releases; the kernel gives it back when the process dies.

        Raises:
            InputError: this user may not change anything here.
            EyebrightError: another process holds it.
        """
        try:
            file = (self.root / "lock").open("wb")
        except OSError as error:
            found = f"{self.root} ({error.strerror})"
            raise InputError("the unit's home cannot be changed", value=found, fix="Run as its owner.") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise EyebrightError(
                    "another update of this unit is running", value=self.root, fix="Wait until it has ended."
                ) from error
            yield

    def release_folder(self, version: str) -> Path:
        """Return where a proven release lies."""
        return self.releases / version

    def active_version(self) -> str | None:
        """Return the version that serves, None when there is none or the note of it is damaged."""
        try:
            noted = self.active_file.read_bytes().strip()
        except OSError:
            return None
        return noted.decode("ascii") if noted.isdigit() else None

    def activate(self, version: str | None) -> None:
        """Let a kept release serve from now on; None lets none serve."""
        if version is not None:
            write_bytes(self.active_file, f"{version}\n".encode("ascii"))
            return
        self.active_file.unlink(missing_ok=True)
        sync_folder(self.root)

    def kept(self) -> tuple[str, ...]:
        """Return the versions of the kept releases, newest first."""
        if not self.releases.is_dir():
            return ()
        return tuple(sorted((f.name for f in self.releases.iterdir() if f.name.isdigit()), key=int, reverse=True))

    def keep_only(self, *versions: str | None) -> None:
        """Delete every kept release but these, and whatever else lies among the releases."""
        if not self.releases.is_dir():
            return
        for folder in self.releases.iterdir():
            if folder.name not in versions:
                shutil.rmtree(folder)
        sync_folder(self.releases)

    @contextmanager
    def visiting(self) -> Iterator[None]:
        """Keep the release that serves from being switched while a visit is held; visits do not hinder each other.

        The kernel gives it back when the process dies. On a disk that cannot be written nothing can be switched, so
        there is nothing to hold.
        """
        try:
            file = (self.root / "visiting").open("ab")
        except OSError:
            yield
            return
        with file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    @contextmanager
    def undisturbed(self) -> Iterator[bool]:
        """Say whether no visit is in progress; while it is so, a visit that begins waits for the end of this block."""
        with (self.root / "visiting").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def serving(self) -> Serving:
        """Return the release that answers now, verified against the signed receipt; needs no network.

        Raises:
            InputError: no usable release has been installed.
        """
        from eyebright_edge.agent.start import serving_release  # it reads the receipt, which lies in this home

        return serving_release(self)

    def drop_downloads(self) -> None:
        """Delete whatever is on its way in."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self.downloads)
