"""The pictures that the kiosk was given, each safe on disk before anything is asked of it.

Where they lie is the store's own matter: in the vault (``vault_store``). ``FolderPictures`` reads what units kept in
the open before there was one, until it has been sealed (``unit_records``).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from eyebright_common.errors import InputError
from eyebright_edge.records.destruction import destroy


class PictureStore(Protocol):
    """Where pictures of visits lie."""

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
    """Pictures in a plain folder, ``VISIT/SHA256`` each; nothing is added to them.

    Args:
        root: The folder; need not be there.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, visit: int, sha256: str) -> bytes:
        """Return a picture, checked against its digest.

        Raises:
            InputError: it is gone or damaged.
        """
        try:
            picture = (self._root / f"{visit:06d}" / sha256).read_bytes()
        except OSError:
            picture = b""
        return checked_picture(picture, sha256)

    def files(self) -> tuple[tuple[int, Path], ...]:
        """Return the number of the visit and the file of every picture."""
        folders = sorted(self._root.glob("[0-9]*")) if self._root.is_dir() else []
        return tuple((int(f.name), file) for f in folders for file in sorted(f.iterdir()) if file.name[0] != ".")

    def clear(self) -> None:
        """Delete the folder with what was only half written to it, when no picture is left in it."""
        if not self._root.is_dir() or self.files():
            return
        for draft in self._root.glob("*/.*"):
            destroy(draft)
        for folder in (*self._root.iterdir(), self._root):
            folder.rmdir()


def checked_picture(picture: bytes, sha256: str) -> bytes:
    """Return a picture that has this digest.

    Raises:
        InputError: it has another.
    """
    if hashlib.sha256(picture).hexdigest() != sha256:
        raise InputError("a picture of this visit is gone or damaged", value=sha256[:12], fix="Take it again.")
    return picture
