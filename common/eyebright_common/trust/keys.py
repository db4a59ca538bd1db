"""Private keys and where they lie.

* Certificates use ECDSA P-256 (what TLS stacks of every age speak); update metadata uses Ed25519.
* A private key is a PKCS#8 PEM file readable by its owner alone, optionally under a passphrase. A file that others may
  read is refused, as ssh does: the permission is part of the key.
* Nothing here generates a key for somebody else; whoever needs a key makes it where it will stay.
"""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner

from eyebright_common.durable import write_bytes
from eyebright_common.errors import TrustError

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | Ed25519PrivateKey


def new_certificate_key() -> ec.EllipticCurvePrivateKey:
    """Return a fresh ECDSA P-256 key, for a certificate."""
    return ec.generate_private_key(ec.SECP256R1())


def new_signing_key() -> Ed25519PrivateKey:
    """Return a fresh Ed25519 key, for update metadata."""
    return Ed25519PrivateKey.generate()


def signer_for(key: PrivateKey) -> CryptoSigner:
    """Return the signer of ``key`` as the update framework wants it; its key id is derived from the public key."""
    return CryptoSigner(key)


def private_pem(key: PrivateKey, *, passphrase: bytes | None = None) -> bytes:
    """Return ``key`` as PKCS#8 PEM, encrypted when there is a passphrase."""
    protection: KeySerializationEncryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


def public_key_digest(key: PrivateKey | ec.EllipticCurvePublicKey) -> str:
    """Return the SHA-256 of the public half in DER form, as hexadecimal."""
    public = key if isinstance(key, ec.EllipticCurvePublicKey) else key.public_key()
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def save_private_key(path: Path, key: PrivateKey, *, passphrase: bytes | None = None) -> None:
    """Write ``key`` where only its owner may read it.

    Raises:
        TrustError: there is a key already; a key is never overwritten.
    """
    if path.exists():
        raise TrustError("a private key is already there", value=path, fix="Keep it, or move it away first.")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_bytes(path, private_pem(key, passphrase=passphrase), mode=0o600)


def load_private_key(path: Path, *, passphrase: bytes | None = None) -> PrivateKey:
    """Read a private key.

    Raises:
        TrustError: there is none, others may read it, the passphrase is wrong, or it is a kind of key we do not use.
    """
    try:
        mode = path.stat().st_mode
        pem = path.read_bytes()
    except OSError as error:
        raise TrustError("a private key cannot be read", value=path, fix="Check that its folder is here.") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise TrustError("a private key can be read by others", value=path, fix=f"Run: chmod 600 {path}")
    return parse_private_key(pem, named=path, passphrase=passphrase)


def parse_private_key(pem: bytes, *, named: object, passphrase: bytes | None = None) -> PrivateKey:
    """Return the private key in ``pem``.

    Raises:
        TrustError: it cannot be opened, or is a kind of key we do not use; the message has ``named``, never the key.
    """
    try:
        key = load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError) as error:
        # cryptography says TypeError both for a passphrase that is missing and for one that is not wanted.
        raise TrustError(
            "a private key cannot be opened", value=named, fix="Check the file and the passphrase."
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | Ed25519PrivateKey):
        raise TrustError("a private key is of an unknown kind", value=named, fix="Use ECDSA P-256 or Ed25519.")
    return key


def load_certificate_key(path: Path, *, passphrase: bytes | None = None) -> ec.EllipticCurvePrivateKey:
    """Read a private key that belongs to a certificate.

    Raises:
        TrustError: as ``load_private_key``, or the key is not an ECDSA key.
    """
    key = load_private_key(path, passphrase=passphrase)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TrustError("this key cannot serve a certificate", value=path, fix="Use an ECDSA P-256 key.")
    return key
