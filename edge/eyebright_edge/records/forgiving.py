"""Records for a unit that must go on screening when its disk cannot be written: full, read-only, or pulled out.

What cannot be written is kept in memory, in order, and written before the next entry that can be. Until then
``problem`` says why, for a person: a power cut would lose what is only in memory, so the answer has to be written down.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from eyebright_edge.records.journal import JournalLike
from eyebright_edge.records.pictures import PictureStore

_MOST_PICTURES = 12


class ForgivingJournal:
    """A journal that never refuses an entry.

    Args:
        journal: Where entries belong.
    """

    def __init__(self, journal: JournalLike) -> None:
        self.problem = ""
        self._journal = journal
        self._waiting: list[Mapping[str, Any]] = []

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add an entry."""
        self.append_after(lambda: entry)

    def append_after(self, make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Add and return the entry, on disk if the disk takes it, else in memory."""
        try:
            while self._waiting:
                self._journal.append_after(lambda: self._waiting[0])
                self._waiting.pop(0)
            entry = self._journal.append_after(make)
        except OSError as error:
            self.problem = error.strerror or type(error).__name__
            entry = make()
            self._waiting.append(entry)
            return entry
        self.problem = ""
        return entry

    def last_visit(self) -> int:
        """Return the highest number of a visit on disk or in memory."""
        return max([self._journal.last_visit(), *(int(entry.get("visit", 0)) for entry in self._waiting)])

    def read(self, having: bytes = b"") -> tuple[list[dict[str, Any]], int]:
        """Return the entries on disk and in memory, oldest first, and how many lines of the disk are damaged."""
        entries, damaged = self._journal.read(having)
        return [*entries, *(dict(entry) for entry in self._waiting)], damaged


class ForgivingPictures:
    """A picture store that keeps the last few pictures in memory when the disk does not take them.

    Args:
        store: Where pictures belong.
    """

    def __init__(self, store: PictureStore) -> None:
        self.problem = ""
        self._store = store
        self._held: dict[tuple[int, str], bytes] = {}

    def put(self, visit: int, picture: bytes) -> str:
        """Keep a picture, on disk if the disk takes it, and return its SHA-256."""
        try:
            digest = self._store.put(visit, picture)
        except OSError as error:
            self.problem = error.strerror or type(error).__name__
            digest = hashlib.sha256(picture).hexdigest()
            self._held[visit, digest] = picture
            for oldest in list(self._held)[:-_MOST_PICTURES]:
                del self._held[oldest]
            return digest
        self.settle()
        return digest

    def settle(self) -> None:
        """Write what is only in memory, as far as the disk takes it by now."""
        for (visit, digest), picture in list(self._held.items()):
            try:
                self._store.put(visit, picture)
            except OSError as error:
                self.problem = error.strerror or type(error).__name__
                return
            del self._held[visit, digest]
        self.problem = ""

    def get(self, visit: int, sha256: str) -> bytes:
        """Return a picture."""
        held = self._held.get((visit, sha256))
        return self._store.get(visit, sha256) if held is None else held
