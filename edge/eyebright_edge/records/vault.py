"""The vault: pictures and names of patients, encrypted at rest.

::

    vault/
    ├── seals.json       the data key, sealed per PIN and per key file
    ├── lock             held while an item is written, and while old ones are deleted
    ├── keys/NAME        the item's own key, sealed by the data key
    └── items/NAME       the item, sealed by its own key

* AES-256-GCM throughout; an item's name and day are authenticated with it, so items cannot be exchanged.
* Every item has a key of its own. Deleting an item destroys its key first: 60 bytes are easier to destroy than a
  picture (``vault_retention``).
* An item's day stands in the clear, so that retention needs no PIN. Names of items say nothing about a patient.
* Texts (a patient's code, a file's name) are sealed one by one for the journal of visits (``seal_text``).
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
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
    key_by_file,
    key_by_pin,
    read_seals,
    sealed_by_key_file,
    sealed_by_pin,
    write_seals,
)

SEALED_TEXT = "sealed:"
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
        self._key = key

    def put(self, name: str, content: bytes, *, day: date) -> None:
        """Keep an item; it is on disk, encrypted, when this returns. One of that name is replaced, not safely.

        Raises:
            OSError: the disk does not take it.
        """
        _checked(name)
        item_key = os.urandom(KEY_BYTES)
        head = _MAGIC + day.isoformat().encode()
        # The key before the item: a power cut between the two leaves a key without an item, never the reverse.
        sealed_key = _encrypted(self._key, item_key, name.encode())
        sealed = head + _encrypted(item_key, content, head + name.encode())
        with vault_locked(self.root):
            write_bytes(_key_path(self.root, name), sealed_key, mode=0o600)
            write_bytes(_item_path(self.root, name), sealed, mode=0o600)

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
            item_key = _decrypted(self._key, sealed_key, name.encode())
            return _decrypted(item_key, whole[size:], whole[:size] + name.encode())
        except OSError:
            raise InputError("the vault has no such item", value=name) from None
        except (InvalidTag, ValueError):
            raise InputError("this item of the vault is damaged", value=name, fix="Take the picture again.") from None

    def seal_text(self, text: str) -> str:
        """Return a short text, encrypted, as text; the same text never looks the same twice."""
        sealed = _encrypted(self._key, text.encode("utf-8"), b"text")
        return SEALED_TEXT + urlsafe_b64encode(sealed).decode("ascii")

    def open_text(self, sealed: str) -> str:
        """Return what ``seal_text`` was given; a text that is not sealed comes back as it is.

        Raises:
            InputError: it is damaged, or was sealed in another vault.
        """
        if not sealed.startswith(SEALED_TEXT):
            return sealed
        try:
            content = urlsafe_b64decode(sealed.removeprefix(SEALED_TEXT))
            return _decrypted(self._key, content, b"text").decode("utf-8")
        except (InvalidTag, NotBase64, ValueError):
            raise InputError("a sealed text is damaged, or of another vault") from None

    def name_for(self, *parts: str) -> str:
        """Return a name for an item that says nothing to whoever has no key; the same for the same parts."""
        told = "\0".join(parts).encode("utf-8")
        return hmac.new(self._key, b"item name\0" + told, hashlib.sha256).hexdigest()[:40]

    def add_pin(self, name: str, pin: str) -> None:
        """Let another PIN open this vault.

        Raises:
            InputError: the PIN is too short, or the name is taken.
        """
        self._add(sealed_by_pin(self._key, name=name, pin=pin))

    def add_key_file(self, name: str, path: Path) -> None:
        """Let a key file open this vault; it is made where there is none.

        Raises:
            InputError: the file cannot be used, or the name is taken.
        """
        self._add(sealed_by_key_file(self._key, name=name, path=path))

    def remove_seal(self, name: str) -> None:
        """Let a PIN or key file open this vault no longer.

        Raises:
            InputError: there is none of that name, or it is the last one.
        """
        seals = read_seals(self.root).seals
        left = [seal for seal in seals if seal.name != name]
        if len(left) == len(seals):
            raise InputError("no PIN or key file has this name", value=name)
        if not left:
            raise InputError("this is the last key of the vault", value=name, fix="Add another PIN or key file first.")
        write_seals(self.root, *left)

    def _add(self, seal: Seal) -> None:
        write_seals(self.root, *read_seals(self.root).seals, seal)


def create_vault(root: Path, *, name: str, pin: str | None = None, key_file: Path | None = None) -> Vault:
    """Make a vault that a PIN or a key file opens.

    Args:
        root: Its folder.
        name: Whose PIN, or which key file.
        pin: The PIN.
        key_file: The key file; made where there is none.

    Raises:
        InputError: there is a vault already, neither or both are given, or one of them cannot be used.
    """
    if (root / "seals.json").exists():
        raise InputError("there is a vault here already", value=root, fix="Open it, and add a PIN.")
    if (pin is None) == (key_file is None):
        raise InputError("a vault needs a PIN or a key file", fix="Give one of the two; more can be added.")
    key = os.urandom(KEY_BYTES)
    if pin is not None:
        seal = sealed_by_pin(key, name=name, pin=pin)
    else:
        assert key_file is not None
        seal = sealed_by_key_file(key, name=name, path=key_file)
    write_seals(root, seal)
    return Vault(root, key)


def open_with_pin(root: Path, pin: str) -> Vault:
    """Return the vault at ``root``.

    Raises:
        InputError: there is none, or the PIN does not open it.
    """
    return Vault(root, key_by_pin(root, pin))


def open_with_key_file(root: Path, path: Path) -> Vault:
    """Return the vault at ``root``.

    Raises:
        InputError: there is none, or the file does not open it.
    """
    return Vault(root, key_by_file(root, path))


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


def _encrypted(key: bytes, content: bytes, context: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, context)


def _decrypted(key: bytes, content: bytes, context: bytes) -> bytes:
    return AESGCM(key).decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], context)


def _checked(name: str) -> None:
    assert _NAME.fullmatch(name), f"not a name for an item: {name!r}"


def _item_path(root: Path, name: str) -> Path:
    return root / "items" / name


def _key_path(root: Path, name: str) -> Path:
    return root / "keys" / name
