"""Who gets in: invitations, certificates and their renewal, against a running server on loopback."""

from __future__ import annotations

import threading
from datetime import timedelta

import grpc
import pytest

from eyebright_common.errors import (
    InvitationError,
    TrustError,
    WireError,
)
from eyebright_common.trust import (
    CertificateAuthority,
    Credentials,
    Role,
    UnitIdentity,
    new_certificate_key,
)
from eyebright_common.trust.certificates import certificate_request
from eyebright_common.trust.keys import private_pem
from eyebright_common.wire import DistributionClient, UnitStatus, enrol, open_channel, renew_if_due
from eyebright_common.wire import distribution_pb2 as pb
from eyebright_common.wire.client import unary
from eyebright_common.wire.methods import ENROLL
from eyebright_server.distribution import OperatorFolder, Rate, serve_in_thread
from eyebright_server.release.repository import utc_now
from served_network import IMPATIENT, running_network, update_client
from signed_network import Clock


def connected(network, authority: CertificateAuthority, *, role: Role, name: str) -> DistributionClient:
    """Connect with a certificate that ``authority`` signs here and now, past the enrolment."""
    key = new_certificate_key()
    request = certificate_request(key, role=role, name=name)
    issued = authority.sign_request(request, role=role, name=name, now=utc_now())
    credentials = Credentials(key_pem=private_pem(key), certificate_pem=issued.pem)
    server_authority = network.operator.authority.certificate_pem
    return DistributionClient(
        open_channel(network.addresses.distribution, server_authority, credentials), patience=IMPATIENT
    )


def test_expired_invitation_is_refused(tmp_path):
    clock = Clock()
    operator = OperatorFolder.create(tmp_path / "operator", clock=clock)
    with serve_in_thread(operator) as addresses:
        invitation = operator.invite("late", validity=timedelta(hours=1), addresses=addresses)
        clock.pass_time(timedelta(hours=1))
        with pytest.raises(InvitationError, match="unknown, used or expired"):
            enrol(invitation, tmp_path / "late", patience=IMPATIENT)
    operator.close()


def test_reused_invitation_is_refused_to_another_machine(network, tmp_path):
    invitation = network.operator.invite("once", addresses=network.addresses)
    enrol(invitation, tmp_path / "first", patience=IMPATIENT)
    with pytest.raises(InvitationError):
        enrol(invitation, tmp_path / "second", patience=IMPATIENT)


def test_two_enrolments_at_the_same_moment_let_one_in(network, tmp_path):
    invitation = network.operator.invite("twins", addresses=network.addresses)
    start = threading.Barrier(2)
    outcomes: list[str] = []

    def join(folder: str) -> None:
        start.wait()
        try:
            enrol(invitation, tmp_path / folder, patience=IMPATIENT)
            outcomes.append("in")
        except InvitationError:
            outcomes.append("out")

    threads = [threading.Thread(target=join, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["in", "out"]


def test_a_lost_answer_does_not_cost_the_invitation(network, tmp_path):
    invitation = network.operator.invite("unlucky", addresses=network.addresses)
    request = pb.EnrollRequest(
        token=invitation.token, certificate_request_pem=UnitIdentity.begin(tmp_path / "unlucky", name="unlucky")
    )
    with open_channel(network.addresses.enrolment, network.operator.authority.certificate_pem) as channel:
        unary(channel, ENROLL)(request, timeout=10)  # answered, but the power went before it was kept
    assert enrol(invitation, tmp_path / "unlucky", patience=IMPATIENT).name == "unlucky"


def test_guessed_invitation_is_refused(network, tmp_path):
    invitation = network.operator.invite("guess", addresses=network.addresses)
    guessed = invitation.model_copy(update={"token": "x" * 43})
    with pytest.raises(InvitationError):
        enrol(guessed, tmp_path / "guess", patience=IMPATIENT)


def test_a_server_of_another_network_is_not_believed(network, tmp_path):
    stranger = CertificateAuthority.create(tmp_path / "stranger", now=utc_now())
    invitation = network.operator.invite("careful", addresses=network.addresses)
    other = invitation.model_copy(update={"authority_pem": stranger.certificate_pem.decode()})
    with pytest.raises(WireError, match="cannot be reached"):
        enrol(other, tmp_path / "careful", patience=IMPATIENT)


def test_client_certificate_of_another_authority_is_refused(network, tmp_path):
    stranger = CertificateAuthority.create(tmp_path / "stranger", now=utc_now())
    with connected(network, stranger, role=Role.UNIT, name="unit-1") as client, pytest.raises(WireError):
        client.metadata("timestamp.json")


def test_no_client_certificate_is_refused(network):
    channel = open_channel(network.addresses.distribution, network.operator.authority.certificate_pem)
    with DistributionClient(channel, patience=IMPATIENT) as client, pytest.raises(WireError):
        client.metadata("timestamp.json")


def test_a_certificate_of_ours_that_never_enrolled_is_refused(network):
    authority = network.operator.authority
    with connected(network, authority, role=Role.UNIT, name="ghost") as client, pytest.raises(TrustError):
        client.metadata("timestamp.json")


def test_a_hospital_reads_metadata_but_neither_reports_as_a_unit_nor_fetches_releases(network, tmp_path):
    invitation = network.operator.invite("clinic", role=Role.HOSPITAL, addresses=network.addresses)
    hospital = enrol(invitation, tmp_path / "clinic", patience=IMPATIENT)
    with DistributionClient.connect(hospital, patience=IMPATIENT) as client:
        assert client.metadata("timestamp.json")
        with pytest.raises(TrustError):
            client.report(UnitStatus(state="idle", software="1"))
        with pytest.raises(grpc.RpcError, match="not-trusted"):
            list(client.target(network.target_path("model.onnx"), 0))


def test_a_certificate_of_another_role_is_refused(network):
    authority = network.operator.authority
    with connected(network, authority, role=Role.SERVER, name="clinic") as client, pytest.raises(TrustError):
        client.metadata("timestamp.json")


def test_revoked_unit_is_out_with_its_next_call_on_an_open_connection(network):
    identity = network.unit("lost")
    with DistributionClient.connect(identity, patience=IMPATIENT) as client:
        assert client.metadata("timestamp.json")
        network.operator.records.revoke("lost", now=utc_now())
        with pytest.raises(TrustError):
            client.metadata("timestamp.json")
        with pytest.raises(grpc.RpcError, match="not-trusted"):
            list(client.target(network.target_path("model.onnx"), 0))
        with pytest.raises(TrustError):
            client.report(UnitStatus(state="idle", software="1"))
        with pytest.raises(TrustError):
            client.renew(identity.renewal_request())


def test_a_unit_renews_its_certificate_and_both_work(network):
    identity = network.unit("renewing")
    before = identity.certificate
    with DistributionClient.connect(identity, patience=IMPATIENT) as client:
        assert not renew_if_due(identity, client, now=utc_now())
        assert renew_if_due(identity, client, now=utc_now() + timedelta(days=25))
        assert client.metadata("timestamp.json")  # the open connection still has the certificate before
    assert identity.certificate.fingerprint != before.fingerprint
    with DistributionClient.connect(identity, patience=IMPATIENT) as client:
        assert client.metadata("timestamp.json")


def test_renewal_for_another_key_is_refused(network, client):
    stranger = certificate_request(new_certificate_key(), role=Role.UNIT, name="module-unit")
    with pytest.raises(TrustError):
        client.renew(stranger)


def test_guessing_invitations_is_slowed_down(tmp_path):
    request = pb.EnrollRequest(token="guess", certificate_request_pem=UnitIdentity.begin(tmp_path / "g", name="g"))
    words = []
    with (
        running_network(tmp_path, enrolment_rate=Rate(burst=2, per_second=0.0)) as network,
        open_channel(network.addresses.enrolment, network.operator.authority.certificate_pem) as channel,
    ):
        for _ in range(3):
            with pytest.raises(grpc.RpcError) as refused:
                unary(channel, ENROLL)(request, timeout=10)
            words.append(refused.value.details())
    assert words == ["invitation", "invitation", "limit"]


def test_revoked_unit_is_told_that_it_is_not_trusted_rather_than_to_check_its_network(network):
    with update_client(network.unit("stolen")) as (updates, _):
        network.operator.records.revoke("stolen", now=utc_now())
        with pytest.raises(TrustError):
            updates.refresh()
