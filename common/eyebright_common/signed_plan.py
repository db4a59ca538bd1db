"""Who wrote a plan: an Ed25519 signature over its canonical JSON.

* The key is the operator's, made on the server and kept there; hospitals hold its public half, 32 bytes in hex, and
  decide in their own policy whether a plan without a good signature is read at all.
* What is signed begins with a fixed line, so that no signature of something else can be taken for one of a plan.
* A signature says who asked. Whether the hospital agrees is another question, and the policy's.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError, TrustError
from eyebright_common.plan import Plan

_PREFIX = b"eyebright plan 1\n"


class PlanSigner:
    """The operator's key for plans."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def open_or_make(cls, path: Path) -> PlanSigner:
        """Return the key in ``path``, a PEM file readable by its owner alone; made when there is none.

        Raises:
            InputError: the file is not such a key.
        """
        if not path.exists():
            key = Ed25519PrivateKey.generate()
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            write_bytes(path, pem, mode=0o600)
        try:
            found = load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise InputError("the key for plans cannot be read", value=path, fix="Restore it from a copy.") from error
        if not isinstance(found, Ed25519PrivateKey):
            raise InputError("the key for plans is of another kind", value=path, fix="Restore it from a copy.")
        return cls(found)

    @property
    def public(self) -> str:
        """The public half, hex: what a hospital writes into its policy."""
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

    def sign(self, plan: Plan) -> str:
        """Return the signature of ``plan``, hex."""
        return self._key.sign(_PREFIX + plan.canonical_json().encode()).hex()


def verify_plan(plan: Plan, signature: str, keys: Iterable[str]) -> None:
    """Return when one of ``keys`` signed ``plan``.

    Args:
        plan: What was asked.
        signature: Hex; empty for none.
        keys: Public keys, hex.

    Raises:
        TrustError: none of them did.
    """
    content = _PREFIX + plan.canonical_json().encode()
    for key in keys:
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature), content)
        except (InvalidSignature, ValueError):
            continue
        return
    raise TrustError(
        "the plan is not signed by an operator this hospital knows",
        value=signature[:16] or "no signature",
        fix="Ask the operator for the public key for plans; compare it before you add it to the policy.",
    )
