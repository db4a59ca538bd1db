"""A small document kept twice, because some disks lose the last write although they said that it was done.

The copy is written first, each write is fsynced, and the two are never written at once: whichever one a power cut
spoils, the other holds the new content or the old one, whole.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from eyebright_common.durable import write_bytes

DocumentT = TypeVar("DocumentT")


def copy_of(path: Path) -> Path:
    """Return where the copy of ``path`` lies."""
    return path.with_name(f"{path.stem}.copy{path.suffix}")


def write_twice(path: Path, content: bytes) -> None:
    """Replace both; readable by the owner alone.

    Raises:
        OSError: the disk does not take it.
    """
    write_bytes(copy_of(path), content, mode=0o600)
    write_bytes(path, content, mode=0o600)


def read_either(path: Path, parse: Callable[[bytes], DocumentT | None]) -> DocumentT | None:
    """Return the first of the two that ``parse`` accepts (anything but None); None when there is none."""
    for file in (path, copy_of(path)):
        try:
            found = parse(file.read_bytes())
        except OSError:
            continue
        if found is not None:
            return found
    return None
