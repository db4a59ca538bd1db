"""Who can open the vault: its data key, sealed once per PIN and once per key file.

* The data key is 256 random bits, made once, and on disk only inside seals (AES-256-GCM). Changing a PIN seals it
  again; no picture is written anew.
* A PIN is stretched by scrypt (RFC 7914; N = 2^15, r = 8, p = 1: 32 MiB and some tenths of a second a try). That stops
  a curious person. Whoever takes the disk away can try every PIN of six digits within days: against a thief use a key
  file that is kept apart from the disk (a USB stick, a TPM-unlocked folder), or a longer PIN.
* A wrong PIN and a damaged seal look alike, on purpose. Counting tries is the kiosk's business.
* ``seals.json`` is kept twice: a disk that spoils one of them must not cost every record of the unit.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Annotated, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import Field, ValidationError

from eyebright_common.documents import Document
from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_edge.agent.twice import copy_of, read_either, write_twice

SHORTEST_PIN = 6
KEY_BYTES = 32
_NONCE_BYTES = 12
_LOG2_COST = 15
_FILE = "seals.json"
_PURPOSE = b"eyebright vault data key 1 "

Cost = Annotated[int, Field(ge=10, le=22)]
_SecretOf = Callable[["Seal"], bytes]


class Seal(Document):
    """The data key under one secret.

    Attributes:
        name: Whose PIN, or which key file.
        kind: What opens it.
        salt: Of scrypt, base64; empty for a key file.
        log2_cost: scrypt's N is two to this power.
        sealed: Nonce and sealed data key, base64.
    """

    name: str = Field(min_length=1, max_length=64)
    kind: Literal["pin", "key-file"]
    salt: str = ""
    log2_cost: Cost = _LOG2_COST
    sealed: str


class Seals(Document):
    """``seals.json``: every way to open one vault."""

    schema_: Literal["eyebright.vault/1"] = Field(default="eyebright.vault/1", alias="schema")
    seals: tuple[Seal, ...] = Field(min_length=1)


def checked_pin(pin: str) -> str:
    """Return a PIN that is long enough.

    Raises:
        InputError: it is not.
    """
    if len(pin) < SHORTEST_PIN:
        raise InputError("the PIN is too short", fix=f"Choose one of {SHORTEST_PIN} characters or more.")
    return pin


def sealed_by_pin(key: bytes, *, name: str, pin: str, log2_cost: int = _LOG2_COST) -> Seal:
    """Return the data key sealed under a PIN."""
    salt = os.urandom(16)
    sealed = _sealed(_stretched(pin, salt, log2_cost), key, name)
    return Seal(name=name, kind="pin", salt=b64encode(salt).decode(), log2_cost=log2_cost, sealed=sealed)


def sealed_by_key_file(key: bytes, *, name: str, path: Path) -> Seal:
    """Return the data key sealed under a key file; one that is not there is made.

    Raises:
        InputError: the file is there and holds no key, or cannot be written.
    """
    if not path.exists():
        try:
            write_bytes(path, os.urandom(KEY_BYTES).hex().encode() + b"\n", mode=0o600)
        except OSError as error:
            raise InputError("the key file cannot be written", value=f"{path} ({error.strerror})") from error
    return Seal(name=name, kind="key-file", sealed=_sealed(_key_in(path), key, name))


def key_by_pin(root: Path, pin: str, *, name: str | None = None) -> bytes:
    """Return the data key that a PIN opens: that of ``name``, or anybody's when it is left out.

    Raises:
        InputError: there is no vault, its seals are damaged, or no seal opens with this PIN.
    """

    def stretched(seal: Seal) -> bytes:
        return _stretched(pin, b64decode(seal.salt), seal.log2_cost)

    return _opened(root, "pin", stretched, "this PIN", name=name)


def key_by_file(root: Path, path: Path) -> bytes:
    """Return the data key that a key file opens.

    Raises:
        InputError: there is no vault, its seals are damaged, or the file holds no key, or another vault's.
    """
    secret = _key_in(path)
    return _opened(root, "key-file", lambda _seal: secret, "this key file")


def read_seals(root: Path) -> Seals:
    """Return the seals of the vault at ``root``.

    Raises:
        InputError: there is no vault, or its seals cannot be read.
    """
    found = read_either(root / _FILE, _parsed)
    if found is not None:
        return found
    if not vault_exists(root):
        raise InputError("there is no vault here", value=root, fix="Make one with `eyebright edge records create`.")
    fix = "Bring seals.json back from a copy, or begin anew with `eyebright edge records anew`."
    raise InputError("the seals of this vault cannot be read", value=root / _FILE, fix=fix)


def vault_exists(root: Path) -> bool:
    """Return whether a vault was made at ``root``, whatever state it is in."""
    return (root / _FILE).exists() or copy_of(root / _FILE).exists()


def remove_seal(root: Path, name: str) -> None:
    """Let a PIN or key file open the vault no longer; needs no key.

    Raises:
        InputError: there is none of that name, or it is the last one.
    """
    seals = read_seals(root).seals
    left = [seal for seal in seals if seal.name != name]
    if len(left) == len(seals):
        raise InputError("no PIN or key file has this name", value=name)
    if not left:
        raise InputError("this is the last key of the vault", value=name, fix="Add another PIN or key file first.")
    write_seals(root, *left)


def set_aside(root: Path) -> Path:
    """Give a vault another name, beside the one it had, and return that name.

    Raises:
        InputError: there is none, or it cannot be renamed.
    """
    if not vault_exists(root):
        raise InputError("there is no vault here", value=root)
    number = next(n for n in count(1) if not root.with_name(f"{root.name}.old-{n}").exists())
    try:
        return root.rename(root.with_name(f"{root.name}.old-{number}"))
    except OSError as error:
        raise InputError("the vault cannot be renamed", value=f"{root} ({error.strerror})") from error


def write_seals(root: Path, *seals: Seal) -> None:
    """Replace the seals durably; two of one name cannot be told apart.

    Raises:
        InputError: two have the same name, or they cannot be written.
    """
    names = [seal.name for seal in seals]
    if len(set(names)) < len(names):
        raise InputError("this name has a PIN or key file already", value=names[-1], fix="Choose another name.")
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_twice(root / _FILE, Seals(seals=seals).to_json())
    except OSError as error:
        raise InputError("the vault cannot be written", value=f"{root} ({error.strerror})") from error


def _parsed(content: bytes) -> Seals | None:
    try:
        return Seals.model_validate_json(content)
    except ValidationError:
        return None


def _opened(root: Path, kind: str, secret_of: _SecretOf, what: str, *, name: str | None = None) -> bytes:
    for seal in read_seals(root).seals:
        if seal.kind != kind or name not in (None, seal.name):
            continue
        try:
            content = b64decode(seal.sealed, validate=True)
            secret = AESGCM(secret_of(seal))
            return secret.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], _PURPOSE + seal.name.encode())
        except (InvalidTag, NotBase64, ValueError):
            continue
    raise InputError(f"the vault does not open with {what}", fix="Try again, or ask whoever set the unit up.")


def _sealed(secret: bytes, key: bytes, name: str) -> str:
    nonce = os.urandom(_NONCE_BYTES)
    return b64encode(nonce + AESGCM(secret).encrypt(nonce, key, _PURPOSE + name.encode())).decode()


def _stretched(pin: str, salt: bytes, log2_cost: int) -> bytes:
    return Scrypt(salt=salt, length=KEY_BYTES, n=2**log2_cost, r=8, p=1).derive(pin.encode("utf-8"))


def _key_in(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise InputError("this is not a key file, or it cannot be read", value=path, fix="Plug in the stick it is on.")
    return key
