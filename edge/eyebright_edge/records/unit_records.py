"""The records of one unit behind one lock: visits and pictures, encrypted from the first moment.

* Locked, this object knows no key. ``unlock`` opens it by a technician's PIN, or by the key file that the unit's
  settings name. ``lock`` forgets the key, unless the key file opened it: it would open it again at once.
* The first PIN makes the vault. A PIN that does not open it yet (a new technician, a changed PIN) is let in by the key
  file, or by somebody whose PIN does: ``introduce``.
* What a unit kept in the open before there was a vault is sealed once it is opened (``seal_leftovers``): the journal in
  one step, then picture by picture. Each is in the vault before the open one is destroyed, so power loss costs nothing;
  until its turn comes it is read where it lies.
* ``journal`` and ``pictures`` hold for the life of the program and refuse everything while it is locked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eyebright_common.errors import InputError
from eyebright_edge.records.destruction import destroy
from eyebright_edge.records.journal import Journal
from eyebright_edge.records.pictures import FolderPictures
from eyebright_edge.records.vault import Vault, create_vault, locked, open_with_key_file, open_with_pin
from eyebright_edge.records.vault_seals import read_seals, vault_exists
from eyebright_edge.records.vault_store import SealedJournal, VaultPictures

VAULT_FOLDER, OPEN_PICTURES = "vault", "pictures"
# No technician can have this name.
_KEY_FILE_SEAL = "(kiosk.json)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """What is there while somebody has opened the records."""

    vault: Vault
    journal: SealedJournal
    pictures: VaultPictures
    by_key_file: bool


class UnitRecords:
    """The records of the unit at ``home``.

    Args:
        home: The unit's home folder.
        visits_file: The journal of visits.
        clock: The present time, aware.
        key_file: Opens the records without a person; made with the vault, in a folder that is there already.
    """

    def __init__(
        self, home: Path, visits_file: Path, *, clock: Callable[[], datetime], key_file: Path | None = None
    ) -> None:
        self.root = home / VAULT_FOLDER
        self.journal = _LockedJournal(self)
        self.pictures = _LockedPictures(self)
        self._plain = FolderPictures(home / OPEN_PICTURES)
        self._file = Journal(visits_file)
        self._clock = clock
        self._key_file = key_file
        self._now_open: _Opened | None = None
        self._busy = threading.RLock()

    @property
    def is_open(self) -> bool:
        """Whether they can be read now."""
        return self._now_open is not None

    def unlock(self, name: str, pin: str) -> bool:
        """Open them with a technician's PIN, which was checked; False when nothing here opens them with it.

        Raises:
            InputError: the vault cannot be read, or cannot be made.
        """
        with self._busy:
            if not vault_exists(self.root) and not self.open_unattended():
                self._take(create_vault(self.root, name=name, pin=pin, strict=False))
            elif self._now_open is None and not self._opened_by_pin(name, pin) and not self.open_unattended():
                return False
            self._welcome(name, pin)
            return True

    def introduce(self, name: str, pin: str, *, by: str, by_pin: str) -> bool:
        """Let another technician's PIN open them, by one that does; False when that one does not.

        Raises:
            InputError: the vault cannot be read.
        """
        with self._busy:
            if not self._opened_by_pin(by, by_pin):
                return False
            self._welcome(name, pin)
            return True

    def open_unattended(self) -> bool:
        """Open them with the key file, if there is one and it opens them."""
        with self._busy:
            if self._now_open is not None:
                return self._now_open.by_key_file
            if self._key_file is None or not self._key_file.parent.is_dir():
                return False
            with suppress(InputError):
                if vault_exists(self.root):
                    vault = open_with_key_file(self.root, self._key_file)
                else:
                    vault = create_vault(self.root, name=_KEY_FILE_SEAL, key_file=self._key_file)
                self._take(vault, by_key_file=True)
            return self._now_open is not None

    def lock(self) -> None:
        """Forget the key; records that the key file opened stay open."""
        with self._busy:
            if self._now_open is not None and not self._now_open.by_key_file:
                self._now_open.vault.close()
                self._now_open = None

    def openers(self) -> tuple[str, ...]:
        """Return whose PINs open them."""
        try:
            return tuple(seal.name for seal in read_seals(self.root).seals if seal.kind == "pin")
        except InputError:
            return ()

    def open_leftovers(self) -> int:
        """Return how many pictures and lines still lie here in the open."""
        opened = self._now_open
        return len(self._plain.files()) + (opened.journal.open_entries() if opened else 0)

    def seal_leftovers(self) -> None:
        """Seal what lies here in the open, as far as the disk takes it; what is left is taken up the next time."""
        opened = self._now_open
        if opened is None:
            return
        with suppress(OSError, InputError):
            opened.journal.seal_open_entries()
        with suppress(OSError, InputError):
            for visit, file in self._plain.files():
                day = datetime.fromtimestamp(file.stat().st_mtime, UTC).date()
                opened.pictures.put(visit, file.read_bytes(), day=day)
                destroy(file)
            self._plain.clear()

    def opened(self) -> _Opened:
        """Return what there is while they are open.

        Raises:
            InputError: they are locked.
        """
        opened = self._now_open
        if opened is None:
            raise locked()
        return opened

    def open_picture(self, visit: int, sha256: str) -> bytes:
        """Return a picture, from wherever it lies by now."""
        try:
            return self.opened().pictures.get(visit, sha256)
        except InputError:
            if not self.is_open:
                raise
            return self._plain.get(visit, sha256)

    def _opened_by_pin(self, name: str, pin: str) -> bool:
        try:
            vault = open_with_pin(self.root, pin, name=name)
        except InputError:
            read_seals(self.root)  # Seals that cannot be read are no matter of the PIN.
            return False
        if self._now_open is None:
            self._take(vault)
        else:
            vault.close()
        return True

    def _take(self, vault: Vault, *, by_key_file: bool = False) -> None:
        self._now_open = _Opened(
            vault=vault,
            journal=SealedJournal(self._file, vault),
            pictures=VaultPictures(vault, self._clock),
            by_key_file=by_key_file,
        )

    def _welcome(self, name: str, pin: str) -> None:
        # A disk that cannot be written stops nobody: they are open, and the next time it is tried again.
        with suppress(InputError):
            if not self._opened_by_pin(name, pin):
                self.opened().vault.change_pin(name, pin)
        with suppress(InputError):
            seals = {seal.name for seal in read_seals(self.root).seals}
            if self._key_file is not None and self._key_file.parent.is_dir() and _KEY_FILE_SEAL not in seals:
                self.opened().vault.add_key_file(_KEY_FILE_SEAL, self._key_file)


class _LockedJournal:
    """The journal of visits, while it is open."""

    def __init__(self, records: UnitRecords) -> None:
        self._records = records

    def append(self, entry: Mapping[str, Any]) -> None:
        self._records.opened().journal.append(entry)

    def append_after(self, make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        return self._records.opened().journal.append_after(make)

    def read(self, having: bytes = b"") -> tuple[list[dict[str, Any]], int]:
        return self._records.opened().journal.read(having)

    def last_visit(self) -> int:
        return self._records.opened().journal.last_visit()


class _LockedPictures:
    """The pictures of visits, while they are open."""

    def __init__(self, records: UnitRecords) -> None:
        self._records = records

    def put(self, visit: int, picture: bytes) -> str:
        return self._records.opened().pictures.put(visit, picture)

    def get(self, visit: int, sha256: str) -> bytes:
        return self._records.open_picture(visit, sha256)
