"""The vault in the place of plain files: pictures of visits, the names in the journal, and what leaves by export.

* ``VaultPictures`` is a ``PictureStore``: the desk that holds visits need not know that its pictures are encrypted.
* ``SealedJournal`` is a journal whose lines hold what is counted (``counted``) in the clear and all else, a field that
  is new tomorrow too, sealed with the key of its visit: code, answers, eyes, scores, names and digests of files, and
  the advice, which would tell an answer. What is counted is authenticated with it. So telemetry and ``status`` need no
  key, and deleting the key of a visit leaves its counts.
* ``export_item`` is the only way out, and leaves a line behind before it writes a byte.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag

from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_edge.records.counted import is_counted
from eyebright_edge.records.journal import Journal
from eyebright_edge.records.pictures import checked_picture
from eyebright_edge.records.vault import Vault, decrypted, encrypted, visit_item

EXPORTS_FILE = "exports.jsonl"
SEALED, FORGOTTEN = "sealed", "forgotten"


class VaultPictures:
    """Pictures of visits in a vault; implements ``PictureStore``.

    Args:
        vault: Open.
        clock: The present time, aware; a picture's day decides when it is deleted.
    """

    def __init__(self, vault: Vault, clock: Callable[[], datetime]) -> None:
        self._vault = vault
        self._clock = clock

    def put(self, visit: int, picture: bytes, *, day: date | None = None) -> str:
        """Keep a picture, encrypted, and return its SHA-256; storing it again changes nothing that can be seen.

        Args:
            visit: Its visit.
            picture: The bytes of its file.
            day: When it was taken; today when left out.
        """
        digest = hashlib.sha256(picture).hexdigest()
        try:
            self.get(visit, digest)
        except InputError:
            self._vault.put(self.name_of(visit, digest), picture, day=day or self._clock().date())
        return digest

    def get(self, visit: int, sha256: str) -> bytes:
        """Return a picture, checked against its digest.

        Raises:
            InputError: it is gone or damaged.
        """
        name = self.name_of(visit, sha256)
        try:
            picture = self._vault.get(name)
        except InputError:
            picture = b""
        return checked_picture(picture, sha256)

    def name_of(self, visit: int, sha256: str) -> str:
        """Return the item of the vault that a picture is."""
        return f"{visit:06d}-{self._vault.name_for(str(visit), sha256)}"


class SealedJournal:
    """A journal of visits that seals whatever is not counted.

    Args:
        journal: The file below.
        vault: Open.
    """

    def __init__(self, journal: Journal, vault: Vault) -> None:
        self._journal, self._vault = journal, vault
        self._keys: dict[str, bytes] = {}

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add an entry; it is on disk when this returns."""
        self._journal.append_after(lambda: self._sealed(entry))

    def append_after(self, make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Add and return the entry that ``make`` gives; no other entry is added between its call and that."""
        made: list[Mapping[str, Any]] = []

        def sealed() -> Mapping[str, Any]:
            made.append(make())
            return self._sealed(made[-1])

        self._journal.append_after(sealed)
        return made[-1]

    def last_visit(self) -> int:
        """Return the highest number of a visit."""
        return self._journal.last_visit()

    def read(self, having: bytes = b"") -> tuple[list[dict[str, Any]], int]:
        """Return the entries, opened, and how many lines were damaged.

        An entry whose key was deleted, or belongs to another vault, is there with what is counted, and ``forgotten``.
        """
        entries, damaged = self._journal.read(having)
        return [self._opened(entry) for entry in entries], damaged

    def open_entries(self) -> int:
        """Return how many entries say more in the clear than what is counted."""
        return sum(_is_open(entry) for entry in self._journal.read()[0]) + self._journal.half_rewritten

    def seal_open_entries(self) -> None:
        """Seal the entries that were written before there was a vault, or by a program that could not open it.

        Raises:
            OSError: the disk does not take it; then all of them stay as they were.
        """
        self._journal.finish_rewriting()
        if self.open_entries():
            self._journal.rewrite(lambda entry: self._sealed(entry) if _is_open(entry) else entry)

    def _sealed(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        counted = {field: entry[field] for field in entry if is_counted(field, entry)}
        told = {field: entry[field] for field in entry if not is_counted(field, entry)}
        if not told:
            return counted
        key = self._vault.key_for(visit_item(int(entry["visit"])), day=_day_of(entry))
        return {**counted, SEALED: b64encode(encrypted(key, _json(told), _json(counted))).decode("ascii")}

    def _opened(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        if SEALED not in entry:
            return dict(entry)
        counted = {field: entry[field] for field in entry if field != SEALED}
        key = self._key_of(visit_item(int(entry["visit"])))
        try:
            told = json.loads(decrypted(key, b64decode(entry[SEALED]), _json(counted))) if key else {FORGOTTEN: True}
        except (InvalidTag, ValueError):
            told = {FORGOTTEN: True}
        return {**counted, **told}

    def _key_of(self, name: str) -> bytes | None:
        # Retention runs beside this program: what it has deleted must not live on in this memory.
        if not self._vault.holds_key_of(name):
            self._keys.pop(name, None)
            return None
        if name not in self._keys:
            key = self._vault.key_of(name)
            if key is None:
                return None
            self._keys[name] = key
        return self._keys[name]


def _is_open(entry: Mapping[str, Any]) -> bool:
    return SEALED not in entry and "visit" in entry and not all(is_counted(field, entry) for field in entry)


def _day_of(entry: Mapping[str, Any]) -> date:
    try:
        return datetime.fromisoformat(str(entry["at"])).date()
    except (KeyError, ValueError):
        return date.min


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False).encode("utf-8")


def export_item(
    vault: Vault, name: str, target: Path, *, visits: Journal, journal: Journal, by: str, clock: Callable[[], datetime]
) -> None:
    """Write an item, in the clear, where a person said; the journal has it before the file is there.

    Args:
        vault: Open.
        name: The item: a picture; or ``visit_item``, for what the journal says of that visit, one JSON line a step.
        target: The file to write; readable by its owner alone.
        visits: The journal of visits.
        journal: Where exports are noted: when, which item, by whom; not where to, which could name a patient.
        by: Short name of who asked.
        clock: The present time, aware.

    Raises:
        InputError: there is no such item, ``target`` exists, or one of the two cannot be written.
    """
    content = vault.get(name) or b"".join(
        _json(entry) + b"\n" for entry in SealedJournal(visits, vault).read()[0] if visit_item(entry["visit"]) == name
    )
    if target.exists():
        raise InputError("the file to export to exists already", value=target, fix="Name another one.")
    try:
        journal.append({"at": clock().isoformat(), "event": "exported", "item": name, "by": by, "bytes": len(content)})
        write_bytes(target, content, mode=0o600)
    except OSError as error:
        raise InputError("the export cannot be written", value=f"{target} ({error.strerror})") from error
