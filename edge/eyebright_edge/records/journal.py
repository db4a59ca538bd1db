"""An append-only file of JSON lines that a power cut can only shorten by the line being written.

* One entry, one line, one checksum: ``{"crc32": "…", "entry": {…}}``. An entry counts once ``append`` has returned.
* ``append`` writes the whole line, then fsyncs. A line torn by a power cut fails its checksum and was never promised to
  anybody: the next ``append`` cuts it off, reading steps over it.
* A broken line with good ones after it is disk damage, not a power cut. Reading keeps everything that is whole and
  counts the rest.
* Entries may name patients and files, so only the owner can read the file; ``rewrite`` changes what is written of them.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from eyebright_common.durable import sync_folder, write_bytes
from eyebright_edge.records.destruction import destroy

_SPOILT = b"spoilt\n"
_VISIT = re.compile(rb'"visit":(\d{1,12})')


class JournalLike(Protocol):
    """A journal, whatever is done to its entries on the way to the file."""

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add an entry."""
        ...

    def append_after(self, make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Add and return the entry that ``make`` gives; no other entry is added between its call and that."""
        ...

    def read(self, having: bytes = b"") -> tuple[list[dict[str, Any]], int]:
        """Return the entries, oldest first, and how many were damaged.

        Args:
            having: Looks only at lines with these bytes in them, so that one visit among many thousands is found
                quickly. What is not on disk yet is there all the same.
        """
        ...

    def last_visit(self) -> int:
        """Return the highest number of a visit, that of a damaged line too: none may be given twice; 0 without one."""
        ...


class Journal:
    """The journal in one file; the file is made by the first entry."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add an entry; it is on disk when this returns."""
        self.append_after(lambda: entry)

    def append_after(self, make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Add and return the entry that ``make`` gives; no other entry is added between its call and that."""
        fresh = not self.path.exists()
        with self._locked() as descriptor:
            entry = make()
            end = _end_of_whole_lines(descriptor)
            os.ftruncate(descriptor, end)
            _write_all(descriptor, _line(entry), end)
            os.fsync(descriptor)
        if fresh:
            sync_folder(self.path.parent)
        return entry

    def rewrite(self, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        """Replace every entry by what ``change`` makes of it, and destroy the old lines; all of them or none.

        A damaged line stays counted as damaged, but nothing of its content stays.
        """
        self.finish_rewriting()
        with self._locked():
            parsed = [_entry(line) for line in self.path.read_bytes().split(b"\n")[:-1]]
            content = b"".join(_SPOILT if entry is None else _line(change(entry)) for entry in parsed)
            self._before.hardlink_to(self.path)
            write_bytes(self.path, content, mode=0o600)
        self.finish_rewriting()

    @property
    def half_rewritten(self) -> bool:
        """Whether the old lines of a rewrite that power loss cut short are still there."""
        return self._before.exists()

    def finish_rewriting(self) -> None:
        """Destroy the old lines, if they are still there."""
        if self.half_rewritten:
            # Power may have gone before the new file took the old one's place: then this is the journal itself.
            same = self.path.exists() and self._before.samefile(self.path)
            self._before.unlink() if same else destroy(self._before)

    @property
    def _before(self) -> Path:
        return self.path.with_name(f"{self.path.name}.before")

    @contextmanager
    def _locked(self) -> Iterator[int]:
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                # While this waited for the lock, the file may have been replaced by a rewritten one.
                if os.path.samestat(os.fstat(descriptor), self.path.stat()):
                    yield descriptor
                    return
            finally:
                os.close(descriptor)

    def read(self, having: bytes = b"") -> tuple[list[dict[str, Any]], int]:
        """Return the entries, oldest first, and how many lines were damaged (a torn last line is not counted).

        Args:
            having: Looks only at lines with these bytes in them.
        """
        *lines, _torn = self._content().split(b"\n")
        parsed = [_entry(line) for line in lines if having in line]
        entries = [entry for entry in parsed if entry is not None]
        return entries, len(parsed) - len(entries)

    def last_visit(self) -> int:
        """Return the highest number of a visit, that of a damaged line too; 0 without one."""
        return max(map(int, _VISIT.findall(self._content())), default=0)

    def _content(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""


def _line(entry: Mapping[str, Any]) -> bytes:
    body = json.dumps(entry, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return f'{{"crc32":"{zlib.crc32(body.encode()):08x}","entry":{body}}}\n'.encode()


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)["entry"]
    except (ValueError, KeyError, TypeError):
        return None
    # Written again it must give the same bytes, checksum included.
    return entry if isinstance(entry, dict) and _line(entry) == line + b"\n" else None


def _end_of_whole_lines(descriptor: int) -> int:
    size = os.fstat(descriptor).st_size
    position = size
    while position > 0:
        start = max(0, position - 4096)
        newline = os.pread(descriptor, position - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        position = start
    return 0


def _write_all(descriptor: int, line: bytes, offset: int) -> None:
    written = 0
    while written < len(line):
        written += os.pwrite(descriptor, line[written:], offset + written)
