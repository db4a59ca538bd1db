"""What a caller may ask for, and what it gets when it asks for more, against a running server on loopback."""

from __future__ import annotations

import grpc
import pytest

from eyebright_common.errors import (
    InputError,
    LimitExceeded,
    NotPublished,
    TargetRejected,
    WireError,
)
from eyebright_common.trust import (
    TARGETS_URL,
)
from eyebright_common.wire import DistributionClient, UnitStatus, open_channel
from eyebright_common.wire import distribution_pb2 as pb
from eyebright_common.wire.client import unary
from eyebright_common.wire.methods import GET_METADATA, REPORT
from eyebright_server.distribution import Rate, serve_in_thread
from served_network import IMPATIENT, running_network, update_client
from signed_network import MODEL, write_release


def test_a_unit_enrols_pulls_and_gets_the_published_bytes(network, identity, tmp_path):
    with update_client(identity) as (updates, _):
        folder = updates.download_release("fundus", "1", tmp_path / "slot")
    assert (folder / "model.onnx").read_bytes() == MODEL


def test_a_spoiled_beginning_of_a_download_is_thrown_away(network, tmp_path):
    identity = network.unit("spoiled")
    with update_client(identity) as (updates, fetcher):
        pieces = fetcher.fetch(TARGETS_URL + network.target_path("model.onnx"))
        next(pieces)
        del pieces  # the power went
        (part,) = (identity.folder / "parts").iterdir()
        part.write_bytes(bytes(part.stat().st_size))  # and the disk kept the length, not the content
        with pytest.raises(TargetRejected):
            updates.download_release("fundus", "1", tmp_path / "slot")
        folder = updates.download_release("fundus", "1", tmp_path / "slot")
    assert (folder / "model.onnx").read_bytes() == MODEL
    assert list((identity.folder / "parts").iterdir()) == []


def test_a_quiet_poll_is_two_requests(network, identity):
    with update_client(identity) as (updates, fetcher):
        updates.refresh()
        before = fetcher.requests
        updates.refresh()
        assert fetcher.requests - before == 2


CLIMBERS = [
    "../keys/online/timestamp.pem",
    "../../ca/ca.key",
    "/etc/passwd",
    "..%2f..%2fca%2fca.key",
    "metadata/../../ca/ca.key",
    "timestamp.json/../../server.json",
    "timestamp.json\x00",
    ".lock",
    "",
    ".",
    "TIMESTAMP.JSON",
    "1.targets.json ",
]


@pytest.mark.parametrize("name", CLIMBERS)
def test_path_traversal_in_metadata_is_refused(client, name):
    with pytest.raises(NotPublished):
        client.metadata(name)


@pytest.mark.parametrize("name", [*CLIMBERS, "releases/fundus/1/model.onnx", "releases"])
def test_path_traversal_in_targets_is_refused(client, name):
    with pytest.raises(grpc.RpcError, match="not-published"):
        list(client.target(name, 0))


def test_a_link_in_the_served_folder_is_not_served(network, client):
    targets = network.operator.repository.folder / "targets"
    link = targets / f"{'0' * 64}.secret"
    link.symlink_to(network.operator.folder / "ca" / "ca.key")
    network.operator.repository.renew_online()
    with pytest.raises(grpc.RpcError, match="not-published"):
        list(client.target(link.name, 0))
    link.unlink()


def test_a_name_of_absurd_length_is_refused(client):
    with pytest.raises(InputError):
        client.metadata("a" * 10_000)


def test_a_message_of_absurd_size_is_refused(client):
    with pytest.raises(LimitExceeded):
        client.metadata("a" * 1_000_000)


def test_an_offset_beyond_the_end_is_refused(network, client):
    with pytest.raises(grpc.RpcError, match="bad-request"):
        list(client.target(network.target_path("model.onnx"), len(MODEL) + 1))


@pytest.mark.parametrize("offset", [0, 1, 262_143, 262_144, len(MODEL) - 1, len(MODEL)])
def test_a_target_is_served_from_any_offset(network, client, offset):
    got = b"".join(chunk.data for chunk in client.target(network.target_path("model.onnx"), offset))
    assert got == MODEL[offset:]


@pytest.mark.parametrize(
    "status",
    ["", "[]", "{}", '{"state":"idle","software":"1","patient":"P-17"}', '{"state":"a b","software":"1"}', "x" * 5000],
)
def test_a_report_with_anything_but_counts_is_refused(identity, network, status):
    with (
        open_channel(network.addresses.distribution, identity.authority_pem, identity.credentials()) as channel,
        pytest.raises(grpc.RpcError, match="bad-request"),
    ):
        unary(channel, REPORT)(pb.ReportRequest(status_json=status), timeout=10)


def test_a_report_is_kept_under_the_name_in_the_certificate(network, client):
    client.report(UnitStatus(state="idle", software="1", screened=3))
    assert network.operator.records.reports("module-unit")[-1].screened == 3


def test_refusals_tell_nothing_but_the_fixed_word(network, client):
    with pytest.raises(grpc.RpcError) as refused:
        list(client.target("../../ca/ca.key", 0))
    assert refused.value.details() == "not-published"
    assert [key for key, _ in refused.value.trailing_metadata() if key.startswith("eyebright")] == []


def test_asking_too_often_is_refused_per_unit(tmp_path):
    with running_network(tmp_path, distribution_rate=Rate(burst=3, per_second=0.0)) as network:
        with DistributionClient.connect(network.unit("eager"), patience=IMPATIENT) as eager:
            for _ in range(3):
                eager.metadata("timestamp.json")
            with pytest.raises(LimitExceeded):
                eager.metadata("timestamp.json")
        with DistributionClient.connect(network.unit("modest"), patience=IMPATIENT) as modest:
            assert modest.metadata("timestamp.json")


def test_distribution_calls_are_not_answered_on_the_enrolment_port(network, identity):
    with (
        open_channel(network.addresses.enrolment, identity.authority_pem, identity.credentials()) as channel,
        pytest.raises(grpc.RpcError) as refused,
    ):
        unary(channel, GET_METADATA)(pb.GetMetadataRequest(name="timestamp.json"), timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_new_release_is_seen_without_restarting_the_server(network, identity, tmp_path):
    with update_client(identity) as (updates, _):
        updates.refresh()
        network.operator.repository.publish(write_release(tmp_path / "r", version="1", task="oct"))
        updates.refresh()
        assert [r.version for r in updates.available("oct")] == ["1"]
        updates.download_release("oct", "1", tmp_path / "slot")


def test_a_port_that_is_taken_is_said_to_be_taken(network):
    taken = int(network.addresses.enrolment.rpartition(":")[2])
    with pytest.raises(WireError, match="cannot listen"), serve_in_thread(network.operator, enrolment_port=taken):
        pass
