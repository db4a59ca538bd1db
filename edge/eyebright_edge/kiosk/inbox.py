"""The folder that the camera saves into, and the pictures in it that wait for a person's word.

* A picture is offered once it has stopped growing: the same size on two looks, a second apart at least.
* It never goes to a patient by itself. A person says "use it", because the folder may hold the picture of the patient
  before; one that is older than the visit, or named for the other eye, is offered with a warning.
* A used picture is deleted here after the desk has it on disk and in the journal; ``aside`` keeps what is nobody's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eyebright_common.errors import InputError
from eyebright_common.imaging import IMAGE_SUFFIXES
from eyebright_edge.records.destruction import destroy

ASIDE = "aside"
SETTLED_AFTER_S = 1.0
LARGEST_BYTES = 96 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingPicture:
    """A picture in the folder.

    Attributes:
        key: Names it in an address; nothing of the file's name is in it.
        name: The file's name, as far as it can be written: a camera's card may hold names of another alphabet.
        saved_at: When it was last written, seconds since 1970.
    """

    key: str
    name: str
    saved_at: float


class Inbox:
    """Watches one folder.

    Args:
        folder: The folder; looked for anew each time, it may be on a camera's card.
        now: The time, seconds since 1970.
    """

    def __init__(self, folder: Path, *, now: Callable[[], float]) -> None:
        self.folder = folder
        self._now = now
        self._seen: dict[str, tuple[int, float]] = {}

    def waiting(self) -> tuple[WaitingPicture, ...]:
        """Return the pictures that have arrived whole, newest first."""
        now, seen, whole = self._now(), {}, []
        for path in self._files():
            try:
                state = path.stat()
            except OSError:
                continue
            size, since = self._seen.get(path.name, (-1, now))
            since = since if size == state.st_size else now
            seen[path.name] = (state.st_size, since)
            if state.st_size and now - since >= SETTLED_AFTER_S:
                whole.append(WaitingPicture(key=_key(path.name), name=_shown(path.name), saved_at=state.st_mtime))
        self._seen = seen
        return tuple(sorted(whole, key=lambda one: (-one.saved_at, one.name)))

    def read(self, key: str) -> tuple[str, bytes]:
        """Return the name and the bytes of a picture.

        Raises:
            InputError: it is gone, or too large for a picture.
        """
        path = self._path(key)
        try:
            if path.stat().st_size > LARGEST_BYTES:
                raise InputError("this file is too large for a picture", value=_shown(path.name), fix="Put it aside.")
            return _shown(path.name), path.read_bytes()
        except OSError as error:
            raise _gone(path.name) from error

    def drop(self, key: str) -> None:
        """Destroy a picture that the desk has taken, so that it lies encrypted only; one on a read-only card stays."""
        try:
            destroy(self._path(key))
        except (OSError, InputError):
            return

    def put_aside(self, key: str) -> None:
        """Move a picture that belongs to nobody here out of the way.

        Raises:
            InputError: it is gone, or the folder cannot be written.
        """
        path = self._path(key)
        try:
            (self.folder / ASIDE).mkdir(mode=0o700, exist_ok=True)
            path.replace(self.folder / ASIDE / path.name)
        except OSError as error:
            raise _gone(path.name) from error

    def _files(self) -> list[Path]:
        try:
            found = [path for path in self.folder.iterdir() if path.is_file() and not path.name.startswith(".")]
        except OSError:
            return []
        return [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES]

    def _path(self, key: str) -> Path:
        for path in self._files():
            if _key(path.name) == key:
                return path
        raise _gone(key)


def _gone(name: str) -> InputError:
    return InputError("this picture is no longer in the camera's folder", value=_shown(name), fix="Take it again.")


def _shown(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _key(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
