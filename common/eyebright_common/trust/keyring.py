"""A folder of signing keys, found by key id.

* One key per file, ``<role>-<first 12 of key id>.pem``. The name is for people; what counts is the key inside.
* A folder need not hold every key of a role: keys of a threshold belong on different sticks in different drawers.
"""

from __future__ import annotations

from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Key, Root

from eyebright_common.errors import TrustError
from eyebright_common.trust.keys import load_private_key, new_signing_key, save_private_key, signer_for


class Keyring:
    """The signing keys in one folder.

    Args:
        folder: Where the key files lie; it need not exist, and then holds no key.
        passphrase: Under which they are encrypted, if they are.
    """

    def __init__(self, folder: Path, *, passphrase: bytes | None = None) -> None:
        self.folder = folder
        self._passphrase = passphrase

    def new_key(self, role: str) -> Key:
        """Make and keep a key for ``role``; return its public half."""
        key = new_signing_key()
        public = signer_for(key).public_key
        save_private_key(self._path(role, public.keyid), key, passphrase=self._passphrase)
        return public

    def drop_key(self, role: str, keyid: str) -> None:
        """Delete a key that no longer signs anything."""
        self._path(role, keyid).unlink(missing_ok=True)

    def signers(self, role: str, root: Root) -> list[CryptoSigner]:
        """Return a signer for every key of ``role`` that ``root`` names and this folder holds.

        Raises:
            TrustError: these are fewer than the threshold of the role, or a key cannot be read.
        """
        wanted = root.roles[role]
        found = []
        for path in sorted(self.folder.glob(f"{role}-*.pem")):
            signer = signer_for(load_private_key(path, passphrase=self._passphrase))
            # Compare keys, not only ids: a key id in metadata is whatever the metadata says it is.
            if signer.public_key.keyid in wanted.keyids and root.keys[signer.public_key.keyid] == signer.public_key:
                found.append(signer)
        if len(found) < wanted.threshold:
            raise TrustError(
                f"too few keys to sign {role} metadata",
                value=f"{len(found)} of {wanted.threshold} in {self.folder}",
                fix="Bring the other keys of this role, and check that this folder belongs to this repository.",
            )
        return found

    def _path(self, role: str, keyid: str) -> Path:
        return self.folder / f"{role}-{keyid[:12]}.pem"
