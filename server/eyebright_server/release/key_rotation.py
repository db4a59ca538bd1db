"""Replacing and revoking the keys of a repository, so that units follow by themselves.

* Root: the new root is signed by the old keys and the new (specification 5.3.4).
* Targets, snapshot, timestamp: their metadata is first signed by the old keys *and* the new, then the root that names
  the new ones is written. Between any two writes a unit finds a repository that verifies. When too few of the old keys
  are left for that (the disk with the only timestamp key died), the root goes first, and units that poll in the moment
  between the two writes are refused once.
* Students, teachers: the targets metadata names the new keys, the role is signed by them, and both come into force with
  one timestamp.
* All keys of a role at once, for the day on which all of them are lost: whoever names the role's keys is enough for it.
  Not of the root, which nobody names.
* A retired key's file is deleted last. A power cut before that leaves an unused file, never a role nobody can sign for.
* New snapshot and timestamp keys also heal a fast-forward: units drop what the retired keys signed (5.3.11).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Key

from eyebright_common.errors import TrustError
from eyebright_common.trust import KeyPlace
from eyebright_server.release.role_keys import ONLINE_KEYS, ROLES, RoleKeys, delegator
from eyebright_server.release.signed_metadata import DELEGATED, InForce, MetadataFolder

Signers: TypeAlias = Mapping[str, list[CryptoSigner]]
Retired: TypeAlias = Mapping[str, tuple[str, ...]]


def named_key(places: tuple[KeyPlace, ...], keyid: str, role: str | None = None) -> str:
    """Return the full id of the key that ``keyid`` begins, at least eight characters of it.

    Raises:
        TrustError: no role names such a key, or more than one.
    """
    found = {p.keyid for p in places if p.keyid.startswith(keyid) and role in (None, p.role)}
    if len(found) != 1 or len(keyid) < 8:
        what = f"this is not a {role} key" if role else "no role names this key"
        raise TrustError(what, value=keyid, fix="See: eyebright server key list DIR")
    return found.pop()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotation:
    """Changes of keys in one repository, under its lock.

    Attributes:
        metadata: The signed files.
        keys: The rings.
    """

    metadata: MetadataFolder
    keys: RoleKeys

    def rotate(self, role: str, keyid: str | None) -> str:
        """Replace a key of ``role`` by a fresh one; return the new id.

        Raises:
            TrustError: no such role or key, or too few keys are here.
        """
        self.keys.ring(role)  # refuses what is no role
        now = self.metadata.in_force()
        return self._replace({role: (self._to_retire(role, keyid, now),)}, now)[role][0]

    def rotate_all(self, role: str) -> tuple[str, ...]:
        """Replace every key of ``role`` by a fresh one, even when all of them are lost; return the new ids.

        Raises:
            TrustError: no such role, it is the root, or too few keys of whoever names its keys are here.
        """
        self.keys.ring(role)
        if role == "root":
            fix = "Replace them one at a time, with two of the others here."
            raise TrustError("the keys of the root cannot be replaced all at once", fix=fix)
        now = self.metadata.in_force()
        return self._replace({role: tuple(place.keyid for place in self.keys.places(now) if place.role == role)}, now)[
            role
        ]

    def rotate_online(self) -> dict[str, str]:
        """Replace the snapshot and the timestamp key at once, even when both are lost; return the new ids by role.

        Raises:
            TrustError: too few root keys are here.
        """
        now = self.metadata.in_force()
        fresh = self._replace({role: (self._to_retire(role, None, now),) for role in ONLINE_KEYS}, now)
        return {role: keyids[0] for role, keyids in fresh.items()}

    def _replace(self, retired: Retired, now: InForce) -> dict[str, tuple[str, ...]]:
        for role, keyids in retired.items():
            self._require_signers(role, now, without=keyids, coming=len(keyids))
        self._require_online(now, besides=set(retired))
        fresh = {role: [self.keys.ring(role).new_key(role) for _ in keyids] for role, keyids in retired.items()}
        self._change(retired, now, fresh=fresh)
        self._drop(retired)
        return {role: tuple(key.keyid for key in keys) for role, keys in fresh.items()}

    def _drop(self, retired: Retired) -> None:
        for role, keyids in retired.items():
            for keyid in keyids:
                self.keys.ring(role).drop_key(role, keyid)

    def revoke(self, keyid: str) -> tuple[str, ...]:
        """Take a key out of every role, without a successor; return these roles.

        Raises:
            TrustError: no such key, or a role would fall below its threshold.
        """
        now = self.metadata.in_force()
        places = self.keys.places(now)
        retired = named_key(places, keyid)
        roles = {place.role for place in places if place.keyid == retired}
        for role in roles:
            named = delegator(role, now).get_delegated_role(role)
            if len(named.keyids) <= named.threshold:
                raise TrustError(
                    f"{role} would have fewer keys than must sign",
                    value=f"{len(named.keyids) - 1} of {named.threshold}",
                    fix=f"Replace the key instead: eyebright server key rotate DIR {role} --key {retired[:12]}",
                )
            self._require_signers(role, now, without=(retired,))
        self._require_online(now, besides=roles)
        gone = dict.fromkeys(roles, (retired,))
        self._change(gone, now)
        self._drop(gone)
        return tuple(sorted(roles))

    def _to_retire(self, role: str, keyid: str | None, now: InForce) -> str:
        places = tuple(place for place in self.keys.places(now) if place.role == role)
        if keyid is not None:
            return named_key(places, keyid, role)
        # A key that is not here is more likely the reason than one that is.
        return next((place.keyid for place in places if not place.here), places[0].keyid)

    def _require_signers(self, role: str, now: InForce, *, without: tuple[str, ...], coming: int = 0) -> None:
        # Before anything is made: whoever names the role's keys must be able to sign, and the role afterwards too.
        self.keys.signers("targets" if role in DELEGATED else "root", now)
        threshold = delegator(role, now).get_delegated_role(role).threshold
        left = [s for s in self.keys.signers_here(role, now) if s.public_key.keyid not in without]
        if len(left) + coming < threshold:
            raise TrustError(
                f"too few keys would be left here to sign {role} metadata",
                value=f"{len(left) + coming} of {threshold}",
                fix=f"Bring the other keys of this role; if all are lost: eyebright server key rotate DIR {role} --all",
            )

    def _require_online(self, now: InForce, *, besides: set[str]) -> None:
        # Nearly every change ends with a new snapshot and timestamp; an unsigned one would lock everybody out.
        for role in set(ONLINE_KEYS) - besides if besides != {"root"} else ():
            if not self.keys.signers_here(role, now):
                raise TrustError(
                    f"the {role} key is not here either", fix="Replace both: eyebright server key rotate DIR online"
                )

    def _change(self, retired: Retired, now: InForce, *, fresh: Mapping[str, list[Key]] | None = None) -> None:
        before = {role: self.keys.signers_here(role, now) for role in ROLES}
        roles = set(retired)
        for role, keyids in retired.items():
            for key in fresh[role] if fresh is not None else ():
                delegator(role, now).add_key(key, role)
            for keyid in keyids:
                delegator(role, now).revoke_key(keyid, role)
        if delegated := roles & set(DELEGATED):
            involved = ("targets", *delegated, *ONLINE_KEYS)
            self._rewrite({"targets", *delegated}, now, {role: self.keys.signers(role, now) for role in involved})
        if rooted := roles - set(DELEGATED):
            self._change_root(rooted, now, before)

    def _change_root(self, roles: set[str], now: InForce, before: Signers) -> None:
        both = {role: _united(before[role], self.keys.signers_here(role, now)) for role in ROLES}
        leaves = roles - {"root"}
        old_can_sign = all(len(before[role]) >= now.root.roles[role].threshold for role in leaves)
        if leaves and old_can_sign:
            self._rewrite(leaves & {"targets"}, now, both)
        now.root.version += 1
        self.metadata.write_root(now.root, both["root"])
        if leaves and not old_can_sign:
            self._rewrite(leaves & {"targets"}, now, both)

    def _rewrite(self, roles: set[str], now: InForce, signers: Signers) -> None:
        for role in sorted(roles):
            now.of(role).version += 1
            self.metadata.write_targets(role, now.of(role), signers[role])
        self.metadata.write_online(now.versions, {r: signers[r] for r in ONLINE_KEYS}, current=now.timestamp)


def _united(some: list[CryptoSigner], others: list[CryptoSigner]) -> list[CryptoSigner]:
    known = {signer.public_key.keyid for signer in some}
    return [*some, *(signer for signer in others if signer.public_key.keyid not in known)]
