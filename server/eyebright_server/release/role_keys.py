"""Which keys sign for which role of the repository, and where they are.

Two rings: ``offline`` for what a person signs, ``online`` for what the server signs by itself. The root names the keys
of the top roles; the targets metadata names those of the roles it delegates to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole, Delegations, Key, Root, Targets

from eyebright_common.errors import TrustError
from eyebright_common.trust import KeyPlace, Keyring
from eyebright_server.release.signed_metadata import DELEGATED, InForce

OFFLINE_KEYS = {"root": 3, "targets": 2, "students": 2, "teachers": 2}
ONLINE_KEYS = {"snapshot": 1, "timestamp": 1}
ROLES = (*OFFLINE_KEYS, *ONLINE_KEYS)
THRESHOLDS = {"root": 2, "targets": 2, "students": 2, "teachers": 2, "snapshot": 1, "timestamp": 1}


def delegator(role: str, now: InForce) -> Root | Targets:
    """Return the metadata that names the keys of ``role``."""
    return now.targets if role in DELEGATED else now.root


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleKeys:
    """The two rings of a repository.

    Attributes:
        offline: Root, targets, students, teachers.
        online: Snapshot, timestamp.
    """

    offline: Keyring
    online: Keyring

    def ring(self, role: str) -> Keyring:
        """Return the ring in which the keys of ``role`` are.

        Raises:
            TrustError: there is no such role.
        """
        if role not in ROLES:
            raise TrustError("there is no such role", value=role, fix=f"Choose one of: {', '.join(ROLES)}.")
        return self.online if role in ONLINE_KEYS else self.offline

    def signers(self, role: str, now: InForce) -> list[CryptoSigner]:
        """Return signers of ``role``, at least as many as its threshold.

        Raises:
            TrustError: too few keys are here.
        """
        return self.ring(role).signers(role, delegator(role, now))

    def signers_here(self, role: str, now: InForce) -> list[CryptoSigner]:
        """Return signers of ``role``, as many as are here."""
        return self.ring(role).signers_here(role, delegator(role, now))

    def online_signers(self, now: InForce) -> Mapping[str, list[CryptoSigner]]:
        """Return the signers of snapshot and timestamp.

        Raises:
            TrustError: a key is not here.
        """
        return {role: self.signers(role, now) for role in ONLINE_KEYS}

    def places(self, now: InForce) -> tuple[KeyPlace, ...]:
        """Return every key that is named anywhere, and where it lies."""
        return tuple(place for role in ROLES for place in self.ring(role).places(role, delegator(role, now)))

    def made(self) -> InForce:
        """Make all keys, and the unsigned metadata of an empty repository that names them."""
        root = Root(consistent_snapshot=True)
        for role in (role for role in ROLES if role not in DELEGATED):
            for key in self._new_keys(role):
                root.add_key(key, role)
            root.roles[role].threshold = THRESHOLDS[role]
        roles = {r: DelegatedRole(r, [], THRESHOLDS[r], True, list(paths)) for r, paths in DELEGATED.items()}
        targets = Targets(delegations=Delegations({}, roles))
        for role in DELEGATED:
            for key in self._new_keys(role):
                targets.add_key(key, role)
        return InForce(root=root, targets=targets, delegated={role: Targets() for role in DELEGATED})

    def _new_keys(self, role: str) -> list[Key]:
        return [self.ring(role).new_key(role) for _ in range((OFFLINE_KEYS | ONLINE_KEYS)[role])]
