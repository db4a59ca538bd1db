"""Where signing keys lie, found by key id.

* One key per file in a folder, ``<role>-<first 12 of key id>.pem``. The name finds it; the key inside must be the one.
* A folder need not hold every key of a role: keys of a threshold belong on different sticks in different drawers. Where
  a key lies elsewhere, ``locations.json`` beside the folders says so as a URI: ``file:/media/stick/key.pem``, or
  ``env:NAME`` for a secret that somebody puts into the environment. Other schemes are refused by name.
* A key whose stick is not plugged in, or whose variable is not set, is simply not here; the threshold decides.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Key, Root, Targets

from eyebright_common.documents import Document
from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError, TrustError
from eyebright_common.trust.keys import (
    PrivateKey,
    load_private_key,
    new_signing_key,
    parse_private_key,
    save_private_key,
    signer_for,
)

SCHEMES = ("file", "env")


class Locations(Document):
    """``locations.json``: URIs of keys that do not lie in the folders, by key id."""

    format: int = 1
    keys: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Locations:
        """Read the file; there may be none.

        Raises:
            InputError: it cannot be read.
        """
        try:
            return cls.model_validate_json(path.read_bytes()) if path.exists() else cls()
        except (OSError, ValidationError) as error:
            raise InputError(
                "the places of the keys cannot be read", value=path, fix="Correct or delete it."
            ) from error

    def written(self, path: Path, keyid: str, uri: str) -> Locations:
        """Return these with one place more, kept at ``path``."""
        changed = Locations(keys={**self.keys, keyid: uri})
        write_bytes(path, changed.to_json())
        return changed


def key_at(uri: str, *, passphrase: bytes | None = None) -> PrivateKey | None:
    """Return the private key at ``uri``, or None when its medium or variable is not here.

    Raises:
        InputError: the scheme is not supported.
        TrustError: there is something that is no usable key.
    """
    scheme, _, rest = uri.partition(":")
    if scheme == "file" and rest.startswith("/"):
        path = Path(rest)
        return load_private_key(path, passphrase=passphrase) if path.exists() else None
    if scheme == "env" and rest:
        held = os.environ.get(rest)
        return parse_private_key(held.encode(), named=uri, passphrase=passphrase) if held else None
    raise InputError(
        "keys cannot be kept at such a place",
        value=uri if scheme in SCHEMES or uri.startswith("/") else f"{scheme}:",
        fix="Use file:/ABSOLUTE/PATH or env:NAME.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlace:
    """A key that a role names.

    Attributes:
        role: The role.
        keyid: The key.
        threshold: How many keys must sign for the role.
        place: Path or URI; None when nobody here knows where it is.
        here: Whether it can sign now.
    """

    role: str
    keyid: str
    threshold: int
    place: str | None
    here: bool


class Keyring:
    """The signing keys in one folder, and those that ``locations`` knows of.

    Args:
        folder: Where the key files lie; it need not exist, and then holds no key.
        passphrase: Under which they are encrypted, if they are.
        locations: URIs by key id; they win over the folder.
    """

    def __init__(
        self, folder: Path, *, passphrase: bytes | None = None, locations: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self._passphrase = passphrase
        self._locations = dict(locations or {})

    def place(self, keyid: str, uri: str) -> None:
        """Look for a key at a URI from now on, whether it is there now or not.

        Raises:
            InputError: the URI's scheme is not supported, or another key lies there.
            TrustError: there is something that is no usable key.
        """
        key = key_at(uri, passphrase=self._passphrase)
        if key is not None and (found := signer_for(key).public_key.keyid) != keyid:
            raise InputError(
                "another key lies there", value=f"{uri} has {found[:12]}, not {keyid[:12]}", fix="Name its own file."
            )
        self._locations[keyid] = uri

    def new_key(self, role: str) -> Key:
        """Make and keep a key for ``role``; return its public half."""
        key = new_signing_key()
        public = signer_for(key).public_key
        save_private_key(self._path(role, public.keyid), key, passphrase=self._passphrase)
        return public

    def drop_key(self, role: str, keyid: str) -> None:
        """Delete the file of a key that no longer signs anything; one at a URI is its keeper's to destroy."""
        self._path(role, keyid).unlink(missing_ok=True)

    def signers(self, role: str, delegator: Root | Targets) -> list[CryptoSigner]:
        """Return a signer for every key of ``role`` that ``delegator`` names and that is here.

        Raises:
            TrustError: these are fewer than the threshold of the role, or a key cannot be read.
        """
        found, threshold = self.signers_here(role, delegator), delegator.get_delegated_role(role).threshold
        if len(found) < threshold:
            raise TrustError(
                f"too few keys to sign {role} metadata",
                value=f"{len(found)} of {threshold} in {self.folder}",
                fix="Bring the other keys of this role, and check that this folder belongs to this repository.",
            )
        return found

    def signers_here(self, role: str, delegator: Root | Targets) -> list[CryptoSigner]:
        """Return as many signers of ``role`` as there are here, perhaps none.

        Raises:
            TrustError: a key cannot be read.
        """
        found = []
        for keyid in delegator.get_delegated_role(role).keyids:
            key = self._held(role, keyid)
            # Compare keys, not only ids: a key id in metadata is whatever the metadata says it is.
            if key is not None and (signer := signer_for(key)).public_key == delegator.get_key(keyid):
                found.append(signer)
        return found

    def places(self, role: str, delegator: Root | Targets) -> tuple[KeyPlace, ...]:
        """Return where each key of ``role`` lies, without opening it."""
        named = delegator.get_delegated_role(role)
        places = []
        for keyid in named.keyids:
            uri, path = self._locations.get(keyid), self._path(role, keyid)
            here = path.exists()
            if uri is not None:
                scheme, _, rest = uri.partition(":")
                here = Path(rest).exists() if scheme == "file" else bool(os.environ.get(rest))
            place = uri or (str(path) if here else None)
            places.append(KeyPlace(role=role, keyid=keyid, threshold=named.threshold, place=place, here=here))
        return tuple(places)

    def _held(self, role: str, keyid: str) -> PrivateKey | None:
        if keyid in self._locations:
            return key_at(self._locations[keyid], passphrase=self._passphrase)
        path = self._path(role, keyid)
        return load_private_key(path, passphrase=self._passphrase) if path.exists() else None

    def _path(self, role: str, keyid: str) -> Path:
        return self.folder / f"{role}-{keyid[:12]}.pem"
