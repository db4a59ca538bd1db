"""The vault in the place of plain files: pictures of visits, the names in the journal, and what leaves by export.

* ``VaultPictures`` is a ``PictureStore``: the desk that holds visits need not know that its pictures are encrypted.
* ``SealedJournal`` is a journal whose entries name nobody to whoever has no key: patient's code and file names are
  sealed, everything that is counted stays readable.
* ``export_item`` is the only way out, and leaves a line behind before it writes a byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_edge.records.journal import Journal
from eyebright_edge.records.vault import Vault

EXPORTS_FILE = "exports.jsonl"
NAMING_FIELDS = frozenset({"patient", "name"})


class JournalLike(Protocol):
    """What a journal of visits needs of the file below it."""

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add an entry."""
        ...

    def append_after(self, make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Add and return the entry that ``make`` gives."""
        ...

    def read(self) -> tuple[list[dict[str, Any]], int]:
        """Return the entries, and how many lines were damaged."""
        ...


class VaultPictures:
    """Pictures of visits in a vault; implements ``PictureStore``.

    Args:
        vault: Open.
        clock: The present time, aware; a picture's day decides when it is deleted.
    """

    def __init__(self, vault: Vault, clock: Callable[[], datetime]) -> None:
        self._vault = vault
        self._clock = clock

    def put(self, visit: int, picture: bytes) -> str:
        """Keep a picture, encrypted, and return its SHA-256; storing it again changes nothing that can be seen."""
        digest = hashlib.sha256(picture).hexdigest()
        try:
            self.get(visit, digest)
        except InputError:
            self._vault.put(self.name_of(visit, digest), picture, day=self._clock().date())
        return digest

    def get(self, visit: int, sha256: str) -> bytes:
        """Return a picture, checked against its digest.

        Raises:
            InputError: it is gone or damaged.
        """
        try:
            picture = self._vault.get(self.name_of(visit, sha256))
        except InputError:
            picture = b""
        if hashlib.sha256(picture).hexdigest() != sha256:
            raise InputError("a picture of this visit is gone or damaged", value=sha256[:12], fix="Take it again.")
        return picture

    def name_of(self, visit: int, sha256: str) -> str:
        """Return the item of the vault that a picture is."""
        return f"{visit:06d}-{self._vault.name_for(str(visit), sha256)}"


class SealedJournal:
    """A journal that seals what names a patient, at any depth.

    Args:
        journal: The file below.
        vault: Open.
        fields: The fields that name somebody.
    """

    def __init__(self, journal: JournalLike, vault: Vault, *, fields: frozenset[str] = NAMING_FIELDS) -> None:
        self._journal, self._vault, self._fields = journal, vault, fields

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add an entry; it is on disk when this returns."""
        self._journal.append(self._changed(entry, self._vault.seal_text))

    def append_after(self, make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Add and return the entry that ``make`` gives; no other entry is added between its call and that."""
        written = self._journal.append_after(lambda: self._changed(make(), self._vault.seal_text))
        return dict(self._changed(written, self._vault.open_text))

    def read(self) -> tuple[list[dict[str, Any]], int]:
        """Return the entries, opened, and how many lines were damaged."""
        entries, damaged = self._journal.read()
        return [dict(self._changed(entry, self._vault.open_text)) for entry in entries], damaged

    def _changed(self, value: Any, change: Callable[[str], str]) -> Any:
        if isinstance(value, Mapping):
            return {
                key: change(inner) if key in self._fields and isinstance(inner, str) else self._changed(inner, change)
                for key, inner in value.items()
            }
        return [self._changed(inner, change) for inner in value] if isinstance(value, list | tuple) else value


def export_item(
    vault: Vault, name: str, target: Path, *, journal: Journal, by: str, clock: Callable[[], datetime]
) -> None:
    """Write an item, in the clear, where a person said; the journal has it before the file is there.

    Args:
        vault: Open.
        name: The item.
        target: The file to write; readable by its owner alone.
        journal: Where exports are noted: when, which item, by whom; not where to, which could name a patient.
        by: Short name of who asked.
        clock: The present time, aware.

    Raises:
        InputError: there is no such item, ``target`` exists, or one of the two cannot be written.
    """
    content = vault.get(name)
    if target.exists():
        raise InputError("the file to export to exists already", value=target, fix="Name another one.")
    try:
        journal.append({"at": clock().isoformat(), "event": "exported", "item": name, "by": by, "bytes": len(content)})
        write_bytes(target, content, mode=0o600)
    except OSError as error:
        raise InputError("the export cannot be written", value=f"{target} ({error.strerror})") from error
