"""What a certificate says about its holder, and what a certificate request must look like.

* A holder is named by one URI in the subject alternative names, ``spiffe://eyebright/<role>/<name>``; the common name
  is decoration and decides nothing.
* A request contributes its public key only. Names and extensions in it are ignored: the authority writes those from
  the invitation, so a unit cannot ask to be somebody else.
* Only ECDSA on P-256 is accepted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from eyebright_common.errors import InputError, TrustError

TRUST_DOMAIN = "eyebright"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Role(StrEnum):
    """What a certificate's holder is in the network; what each may ask for is decided where it asks.

    ``builder`` is a unit that compiles engines for its twins, ``console`` a place from which somebody looks on.
    """

    UNIT = "unit"
    HOSPITAL = "hospital"
    BUILDER = "builder"
    CONSOLE = "console"
    SERVER = "server"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerIdentity:
    """Who holds a certificate.

    Attributes:
        role: What the holder is.
        name: Which one.
        fingerprint: SHA-256 of the certificate in DER form, as hexadecimal.
        not_after: When the certificate ends.
    """

    role: Role
    name: str
    fingerprint: str
    not_after: datetime

    @property
    def uri(self) -> str:
        """The identity as it stands in the certificate."""
        return identity_uri(self.role, self.name)


def checked_name(name: str) -> str:
    """Return ``name`` when it can name a unit, a hospital or a server.

    Raises:
        InputError: it has other characters than small letters, digits, dot, dash and underscore, or is too long.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            "this cannot be the name of a participant",
            value=name[:80],
            fix="Use 1 to 63 small letters, digits, dots, dashes or underscores, beginning with a letter or digit.",
        )
    return name


def identity_uri(role: Role, name: str) -> str:
    """Return the subject alternative name of a participant."""
    return f"spiffe://{TRUST_DOMAIN}/{role.value}/{name}"


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate in DER form, as hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def load_certificate(pem: bytes) -> x509.Certificate:
    """Parse the first certificate in ``pem``.

    Raises:
        TrustError: it is not a certificate.
    """
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise TrustError("this is not a certificate", fix="Enrol again with a new invitation.") from error


def read_identity(pem: bytes) -> PeerIdentity:
    """Return who holds a certificate. The chain is the TLS layer's to check, before this.

    Raises:
        TrustError: the certificate does not name exactly one participant of this network.
    """
    certificate = load_certificate(pem)
    role, name = _role_and_name(certificate)
    return PeerIdentity(
        role=role, name=name, fingerprint=fingerprint(certificate), not_after=certificate.not_valid_after_utc
    )


def _role_and_name(certificate: x509.Certificate) -> tuple[Role, str]:
    refused = TrustError("the certificate names no participant of this network", fix="Enrol with an invitation.")
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError) as error:
        raise refused from error
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    prefix = f"spiffe://{TRUST_DOMAIN}/"
    # Exactly one: with two identities in one certificate, two readers could pick different ones.
    if len(uris) != 1 or not uris[0].startswith(prefix):
        raise refused
    role, _, name = uris[0].removeprefix(prefix).partition("/")
    if role not in set(Role) or not _NAME.fullmatch(name):
        raise refused
    return Role(role), name


def certificate_request(key: ec.EllipticCurvePrivateKey, *, role: Role, name: str) -> bytes:
    """Return a certificate request (PEM) for ``key``; the names in it are for people who read logs."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{role.value} {checked_name(name)}")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM)


def requested_key(request_pem: bytes) -> ec.EllipticCurvePublicKey:
    """Return the public key of a certificate request, having checked that the sender holds the private half.

    Raises:
        TrustError: it is not a request, its signature does not hold, or its key is not ECDSA on P-256.
    """
    try:
        request = x509.load_pem_x509_csr(request_pem)
        holds = request.is_signature_valid
        key = request.public_key()
    except Exception as error:  # the parser's own errors, and unsupported algorithms, all mean the same here
        raise TrustError("this is not a certificate request", fix="Enrol again from the unit.") from error
    if not holds:
        raise TrustError("the certificate request is not signed by its own key", fix="Enrol again from the unit.")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TrustError("the certificate request has a key of another kind", fix="Use an ECDSA P-256 key.")
    return key
