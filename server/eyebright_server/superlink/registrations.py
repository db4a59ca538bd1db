"""Which node key belongs to which hospital.

* A registration is an entry of the ledger and nothing else: the newest one of a name counts, and who registered which
  key when can be audited like everything else.
* A hospital keeps its number when it joins again with another key; numbers are given in the order of joining and never
  given twice.
* A key that belongs to another hospital is refused. A revoked hospital has no key in force, whatever the ledger holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from eyebright_common.errors import TrustError
from eyebright_common.trust import Role
from eyebright_server.records import Records, ledger
from eyebright_server.records.ledger import LedgerEntry

KIND = "node-registered"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRegistration:
    """A hospital's node.

    Attributes:
        name: The hospital.
        site_index: Its number in the federation.
        public_key_pem: Public half of its node key, as Flower spells it.
    """

    name: str
    site_index: int
    public_key_pem: bytes


def register_node(records: Records, *, name: str, public_key_pem: bytes, now: datetime) -> NodeRegistration:
    """Note the node key of a hospital; saying the same again changes nothing.

    Raises:
        TrustError: the key is not EC P-384, or it belongs to another hospital.
    """
    pem = _checked(public_key_pem)
    with records.writing() as session:
        known = _newest(ledger.read(session))
        if any(node.public_key_pem == pem and node.name != name for node in known.values()):
            raise TrustError("this node key belongs to another hospital", value=name, fix="Make a fresh key.")
        before = known.get(name)
        if before is not None and before.public_key_pem == pem:
            return before
        node = NodeRegistration(name=name, site_index=before.site_index if before else len(known), public_key_pem=pem)
        facts = {
            "name": name,
            "site_index": node.site_index,
            "public_key": pem.decode(),
            "sha256": hashlib.sha256(pem).hexdigest(),
        }
        ledger.append(session, KIND, facts, now=now)
    return node


def nodes_in_force(records: Records) -> dict[str, NodeRegistration]:
    """Return the node of every hospital that is enrolled and not revoked, by name."""
    enrolled = {row.name for row in records.participants() if row.role == Role.HOSPITAL and row.revoked is None}
    return {name: node for name, node in _newest(records.ledger()).items() if name in enrolled}


def _newest(entries: Iterable[LedgerEntry]) -> dict[str, NodeRegistration]:
    found: dict[str, NodeRegistration] = {}
    for entry in entries:
        if entry.kind == KIND:
            facts = entry.facts
            found[str(facts["name"])] = NodeRegistration(
                name=str(facts["name"]),
                site_index=int(str(facts["site_index"])),
                public_key_pem=str(facts["public_key"]).encode(),
            )
    return found


def _checked(pem: bytes) -> bytes:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TrustError("a node key cannot be read", fix="Join again.") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise TrustError("a node key must be EC P-384", fix="Join again.")
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
