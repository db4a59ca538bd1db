"""The pictures that the kiosk was given, each safe on disk before anything is asked of it.

A picture is a file named by its own digest, in the folder of its visit, readable by the owner alone. Storing the same
picture again changes nothing, so a step that power loss cut short is simply done again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError


class PictureStore(Protocol):
    """Where pictures of visits lie; whether they are encrypted there is the store's own matter."""

    def put(self, visit: int, picture: bytes) -> str:
        """Keep a picture; it is on disk when this returns. Returns its SHA-256."""
        ...

    def get(self, visit: int, sha256: str) -> bytes:
        """Return a picture.

        Raises:
            InputError: it is gone or damaged.
        """
        ...


class FolderPictures:
    """Pictures in a plain folder.

    Args:
        root: The folder; made by the first picture.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, visit: int, picture: bytes) -> str:
        """Keep a picture durably and return its SHA-256."""
        digest = hashlib.sha256(picture).hexdigest()
        path = self._path(visit, digest)
        self._root.mkdir(mode=0o700, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_bytes(path, picture, mode=0o600)
        return digest

    def get(self, visit: int, sha256: str) -> bytes:
        """Return a picture, checked against its digest."""
        try:
            picture = self._path(visit, sha256).read_bytes()
        except OSError:
            picture = b""
        if hashlib.sha256(picture).hexdigest() != sha256:
            raise InputError("a picture of this visit is gone or damaged", value=sha256[:12], fix="Take it again.")
        return picture

    def _path(self, visit: int, sha256: str) -> Path:
        return self._root / f"{visit:06d}" / sha256
