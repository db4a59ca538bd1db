"""What an operator does with the keys of a repository: see where they are, say where one lies, replace, revoke.

Every change is made under the repository's lock, by ``KeyRotation``, which knows the order of writing.
"""

from __future__ import annotations

from pathlib import Path

from eyebright_common.trust import KeyPlace, Locations, ModelSigner
from eyebright_server.release.key_rotation import KeyRotation, named_key
from eyebright_server.release.role_keys import RoleKeys
from eyebright_server.release.signed_metadata import MetadataFolder


class KeyKeeping:
    """The part of a repository that keeps its keys; ``ReleaseRepository`` is the whole."""

    _metadata: MetadataFolder
    _keys: RoleKeys
    _models: ModelSigner
    _locations: Path

    def key_places(self) -> tuple[KeyPlace, ...]:
        """Return every key that is named anywhere, and where it lies.

        Raises:
            TrustError: the metadata does not verify.
        """
        return self._keys.places(self._metadata.in_force())

    def place_key(self, keyid: str, uri: str) -> None:
        """Write down that a key lies at a URI, not in the folder.

        Raises:
            TrustError: no role names such a key, or what lies there cannot be opened.
            InputError: the URI's scheme is not supported, or another key lies there.
        """
        places = self.key_places()
        full = named_key(places, keyid)
        for role in (place.role for place in places if place.keyid == full):
            self._keys.ring(role).place(full, uri)
        Locations.read(self._locations).written(self._locations, full, uri)

    def rotate_key(self, role: str, keyid: str | None = None) -> str:
        """Replace one key of a role by a fresh one; return the id of the new key.

        Args:
            role: Any role of the repository.
            keyid: The key to retire; when left out, one that is not here, else the first.

        Raises:
            TrustError: no such key, or too few keys are here.
        """
        with self._metadata.locked():
            return KeyRotation(metadata=self._metadata, keys=self._keys).rotate(role, keyid)

    def rotate_role(self, role: str) -> tuple[str, ...]:
        """Replace every key of a role but the root, even when all are lost; return the ids of the new keys.

        Raises:
            TrustError: no such role, it is the root, or too few keys of whoever names its keys are here.
        """
        with self._metadata.locked():
            return KeyRotation(metadata=self._metadata, keys=self._keys).rotate_all(role)

    def rotate_online_keys(self) -> dict[str, str]:
        """Replace snapshot and timestamp key at once, even when both are lost; return the new ids by role.

        Raises:
            TrustError: too few root keys are here.
        """
        with self._metadata.locked():
            return KeyRotation(metadata=self._metadata, keys=self._keys).rotate_online()

    def revoke_key(self, keyid: str) -> tuple[str, ...]:
        """Take a key out of every role without a successor; return the roles.

        Raises:
            TrustError: no such key, or a role would fall below its threshold.
        """
        with self._metadata.locked():
            return KeyRotation(metadata=self._metadata, keys=self._keys).revoke(keyid)

    def rotate_models_key(self) -> str:
        """Replace the key of the model-signing bundles; return the hint by which bundles name the new one.

        Raises:
            TrustError: the key is not here.
        """
        with self._metadata.locked():
            return self._models.rotate()

    def rotate_root_key(self, keyid: str | None = None) -> int:
        """Replace one root key by a fresh one; return the version of the new root metadata.

        Raises:
            TrustError: as ``rotate_key``.
        """
        self.rotate_key("root", keyid)
        return self._metadata.root().version
