"""Writing files that survive a power cut: the old content or the whole new content, never half.

* Temporary file in the same folder, fsync, rename, fsync of the folder. The folder's fsync is what makes the rename
  itself survive; without it a file can vanish on ext4 after a crash.
* Writers of one file do not disturb each other: each has a draft of its own, and the last to finish stands. Who must
  not lose a change in between takes a lock around reading and writing.
* What is not written here (a resumable download, a folder of many files) is synced and then moved into place.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path, *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Open a draft beside ``path`` for writing; on leaving without an error it takes the place of ``path``.

    Args:
        path: The file to replace; its folder is made if missing.
        mode: Permission bits of the new file, e.g. ``0o600`` for keys.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        move_into_place(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace the content of ``path``."""
    with replacing(path, mode=mode) as file:
        file.write(content)


def write_json(path: Path, value: object, *, mode: int = 0o644) -> None:
    """Replace ``path`` with readable JSON; NaN and infinity are refused, they are not JSON."""
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode(), mode=mode)


def move_into_place(draft: Path, path: Path) -> None:
    """Give ``draft``, a synced file or folder on the same disk, the name ``path``; survives a power cut once done.

    A file at ``path`` is replaced; a folder there must be empty.
    """
    draft.replace(path)
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Make the content of a file that somebody else wrote survive a power cut."""
    _sync(path)


def sync_folder(folder: Path) -> None:
    """Make renames and deletions inside ``folder`` survive a power cut."""
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
