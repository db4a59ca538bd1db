"""The signed repository as a folder for a static web server or a USB stick.

* What is copied is what a unit may ask for: metadata by the specification's names, targets by their digests. No key,
  no record, no lock file, no link.
* Targets first, then metadata, the timestamp last: a stick pulled out half-way holds the old state or none.
* What is there already is read and compared, not written again: a stick is brought up to date by what is new.
* The online roles are signed afresh before, so that the copy holds as long as it can.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from eyebright_common.durable import sync_folder, write_bytes
from eyebright_common.errors import InputError, TrustError
from eyebright_server.release.repository import ReleaseRepository

_METADATA = re.compile(r"timestamp\.json|[1-9][0-9]{0,9}\.[a-z]+\.json")
_TARGET = re.compile(r"[0-9a-f]{64}\.[^/]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What a folder holds now.

    Attributes:
        files: How many.
        size_bytes: All of them together.
        written: How many were not there before, or not so.
    """

    files: int
    size_bytes: int
    written: int


def export_repository(repository: ReleaseRepository, to: Path) -> Exported:
    """Copy what is served into ``to``, and what is there already not again.

    Raises:
        InputError: the folder holds something else, or cannot be written: it is full, or may not be.
        TrustError: the repository does not verify, or a link lies in it.
    """
    try:
        return _exported(repository, to)
    except OSError as error:
        found = f"{error.filename or to} ({error.strerror})"
        raise InputError("the repository cannot be exported", value=found, fix="Name a folder with room.") from error


def _exported(repository: ReleaseRepository, to: Path) -> Exported:
    _check(to)
    repository.releases()  # verifies
    repository.renew_online()
    targets = _files(repository.folder / "targets", _TARGET)
    metadata = _files(repository.folder / "metadata", _METADATA)
    metadata.sort(key=lambda path: (path.name == "timestamp.json", path.name))
    size = written = 0
    for path in (*targets, *metadata):
        content = path.read_bytes()
        size += len(content)
        copy = to / path.relative_to(repository.folder)
        if not copy.is_file() or copy.read_bytes() != content:
            write_bytes(copy, content)
            written += 1
    sync_folder(to)
    return Exported(files=len(targets) + len(metadata), size_bytes=size, written=written)


def _check(to: Path) -> None:
    if to.exists() and any(entry.name not in ("metadata", "targets") or entry.is_symlink() for entry in to.iterdir()):
        raise InputError("this folder holds something else", value=to, fix="Name a new folder.")


def _files(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise TrustError("a link lies in the repository", value=path, fix="Find out who put it there.")
        if path.is_file() and pattern.fullmatch(path.name):
            found.append(path)
    return found
