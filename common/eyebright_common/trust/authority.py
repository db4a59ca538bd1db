"""The operator's certificate authority.

* One self-signed authority per network, path length 0: what it signs cannot sign in turn.
* It issues server certificates for named hosts and short-lived certificates for units and hospitals. Short-lived so
  that a lost unit stops being trusted by itself; renewed over the distribution service while the old one still holds.
* Validity begins an hour before the issuing clock, because the clocks of small computers are wrong; it deliberately
  keeps no list of what it issued. The records do.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError, TrustError
from eyebright_common.trust.certificates import (
    PeerIdentity,
    Role,
    checked_name,
    identity_uri,
    load_certificate,
    read_identity,
    requested_key,
)
from eyebright_common.trust.keys import load_certificate_key, new_certificate_key, private_pem, save_private_key

AUTHORITY_VALIDITY = timedelta(days=3650)
SERVER_VALIDITY = timedelta(days=365)
PARTICIPANT_VALIDITY = timedelta(days=30)
_BACKDATED = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A private key with its certificate, as TLS wants them.

    Attributes:
        key_pem: The private key; never leaves the machine.
        certificate_pem: The certificate.
    """

    key_pem: bytes
    certificate_pem: bytes

    def __repr__(self) -> str:
        return "Credentials(key_pem=<private>)"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """A certificate the authority has just signed, and what it says."""

    pem: bytes
    identity: PeerIdentity


class CertificateAuthority:
    """Signs certificates for one network."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate
        self.certificate_pem = certificate.public_bytes(Encoding.PEM)

    @classmethod
    def create(
        cls, folder: Path, *, now: datetime, name: str = "Eyebright operator", passphrase: bytes | None = None
    ) -> CertificateAuthority:
        """Make a new authority in ``folder`` (``ca.key``, ``ca.pem``).

        Raises:
            TrustError: there is one already.
        """
        key = new_certificate_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            _builder(subject, subject, key.public_key(), now, AUTHORITY_VALIDITY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
        )
        certificate = builder.sign(key, hashes.SHA256())
        save_private_key(folder / "ca.key", key, passphrase=passphrase)
        write_bytes(folder / "ca.pem", certificate.public_bytes(Encoding.PEM))
        return cls(key, certificate)

    @classmethod
    def open(cls, folder: Path, *, passphrase: bytes | None = None) -> CertificateAuthority:
        """Open the authority in ``folder``.

        Raises:
            TrustError: there is none, or its key cannot be opened or is not the certificate's.
        """
        key = load_certificate_key(folder / "ca.key", passphrase=passphrase)
        try:
            certificate = load_certificate((folder / "ca.pem").read_bytes())
        except OSError as error:
            raise TrustError("the authority's certificate is missing", value=folder / "ca.pem") from error
        if certificate.public_key() != key.public_key():
            raise TrustError("the authority's key and certificate do not belong together", value=folder)
        return cls(key, certificate)

    def issue_server(
        self, hosts: Sequence[str], *, now: datetime, validity: timedelta = SERVER_VALIDITY
    ) -> Credentials:
        """Return a new key and certificate for a server reachable under ``hosts`` (names or addresses).

        Raises:
            InputError: no host was given.
        """
        if not hosts:
            raise InputError("a server certificate needs a host", fix="Name the hosts under which units reach it.")
        key = new_certificate_key()
        alternatives = [x509.UniformResourceIdentifier(identity_uri(Role.SERVER, "distribution"))]
        certificate = self._issue(
            key.public_key(),
            common_name=hosts[0],
            alternatives=[*alternatives, *(_host(h) for h in hosts)],
            usage=ExtendedKeyUsageOID.SERVER_AUTH,
            now=now,
            validity=validity,
        )
        return Credentials(key_pem=private_pem(key), certificate_pem=certificate.public_bytes(Encoding.PEM))

    def sign_request(
        self, request_pem: bytes, *, role: Role, name: str, now: datetime, validity: timedelta = PARTICIPANT_VALIDITY
    ) -> IssuedCertificate:
        """Return a certificate for the key of a request, under the role and name given here, not those in the request.

        Raises:
            TrustError: the request does not hold.
            InputError: the name cannot be used.
        """
        certificate = self._issue(
            requested_key(request_pem),
            common_name=f"{role.value} {checked_name(name)}",
            alternatives=[x509.UniformResourceIdentifier(identity_uri(role, name))],
            usage=ExtendedKeyUsageOID.CLIENT_AUTH,
            now=now,
            validity=validity,
        )
        pem = certificate.public_bytes(Encoding.PEM)
        return IssuedCertificate(pem=pem, identity=read_identity(pem))

    def _issue(
        self,
        key: ec.EllipticCurvePublicKey,
        *,
        common_name: str,
        alternatives: Sequence[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        now: datetime,
        validity: timedelta,
    ) -> x509.Certificate:
        # A common name holds 64 characters; longer ones are cut, since it decides nothing.
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
        builder = (
            _builder(subject, self._certificate.subject, key, now, validity)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, validity: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + validity)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
