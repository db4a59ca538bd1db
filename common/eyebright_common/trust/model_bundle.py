"""The OpenSSF model-signing bundle of a release: provenance for tools that know nothing of this network.

* A Sigstore bundle around a DSSE envelope around an in-toto statement that names every file with its SHA-256
  (ossf/model-signing-spec 1.0, method ``files``, signed with a plain key). The reference tool verifies it with the
  public key alone; nothing is sent to a transparency log.
* It says who made the files, not that they are the newest: that is the update framework's, which units rely on.
* One ECDSA P-256 key, ``models.pem``, beside the offline keys; ``models.pub`` is for everybody. A key that is
  replaced keeps its public half under its digest, for the bundles that it signed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.dsse import Envelope

from eyebright_common.digests import sha256_of
from eyebright_common.durable import write_bytes
from eyebright_common.errors import TrustError
from eyebright_common.trust.keys import load_certificate_key, new_certificate_key, save_private_key, signer_for

BUNDLE_FILE = "model.sig"
_KEY_FILE, _PUBLIC_FILE = "models.pem", "models.pub"


class ModelSigner:
    """Signs bundles with the key in one folder.

    Args:
        folder: Of the offline keys.
        passphrase: Under which the key is encrypted, if it is.
    """

    def __init__(self, folder: Path, *, passphrase: bytes | None = None) -> None:
        self._folder = folder
        self._passphrase = passphrase

    def create(self) -> None:
        """Make the key.

        Raises:
            TrustError: there is one already.
        """
        key = new_certificate_key()
        save_private_key(self._folder / _KEY_FILE, key, passphrase=self._passphrase)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        write_bytes(self._folder / _PUBLIC_FILE, public)

    def rotate(self) -> str:
        """Replace the key; return the hint by which bundles name the new one.

        Raises:
            TrustError: there is no key to replace.
        """
        public = self.public_pem()
        write_bytes(self._folder / f"models-{_hint(public)[:12]}.pub", public)
        (self._folder / _KEY_FILE).unlink()
        self.create()
        return _hint(self.public_pem())

    def public_pem(self) -> bytes:
        """Return the public key, as verifiers want it.

        Raises:
            TrustError: it is not here.
        """
        try:
            return (self._folder / _PUBLIC_FILE).read_bytes()
        except OSError as error:
            raise TrustError(
                "the key of the model-signing bundles is not here", value=self._folder, fix="Bring the offline keys."
            ) from error

    def sign(self, files: Iterable[Path], *, name: str) -> bytes:
        """Return the bundle over ``files``, all of one folder; ``name`` is what verifiers are shown.

        Raises:
            TrustError: the key is not here or cannot be opened.
        """
        hint = _hint(self.public_pem())
        signer = signer_for(load_certificate_key(self._folder / _KEY_FILE, passphrase=self._passphrase))
        statement = json.dumps(_statement(sorted(files, key=lambda path: path.name), name)).encode()
        envelope = Envelope(statement, "application/vnd.in-toto+json", {})
        envelope.sign(signer)
        bundle = {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
            "dsseEnvelope": envelope.to_dict(),
        }
        return json.dumps(bundle).encode()


def _statement(files: list[Path], name: str) -> dict[str, object]:
    digests = [sha256_of(path) for path in files]
    # The subject is the digest of all digests in order (specification, "manifest").
    whole = hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in digests)).hexdigest()
    resources = [
        {"name": path.name, "digest": digest, "algorithm": "sha256"}
        for path, digest in zip(files, digests, strict=True)
    ]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": whole}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "resources": resources,
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": []},
        },
    }


def _hint(public_pem: bytes) -> str:
    return hashlib.sha256(public_pem).hexdigest()
