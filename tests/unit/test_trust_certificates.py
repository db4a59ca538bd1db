"""Keys, certificates, invitations and identities, without a network."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from eyebright_common.errors import InputError, InvitationError, TrustError
from eyebright_common.trust import (
    CertificateAuthority,
    Invitation,
    Role,
    UnitIdentity,
    certificate_request,
    load_certificate,
    load_private_key,
    new_certificate_key,
    new_invitation,
    new_signing_key,
    read_identity,
    save_private_key,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path):
    return CertificateAuthority.create(tmp_path / "ca", now=NOW)


def request(name: str = "unit-1") -> bytes:
    return certificate_request(new_certificate_key(), role=Role.UNIT, name=name)


def test_a_certificate_names_its_holder_in_one_uri(authority):
    issued = authority.sign_request(request(), role=Role.UNIT, name="unit-1", now=NOW)
    assert issued.identity.uri == "spiffe://eyebright/unit/unit-1"
    assert read_identity(issued.pem) == issued.identity


def test_a_certificate_is_short_lived(authority):
    issued = authority.sign_request(request(), role=Role.UNIT, name="u", now=NOW, validity=timedelta(days=1))
    assert issued.identity.not_after == NOW + timedelta(days=1)


def test_a_unit_cannot_ask_to_be_somebody_else(authority):
    asked = certificate_request(new_certificate_key(), role=Role.SERVER, name="the-boss")
    issued = authority.sign_request(asked, role=Role.UNIT, name="unit-1", now=NOW)
    assert (issued.identity.role, issued.identity.name) == (Role.UNIT, "unit-1")


def test_a_units_certificate_cannot_sign_others(authority):
    issued = authority.sign_request(request(), role=Role.UNIT, name="unit-1", now=NOW)
    constraints = load_certificate(issued.pem).extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca


def test_a_units_certificate_cannot_pose_as_a_server(authority):
    issued = authority.sign_request(request(), role=Role.UNIT, name="unit-1", now=NOW)
    usage = load_certificate(issued.pem).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_server_certificate_holds_for_its_hosts(authority):
    credentials = authority.issue_server(["127.0.0.1", "updates.example.org"], now=NOW)
    names = load_certificate(credentials.certificate_pem).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert [str(a) for a in names.value.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert names.value.get_values_for_type(x509.DNSName) == ["updates.example.org"]


def test_an_authority_can_be_opened_again(authority, tmp_path):
    assert CertificateAuthority.open(tmp_path / "ca").certificate_pem == authority.certificate_pem


def test_an_authority_is_not_made_over_another(authority, tmp_path):
    with pytest.raises(TrustError, match="already there"):
        CertificateAuthority.create(tmp_path / "ca", now=NOW)


def test_an_authority_with_another_authoritys_key_is_refused(authority, tmp_path):
    CertificateAuthority.create(tmp_path / "other", now=NOW)
    (tmp_path / "other" / "ca.pem").write_bytes(authority.certificate_pem)
    with pytest.raises(TrustError, match="do not belong together"):
        CertificateAuthority.open(tmp_path / "other")


def signed_request(key) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())], ids=["RSA", "P-384"]
)
def test_a_request_with_another_kind_of_key_is_refused(authority, key):
    with pytest.raises(TrustError, match="another kind"):
        authority.sign_request(signed_request(key), role=Role.UNIT, name="u", now=NOW)


def test_a_request_that_is_garbage_is_refused(authority):
    with pytest.raises(TrustError, match="not a certificate request"):
        authority.sign_request(b"-----BEGIN NONSENSE-----", role=Role.UNIT, name="u", now=NOW)


def test_a_request_signed_by_another_key_is_refused(authority):
    der = bytearray(x509.load_pem_x509_csr(request()).public_bytes(Encoding.DER))
    der[-1] ^= 1  # the last byte of the signature
    changed = x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)
    with pytest.raises(TrustError, match="not signed by its own key"):
        authority.sign_request(changed, role=Role.UNIT, name="u", now=NOW)


@pytest.mark.parametrize(
    "uris",
    [
        [],
        ["spiffe://eyebright/unit/a", "spiffe://eyebright/unit/b"],
        ["spiffe://elsewhere/unit/a"],
        ["spiffe://eyebright/king/a"],
        ["spiffe://eyebright/unit/../server/x"],
        ["spiffe://eyebright/unit/"],
        ["https://eyebright/unit/a"],
    ],
)
def test_a_certificate_that_does_not_name_exactly_one_participant_is_refused(uris):
    key = new_certificate_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "spiffe://eyebright/unit/a")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    if uris:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
        builder = builder.add_extension(names, critical=False)
    with pytest.raises(TrustError, match="names no participant"):
        read_identity(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))


@pytest.mark.parametrize("name", ["", "Unit", "a b", "-a", "../a", "a/b", "ü", "a" * 64, "a\n"])
def test_a_name_that_could_be_mistaken_is_refused(authority, name):
    with pytest.raises(InputError):
        authority.sign_request(request(), role=Role.UNIT, name=name, now=NOW)


def test_a_private_key_is_readable_by_its_owner_alone(tmp_path):
    save_private_key(tmp_path / "key.pem", new_signing_key())
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600


def test_a_private_key_that_others_can_read_is_refused(tmp_path):
    save_private_key(tmp_path / "key.pem", new_signing_key())
    (tmp_path / "key.pem").chmod(0o640)
    with pytest.raises(TrustError, match="chmod 600"):
        load_private_key(tmp_path / "key.pem")


def test_a_private_key_is_never_overwritten(tmp_path):
    save_private_key(tmp_path / "key.pem", new_signing_key())
    before = (tmp_path / "key.pem").read_bytes()
    with pytest.raises(TrustError, match="already there"):
        save_private_key(tmp_path / "key.pem", new_signing_key())
    assert (tmp_path / "key.pem").read_bytes() == before


@pytest.mark.parametrize("passphrase", [None, b"wrong"])
def test_an_encrypted_key_needs_its_passphrase(tmp_path, passphrase):
    save_private_key(tmp_path / "key.pem", new_signing_key(), passphrase=b"right")
    assert load_private_key(tmp_path / "key.pem", passphrase=b"right") is not None
    with pytest.raises(TrustError, match="cannot be opened"):
        load_private_key(tmp_path / "key.pem", passphrase=passphrase)


def invitation(authority: CertificateAuthority) -> Invitation:
    return new_invitation(
        name="unit-1",
        role=Role.UNIT,
        enrolment_address="127.0.0.1:1",
        distribution_address="127.0.0.1:2",
        authority_pem=authority.certificate_pem,
        expires=NOW,
    )


def test_an_invitation_does_not_show_its_token_in_logs(authority):
    made = invitation(authority)
    assert made.token not in repr(made)
    assert made.token not in str(made)


def test_an_invitation_cut_while_copying_is_noticed(authority):
    text = invitation(authority).encode()
    with pytest.raises(InvitationError, match="cut or changed"):
        Invitation.decode(text[:100] + text[101:])


@pytest.mark.parametrize("text", ["", "hello", "eyebright1", "eyebright1.", "eyebright2.abc.def", "x" * 20_000])
def test_text_that_is_no_invitation_is_said_to_be_none(text):
    with pytest.raises(InvitationError, match="not an invitation"):
        Invitation.decode(text)


def test_an_invitation_knows_its_end(authority):
    made = invitation(authority)
    assert made.has_expired(NOW)
    assert not made.has_expired(NOW - timedelta(seconds=1))


def enrolled(authority: CertificateAuthority, folder) -> UnitIdentity:
    asked = UnitIdentity.begin(folder, name="unit-1")
    issued = authority.sign_request(asked, role=Role.UNIT, name="unit-1", now=NOW)
    return UnitIdentity.complete(
        folder,
        certificate_pem=issued.pem,
        authority_pem=authority.certificate_pem,
        root_metadata=b"{}",
        distribution_address="127.0.0.1:2",
    )


def test_an_identity_is_there_after_a_restart(authority, tmp_path):
    enrolled(authority, tmp_path / "unit")
    identity = UnitIdentity.open(tmp_path / "unit")
    assert (identity.name, identity.role, identity.distribution_address) == ("unit-1", Role.UNIT, "127.0.0.1:2")


def test_an_interrupted_enrolment_goes_on_with_the_same_key(tmp_path):
    first = x509.load_pem_x509_csr(UnitIdentity.begin(tmp_path / "unit", name="unit-1"))
    second = x509.load_pem_x509_csr(UnitIdentity.begin(tmp_path / "unit", name="unit-1"))
    assert first.public_key() == second.public_key()


def test_an_identity_is_not_replaced_by_enrolling_again(authority, tmp_path):
    enrolled(authority, tmp_path / "unit")
    with pytest.raises(TrustError, match="already has an identity"):
        UnitIdentity.begin(tmp_path / "unit", name="unit-2")


def test_a_certificate_for_another_key_is_not_kept(authority, tmp_path):
    UnitIdentity.begin(tmp_path / "unit", name="unit-1")
    issued = authority.sign_request(request(), role=Role.UNIT, name="unit-1", now=NOW)
    with pytest.raises(TrustError, match="not for the key"):
        UnitIdentity.complete(
            tmp_path / "unit",
            certificate_pem=issued.pem,
            authority_pem=authority.certificate_pem,
            root_metadata=b"{}",
            distribution_address="127.0.0.1:2",
        )


def test_an_identity_where_nobody_enrolled_says_so(tmp_path):
    with pytest.raises(TrustError, match="not enrolled"):
        UnitIdentity.open(tmp_path)


def test_a_renewed_certificate_must_be_for_the_same_participant(authority, tmp_path):
    identity = enrolled(authority, tmp_path / "unit")
    other = authority.sign_request(identity.renewal_request(), role=Role.UNIT, name="unit-2", now=NOW)
    with pytest.raises(TrustError, match="another participant"):
        identity.renew(other.pem)


def test_a_certificate_is_renewed_in_its_last_days_only(authority, tmp_path):
    identity = enrolled(authority, tmp_path / "unit")
    assert not identity.needs_renewal(NOW)
    assert identity.needs_renewal(NOW + timedelta(days=25))


def test_credentials_do_not_show_the_key_in_logs(authority, tmp_path):
    assert "PRIVATE KEY" not in repr(enrolled(authority, tmp_path / "unit").credentials())
