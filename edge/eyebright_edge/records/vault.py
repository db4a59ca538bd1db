"""The vault: pictures and names of patients, encrypted at rest.

::

    vault/
    ├── seals.json       the data key, sealed per PIN and per key file; kept twice
    ├── lock             held while an item is written, and while old ones are deleted
    ├── keys/NAME        the item's own key, sealed by the data key
    └── items/NAME       the item, sealed by its own key

* AES-256-GCM throughout; an item's name and day are authenticated with it, so items cannot be exchanged.
* Every item has a key of its own. Deleting an item destroys its key first: 60 bytes are easier to destroy than a
  picture (``vault_retention``).
* An item's day stands in the clear, so that retention needs no PIN. Names of items say nothing about a patient.
* What the journal of visits says of a patient is sealed with the key of an item without content, one for each visit
  (``visit_item``): retention deletes it like any other, and the lines in the journal are noise from then on.
* A closed vault has forgotten its key; whatever is asked of it is refused.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_edge.records.vault_seals import (
    KEY_BYTES,
    Seal,
    checked_pin,
    key_by_file,
    key_by_pin,
    read_seals,
    sealed_by_key_file,
    sealed_by_pin,
    vault_exists,
    write_seals,
)

_MAGIC = b"EYEBRIGHT-ITEM-1\n"
_DAY_BYTES = 10
_NONCE_BYTES = 12
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,120}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultItem:
    """What is known of an item without a PIN: its name, its day, its length on disk in bytes."""

    name: str
    day: date
    size_bytes: int


class Vault:
    """An open vault; made by ``create_vault``, ``open_with_pin`` or ``open_with_key_file``.

    Args:
        root: Its folder.
        key: The data key.
    """

    def __init__(self, root: Path, key: bytes) -> None:
        self.root = root
        self._sealing_key = bytearray(key)

    def close(self) -> None:
        """Forget the data key. Python may have copied it, so this keeps honest programs out, not a memory dump."""
        self._sealing_key[:] = bytes(len(self._sealing_key))
        self._sealing_key = bytearray()

    @property
    def closed(self) -> bool:
        """Whether the key has been forgotten."""
        return not self._sealing_key

    @property
    def _key(self) -> bytes:
        if self.closed:
            raise locked()
        return bytes(self._sealing_key)

    def put(self, name: str, content: bytes, *, day: date) -> None:
        """Keep an item; it is on disk, encrypted, when this returns. One of that name is replaced, not safely.

        Raises:
            OSError: the disk does not take it.
        """
        self._write(name, os.urandom(KEY_BYTES), content, day=day)

    def key_for(self, name: str, *, day: date) -> bytes:
        """Return the key of an item without content, made if there is none; it is on disk when this returns.

        Raises:
            OSError: the disk does not take it.
        """
        known = self.key_of(name)
        # A key without an item is what a power cut leaves, and retention would take it for a deletion to be finished.
        if known is None or not _item_path(self.root, name).exists():
            known = known or os.urandom(KEY_BYTES)
            self._write(name, known, b"", day=day)
        return known

    def get(self, name: str) -> bytes:
        """Return an item.

        Raises:
            InputError: there is none of that name, it was deleted, or it is damaged.
        """
        _checked(name)
        try:
            sealed_key = _key_path(self.root, name).read_bytes()
            whole = _item_path(self.root, name).read_bytes()
            size = len(_MAGIC) + _DAY_BYTES
            item_key = decrypted(self._key, sealed_key, name.encode())
            return decrypted(item_key, whole[size:], whole[:size] + name.encode())
        except OSError:
            raise InputError("the vault has no such item", value=name) from None
        except (InvalidTag, ValueError):
            raise InputError("this item of the vault is damaged", value=name, fix="Take the picture again.") from None

    def key_of(self, name: str) -> bytes | None:
        """Return the item's own key; None when it was deleted, or is damaged."""
        _checked(name)
        try:
            return decrypted(self._key, _key_path(self.root, name).read_bytes(), name.encode())
        except (OSError, InvalidTag, ValueError):
            return None

    def holds_key_of(self, name: str) -> bool:
        """Whether the item's own key is on disk; says nothing about its state."""
        return _key_path(self.root, name).exists()

    def name_for(self, *parts: str) -> str:
        """Return a name for an item that says nothing to whoever has no key; the same for the same parts."""
        told = "\0".join(parts).encode("utf-8")
        return hmac.new(self._key, b"item name\0" + told, hashlib.sha256).hexdigest()[:40]

    def add_pin(self, name: str, pin: str) -> None:
        """Let another PIN open this vault.

        Raises:
            InputError: the PIN is too short, or the name is taken.
        """
        self._add(sealed_by_pin(self._key, name=name, pin=checked_pin(pin)))

    def change_pin(self, name: str, pin: str) -> None:
        """Let a PIN open this vault, in place of the one of that name if there is one; how long it is was checked.

        Raises:
            InputError: a key file has the name, or the seals cannot be written.
        """
        others = [seal for seal in read_seals(self.root).seals if (seal.name, seal.kind) != (name, "pin")]
        write_seals(self.root, *others, sealed_by_pin(self._key, name=name, pin=pin))

    def add_key_file(self, name: str, path: Path) -> None:
        """Let a key file open this vault; it is made where there is none.

        Raises:
            InputError: the file cannot be used, or the name is taken.
        """
        self._add(sealed_by_key_file(self._key, name=name, path=path))

    def _write(self, name: str, item_key: bytes, content: bytes, *, day: date) -> None:
        _checked(name)
        head = _MAGIC + day.isoformat().encode()
        # The key before the item: a power cut between the two leaves a key without an item, never the reverse.
        sealed_key = encrypted(self._key, item_key, name.encode())
        sealed = head + encrypted(item_key, content, head + name.encode())
        with vault_locked(self.root):
            write_bytes(_key_path(self.root, name), sealed_key, mode=0o600)
            write_bytes(_item_path(self.root, name), sealed, mode=0o600)

    def _add(self, seal: Seal) -> None:
        write_seals(self.root, *read_seals(self.root).seals, seal)


def create_vault(
    root: Path, *, name: str, pin: str | None = None, key_file: Path | None = None, strict: bool = True
) -> Vault:
    """Make a vault that a PIN or a key file opens.

    Args:
        root: Its folder.
        name: Whose PIN, or which key file.
        pin: The PIN.
        key_file: The key file; made where there is none.
        strict: Whether a short PIN is refused.

    Raises:
        InputError: there is a vault already, neither or both are given, or one of them cannot be used.
    """
    if vault_exists(root):
        raise InputError("there is a vault here already", value=root, fix="Open it, and add a PIN.")
    if (pin is None) == (key_file is None):
        raise InputError("a vault needs a PIN or a key file", fix="Give one of the two; more can be added.")
    key = os.urandom(KEY_BYTES)
    if pin is not None:
        seal = sealed_by_pin(key, name=name, pin=checked_pin(pin) if strict else pin)
    else:
        assert key_file is not None
        seal = sealed_by_key_file(key, name=name, path=key_file)
    write_seals(root, seal)
    return Vault(root, key)


def open_with_pin(root: Path, pin: str, *, name: str | None = None) -> Vault:
    """Return the vault at ``root``.

    Args:
        root: Its folder.
        pin: The PIN.
        name: Whose; anybody's when left out.

    Raises:
        InputError: there is none, or the PIN does not open it.
    """
    return Vault(root, key_by_pin(root, pin, name=name))


def open_with_key_file(root: Path, path: Path) -> Vault:
    """Return the vault at ``root``.

    Raises:
        InputError: there is none, or the file does not open it.
    """
    return Vault(root, key_by_file(root, path))


def visit_item(number: int) -> str:
    """Return the item whose key seals what the journal says of a visit's patient."""
    return f"{number:06d}-visit"


def locked() -> InputError:
    """Return the error for records that nobody has opened."""
    return InputError("the records of this unit are locked", fix="Unlock the screen with your PIN.")


@contextmanager
def vault_locked(root: Path) -> Iterator[None]:
    """Keep writing and deleting apart: half-written items look like what deleting has to finish."""
    with (root / "lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def vault_items(root: Path) -> tuple[VaultItem, ...]:
    """Return every item, oldest first; needs no PIN. One whose day cannot be read counts as of the first day of all."""
    found = [_described(path) for path in _files(root / "items")]
    return tuple(sorted(found, key=lambda item: (item.day, item.name)))


def _described(path: Path) -> VaultItem:
    with path.open("rb") as file:
        head = file.read(len(_MAGIC) + _DAY_BYTES)
    try:
        day = date.fromisoformat(head.removeprefix(_MAGIC).decode("ascii"))
    except ValueError:
        day = date.min
    return VaultItem(name=path.name, day=day, size_bytes=path.stat().st_size)


def _files(folder: Path) -> list[Path]:
    # Drafts of a write that power loss cut short begin with a dot.
    return [f for f in folder.iterdir() if not f.name.startswith(".")] if folder.is_dir() else []


def encrypted(key: bytes, content: bytes, context: bytes) -> bytes:
    """Return nonce and ciphertext (AES-256-GCM), which open with this key and in this context alone."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, context)


def decrypted(key: bytes, content: bytes, context: bytes) -> bytes:
    """Return what ``encrypted`` was given; raises ``InvalidTag`` or ``ValueError`` when anything differs."""
    return AESGCM(key).decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], context)


def _checked(name: str) -> None:
    assert _NAME.fullmatch(name), f"not a name for an item: {name!r}"


def _item_path(root: Path, name: str) -> Path:
    return root / "items" / name


def _key_path(root: Path, name: str) -> Path:
    return root / "keys" / name
