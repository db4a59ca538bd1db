"""Watching for releases, and what one participant may hold: streams, roles, memory."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack
from datetime import timedelta

import grpc
import pytest

from eyebright_common.errors import InputError, LimitExceeded, TrustError
from eyebright_common.trust import Role
from eyebright_common.wire import CHUNK_BYTES, DistributionClient, enrol
from eyebright_server.distribution import published_files, services
from eyebright_server.distribution.bulletin import Bulletin
from eyebright_server.distribution.limits import Places
from eyebright_server.release.repository import utc_now
from served_network import IMPATIENT, running_network
from signed_network import new_repository, write_release


@pytest.fixture
def network(tmp_path):
    with running_network(tmp_path / "network") as running:
        yield running


def test_a_new_watcher_hears_the_present_mark_at_once(network):
    with DistributionClient.connect(network.unit(), patience=IMPATIENT) as client:
        assert len(next(client.watch(for_s=30))) == 16


def test_a_watcher_is_told_of_a_release_and_not_of_a_renewal(network, tmp_path):
    heard: list[str] = []
    with DistributionClient.connect(network.unit(), patience=IMPATIENT) as client:
        watching = client.watch(for_s=60)
        heard.append(next(watching))
        told = threading.Event()

        def listen() -> None:
            heard.append(next(watching))
            told.set()

        listener = threading.Thread(target=listen)
        listener.start()
        for _ in range(3):
            network.operator.repository.renew_online()
        network.operator.repository.publish(write_release(tmp_path / "r2", version="2"))
        assert told.wait(30)
        listener.join()
        watching.close()
        # Had a renewal woken it, the mark it heard would not be the one that holds now.
        assert next(client.watch(for_s=30)) == heard[1] != heard[0]


def test_a_watcher_that_knows_the_mark_waits_and_then_ends_politely(network):
    with DistributionClient.connect(network.unit(), patience=IMPATIENT) as client:
        mark = next(client.watch(for_s=30))
        assert list(client.watch(mark, for_s=0.5)) == []


def test_a_watcher_that_was_revoked_is_told_nothing_more(network, tmp_path):
    with DistributionClient.connect(network.unit("lost"), patience=IMPATIENT) as client:
        watching = client.watch(for_s=60)
        next(watching)
        network.operator.records.revoke("lost", now=utc_now())
        network.operator.repository.publish(write_release(tmp_path / "r2", version="2"))
        with pytest.raises(TrustError):
            next(watching)


def test_one_unit_holds_few_watches_and_another_is_not_disturbed(network):
    with DistributionClient.connect(network.unit("greedy"), patience=IMPATIENT) as client:
        held = [client.watch(for_s=60) for _ in range(services.WATCHES_EACH)]
        marks = {next(watch) for watch in held}
        with pytest.raises(LimitExceeded):
            next(client.watch(for_s=60))
        with DistributionClient.connect(network.unit("modest"), patience=IMPATIENT) as other:
            assert {next(other.watch(for_s=60))} == marks
        for watch in held:
            watch.close()


def test_a_mark_of_absurd_length_is_refused(network):
    with DistributionClient.connect(network.unit(), patience=IMPATIENT) as client, pytest.raises(InputError):
        next(client.watch("m" * 5000, for_s=30))


def test_a_unit_does_not_fetch_teachers(network, tmp_path):
    (tmp_path / "teacher").write_bytes(b"weights")
    network.operator.repository.add_target(tmp_path / "teacher", "teachers/t.safetensors")
    name = network.target_path("t.safetensors")
    with (
        DistributionClient.connect(network.unit(), patience=IMPATIENT) as client,
        pytest.raises(grpc.RpcError, match="not-trusted"),
    ):
        list(client.target(name, 0))
    hospital = enrol(
        network.operator.invite("clinic", role=Role.HOSPITAL, addresses=network.addresses),
        tmp_path / "clinic",
        patience=IMPATIENT,
    )
    with DistributionClient.connect(hospital, patience=IMPATIENT) as client:
        assert b"".join(chunk.data for chunk in client.target(name, 0)) == b"weights"


def test_a_reader_that_stops_reading_costs_the_server_a_bounded_number_of_chunks(network, tmp_path, monkeypatch):
    read = []
    honest = published_files.Pieces.read_ahead

    def counted(self, path, offset, total):
        messages, after = honest(self, path, offset, total)
        read.extend(messages)
        return messages, after

    monkeypatch.setattr(published_files.Pieces, "read_ahead", counted)
    chunks = 400
    release = write_release(tmp_path / "big", version="2", files={"model.onnx": bytes(chunks * CHUNK_BYTES)})
    network.operator.repository.publish(release)
    (name,) = (network.operator.repository.folder / "targets").rglob("2/*.model.onnx")
    path = name.relative_to(network.operator.repository.folder / "targets").as_posix()
    with DistributionClient.connect(network.unit(), patience=IMPATIENT) as client:
        stream = client.target(path, 0)
        next(stream)
        for _ in range(20):  # the server gets every chance to run ahead
            client.metadata("timestamp.json")
        ahead = len(read)
        assert ahead < chunks / 4
        assert sum(1 for _ in stream) == chunks - 1


def test_one_unit_holds_few_downloads(network, tmp_path):
    release = write_release(tmp_path / "big", version="2", files={"model.onnx": bytes(100 * CHUNK_BYTES)})
    network.operator.repository.publish(release)
    (name,) = (network.operator.repository.folder / "targets").rglob("2/*.model.onnx")
    path = name.relative_to(network.operator.repository.folder / "targets").as_posix()
    with DistributionClient.connect(network.unit(), patience=IMPATIENT) as client, ExitStack() as open_streams:
        for _ in range(services.TARGETS_EACH):
            stream = client.target(path, 0)
            open_streams.callback(stream.close)
            next(stream)
        with pytest.raises(grpc.RpcError, match="limit"):
            list(client.target(path, 0))


def test_a_stream_that_lasts_too_long_is_cut_and_resumed(tmp_path, monkeypatch):
    monkeypatch.setattr(services, "LONGEST_WATCH_S", 0.3)
    with (
        running_network(tmp_path) as network,
        DistributionClient.connect(network.unit(), patience=IMPATIENT) as client,
    ):
        mark = next(client.watch(for_s=30))
        assert list(client.watch(mark, for_s=30)) == []  # ended by the server, long before


def test_places_are_given_back_and_forgotten():
    places = Places(1)
    with places.one("a"), places.one("b"):
        assert places.all == 2
        with pytest.raises(LimitExceeded), places.one("a"):
            pass
    assert places.all == 0
    with places.one("a"):
        pass


def test_a_thousand_watchers_are_woken_spread_out(tmp_path):
    repository = new_repository(tmp_path)
    turns: list[float] = []

    async def noted(seconds: float) -> None:
        turns.append(seconds)

    async def scene() -> None:
        shares = (i / 1000 for i in range(1000))
        bulletin = Bulletin(
            repository.folder, look_every_s=0.01, per_second=50.0, random=lambda: next(shares), sleep=noted
        )
        looking = asyncio.create_task(bulletin.keep_looking())
        while not (mark := bulletin.mark):
            await asyncio.sleep(0.01)
        watchers = [asyncio.create_task(bulletin.after(mark)) for _ in range(1000)]
        while bulletin.waiting < 1000:
            await asyncio.sleep(0)
        repository.publish(write_release(tmp_path / "r1"))
        assert mark not in set(await asyncio.gather(*watchers))
        looking.cancel()

    asyncio.run(scene())
    assert len(turns) == 1000
    assert turns == pytest.approx([20 * i / 1000 for i in range(1000)])  # a thousand at 50 a second


def test_damaged_metadata_lets_watchers_wait_on(tmp_path, caplog):
    repository = new_repository(tmp_path)

    async def scene() -> None:
        bulletin = Bulletin(repository.folder, look_every_s=0.01)
        looking = asyncio.create_task(bulletin.keep_looking())
        mark = await bulletin.after("")
        timestamp = repository.folder / "metadata" / "timestamp.json"
        good = timestamp.read_bytes()
        timestamp.write_bytes(b"{")
        waiting = asyncio.create_task(bulletin.after(mark))
        while "cannot be read" not in caplog.text:
            await asyncio.sleep(0.01)
        assert not waiting.done()
        timestamp.write_bytes(good)
        repository.publish(write_release(tmp_path / "r1"))
        assert await waiting != mark
        looking.cancel()

    asyncio.run(asyncio.wait_for(scene(), timedelta(minutes=1).total_seconds()))
