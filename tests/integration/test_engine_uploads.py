"""A builder sends an engine; the server takes what fits a published release and refuses everything else by name."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder_network import ENGINE, calling, described, enrolled, key, running_operator
from command_line import exit_code, run_command
from eyebright_common.errors import (
    EyebrightError,
    InputError,
    LimitExceeded,
    ReleaseError,
    TargetRejected,
    TrustError,
    WireError,
)
from eyebright_common.release import read_release
from eyebright_common.release.engines import EngineUpload, engine_file_names
from eyebright_common.trust import Role, UnitIdentity
from eyebright_common.wire import DistributionClient, UnitStatus, local_error, upload_engine
from eyebright_server.distribution import authorisation
from eyebright_server.release import engine_inbox
from fake_tensorrt_board import NANO
from served_network import Network
from signed_network import folder_client


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Network, UnitIdentity]]:
    with running_operator(tmp_path_factory.mktemp("builders")) as network:
        yield network, enrolled(network, "builder-1", Role.BUILDER)


@pytest.fixture
def network(made: tuple[Network, UnitIdentity]) -> Iterator[Network]:
    yield made[0]
    shutil.rmtree(made[0].operator.folder / "engines", ignore_errors=True)


@pytest.fixture
def builder(made: tuple[Network, UnitIdentity]) -> Iterator[DistributionClient]:
    with calling(made[1]) as client:
        yield client


@pytest.fixture
def honest(network: Network) -> EngineUpload:
    return offer(network)


def offer(network: Network, **changes: Any) -> EngineUpload:
    return described(network.folder / "release", read_release(network.folder / "release"), **changes)


def engine_file(network: Network, content: bytes = ENGINE) -> Path:
    file = network.folder / "built.engine"
    file.write_bytes(content)
    return file


def sent(client: DistributionClient, upload: EngineUpload, *pieces: tuple[int, bytes]) -> str:
    """Send these pieces of an engine and no others, as no program of ours would."""
    try:
        return client.send_engine(upload.sha256, iter(pieces))
    except grpc.RpcError as error:
        raise local_error(error, doing="sending") from error


def kinds(network: Network) -> list[str]:
    return [entry.kind for entry in network.operator.records.ledger(kind="engine-")]


def test_an_engine_waits_for_its_signature_and_is_then_a_target_of_its_own(
    network: Network, builder: DistributionClient, honest: EngineUpload, tmp_path: Path
) -> None:
    told: list[float] = []
    assert upload_engine(builder, honest, engine_file(network), on_progress=told.append) == "waiting"
    assert told[-1] == 1.0
    client = folder_client(network.operator.repository, tmp_path / "unit")
    plan, description = (f"releases/fundus/1/{file}" for file in engine_file_names(honest.key.digest))
    assert client.names("releases/fundus/1/engine-") == ()
    # Sent again it is not sent again.
    assert upload_engine(builder, honest, tmp_path / "not read") == "waiting"
    network.operator.engines.sign(honest.key.digest[:12], by="E. Kant")
    client.refresh()
    assert client.names("releases/fundus/1/engine-") == tuple(sorted((plan, description)))
    assert client.download_target(plan, tmp_path / "plan").read_bytes() == ENGINE
    assert upload_engine(builder, honest, tmp_path / "not read") == "signed"
    # The release is what it was: the same bytes may be published again, and a unit downloads no engine with it.
    network.operator.repository.publish(network.folder / "release")
    assert client.available("fundus")[0].files == ("card.md", "golden.npz", "model.onnx", "release.json")
    network.operator.engines.withdraw(honest.key.digest, by="E. Kant", reason="drifts on unit-7")
    client.refresh()
    assert client.names("releases/fundus/1/engine-") == ()
    assert kinds(network)[-3:] == ["engine-received", "engine-signed", "engine-withdrawn"]


REFUSED: list[tuple[str, Callable[[Network], EngineUpload], type[EyebrightError], str]] = [
    ("another builder's name", lambda n: offer(n, builder="builder-2"), TrustError, "another builder's"),
    ("unknown release", lambda n: offer(n, version="7"), ReleaseError, "no such release is published: fundus 7"),
    (
        "another network",
        lambda n: offer(n, key=key(read_release(n.folder / "release"), model_sha256="0" * 64)),
        ReleaseError,
        "another network",
    ),
    (
        "golden results that fail",
        lambda n: offer(n, golden_logits=((0.0, 4.0, 0.0, 0.0),) * 3),
        ReleaseError,
        "fails its golden cases, 3 of 3 decisions change",
    ),
    ("too few golden results", lambda n: offer(n, golden_logits=((4.0, 0, 0, 0),)), ReleaseError, "other cases"),
]


@pytest.mark.parametrize(("upload", "kind", "said"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_does_not_fit_is_refused_before_a_byte_is_kept(
    network: Network,
    builder: DistributionClient,
    upload: Callable[[Network], EngineUpload],
    kind: type[EyebrightError],
    said: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    with pytest.raises(kind):
        builder.offer_engine(upload(network).model_dump_json().encode())
    assert said in caplog.text
    assert not list((network.operator.folder / "engines").rglob("*.part"))


@pytest.mark.parametrize(
    "change",
    [
        {"task": "../../ca"},
        {"version": "1/../.."},
        {"builder": "../../../root"},
        {"sha256": "../" * 20 + "abcd"},
        {"size_bytes": 1 << 40},
        {"file": "/etc/passwd"},
    ],
    ids=["task", "version", "builder", "digest", "too large", "a field of its own"],
)
def test_a_path_in_a_name_or_an_engine_without_end_breaks_the_schema(
    network: Network, builder: DistributionClient, honest: EngineUpload, change: dict[str, object]
) -> None:
    content = {**json.loads(honest.model_dump_json()), **change}
    before = sorted(network.operator.folder.rglob("*"))
    with pytest.raises(ReleaseError):
        builder.offer_engine(json.dumps(content).encode())
    assert sorted(network.operator.folder.rglob("*")) == before


def test_another_engine_than_the_one_described_is_thrown_away(
    network: Network, builder: DistributionClient, honest: EngineUpload
) -> None:
    other = ENGINE[:-1] + b"!"
    with pytest.raises(TargetRejected):
        upload_engine(builder, honest, engine_file(network, other))
    assert builder.offer_engine(honest.model_dump_json().encode()) == ("wanted", 0)
    assert "engine-received" not in kinds(network)[-1:]
    assert not list((network.operator.folder / "engines" / "waiting").rglob("*.plan"))


def test_more_than_was_described_is_cut_off(network: Network, builder: DistributionClient) -> None:
    short = offer(network, size_bytes=1000)
    builder.offer_engine(short.model_dump_json().encode())
    with pytest.raises(LimitExceeded):
        sent(builder, short, (0, ENGINE[:600]), (600, ENGINE[600:1200]))
    assert not list((network.operator.folder / "engines").rglob("*.part"))


def test_less_than_was_described_is_kept_for_the_next_try(
    network: Network, builder: DistributionClient, honest: EngineUpload
) -> None:
    description = honest.model_dump_json().encode()
    builder.offer_engine(description)
    with pytest.raises(InputError):
        sent(builder, honest, (0, ENGINE[:256_000]))
    assert builder.offer_engine(description) == ("wanted", 256_000)
    told: list[float] = []
    assert upload_engine(builder, honest, engine_file(network), on_progress=told.append) == "waiting"
    assert told[0] > 256_000 / len(ENGINE), "it did not begin anew"


@pytest.mark.parametrize(
    "pieces",
    [((5, b"x"),), ((0, b"x"), (0, b"x")), ((0, b"x" * (256 * 1024 + 1)),), ()],
    ids=["a hole", "twice", "too long a piece", "none"],
)
def test_pieces_that_do_not_follow_each_other_are_refused(
    network: Network, builder: DistributionClient, honest: EngineUpload, pieces: tuple[tuple[int, bytes], ...]
) -> None:
    builder.offer_engine(honest.model_dump_json().encode())
    with pytest.raises(InputError):
        sent(builder, honest, *pieces)


def test_an_engine_that_was_not_offered_is_refused(network: Network, builder: DistributionClient) -> None:
    with pytest.raises(InputError):
        sent(builder, offer(network, sha256="0" * 64), (0, b"x"))


@pytest.mark.parametrize("role", [Role.UNIT, Role.HOSPITAL, Role.CONSOLE])
def test_engines_come_from_builders_alone(network: Network, honest: EngineUpload, role: Role) -> None:
    with calling(enrolled(network, f"no-builder-{role.value}", role)) as client:
        with pytest.raises(TrustError):
            client.offer_engine(honest.model_dump_json().encode())
        with pytest.raises(TrustError):
            sent(client, honest, (0, ENGINE))


def test_a_builder_that_was_shut_out_sends_nothing_and_what_it_sent_is_not_signed(network: Network) -> None:
    identity = enrolled(network, "builder-9", Role.BUILDER)
    upload = offer(network, builder="builder-9")
    with calling(identity) as client:
        assert upload_engine(client, upload, engine_file(network)) == "waiting"
        assert exit_code("server", "revoke", network.operator.folder, "builder-9", "--role", "builder") == 0
        with pytest.raises(TrustError):
            client.offer_engine(upload.model_dump_json().encode())
    with pytest.raises(TrustError, match="shut out: builder-9"):
        network.operator.engines.sign(upload.key.digest, by="E. Kant")
    network.operator.engines.withdraw(upload.key.digest, by="E. Kant", reason="its builder was stolen")
    assert network.operator.engines.known() == []


def test_a_builder_may_not_fill_the_disk(
    network: Network, builder: DistributionClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_inbox, "WAITING_EACH", 2)
    release = read_release(network.folder / "release")
    for adapter in (1, 2):
        upload = offer(network, key=key(release, adapter=adapter))
        assert upload_engine(builder, upload, engine_file(network)) == "waiting"
    with pytest.raises(LimitExceeded):
        builder.offer_engine(offer(network, key=key(release, adapter=3)).model_dump_json().encode())
    monkeypatch.setattr(engine_inbox, "WAITING_EACH", 8)
    monkeypatch.setattr(engine_inbox, "LEAST_ROOM_BYTES", 1 << 60)
    with pytest.raises(LimitExceeded):
        builder.offer_engine(offer(network, key=key(release, adapter=3)).model_dump_json().encode())


def test_an_engine_needs_the_offline_keys_and_waits_for_them(
    network: Network, builder: DistributionClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release = read_release(network.folder / "release")
    upload = offer(network, key=key(release, fingerprint=NANO.model_copy(update={"gpu": "Another"})))
    upload_engine(builder, upload, engine_file(network))
    folder, offline = network.operator.folder, network.operator.folder / "keys" / "offline"
    offline.rename(tmp_path / "safe")
    engine = ("server", "release", "engine")
    code, _, said = run_command(capsys, *engine, "sign", folder, "--all")
    assert code == 4
    assert "too few keys to sign students metadata" in said
    code, shown, _ = run_command(capsys, *engine, "list", folder, "--json")
    assert [one["state"] for one in json.loads(shown)["engines"]] == ["waiting"]
    (tmp_path / "safe").rename(offline)
    code, shown, _ = run_command(capsys, *engine, "sign", folder, upload.key.digest[:8])
    said = f"Engine {upload.key.digest[:12]} of fundus 1 is signed: twins of builder-1 can have it.\n"
    assert (code, shown) == (0, said)
    code, _, said = run_command(capsys, *engine, "sign", folder, upload.key.digest[:8])
    assert code == 2
    assert said.count("\n") == 1
    assert "no engine of this key waits" in said
    code, shown, _ = run_command(capsys, *engine, "withdraw", folder, upload.key.digest[:8], "--reason", "test")
    assert (code, network.operator.engines.known()) == (0, [])


@pytest.mark.parametrize("moves", [0, 1])
def test_power_that_goes_while_an_engine_is_put_down_costs_at_most_another_upload(
    network: Network, builder: DistributionClient, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    upload = offer(network, key=key(read_release(network.folder / "release"), adapter=7))
    honest, left = engine_inbox.move_into_place, [None] * moves

    def cut(draft: Path, path: Path) -> None:
        if not left:
            raise OSError("the power went")
        left.pop()
        honest(draft, path)

    monkeypatch.setattr(engine_inbox, "move_into_place", cut)
    with pytest.raises(WireError):
        upload_engine(builder, upload, engine_file(network))
    monkeypatch.setattr(engine_inbox, "move_into_place", honest)
    assert network.operator.engines.known() == []
    assert upload_engine(builder, upload, engine_file(network)) == "waiting"
    network.operator.engines.sign(upload.key.digest, by="E. Kant")
    network.operator.engines.withdraw(upload.key.digest, by="E. Kant", reason="the test is over")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400))
def test_any_other_bytes_are_refused_by_name(network: Network, builder: DistributionClient, content: bytes) -> None:
    with pytest.raises((ReleaseError, LimitExceeded)):
        builder.offer_engine(content)


def test_a_console_looks_on_and_touches_nothing(network: Network) -> None:
    with calling(enrolled(network, "desk", Role.CONSOLE)) as console:
        assert console.metadata("timestamp.json")
        assert next(console.watch("", for_s=20))
        with pytest.raises(grpc.RpcError, match="not-trusted"):
            list(console.target(network.target_path("model.onnx"), 0))
        with pytest.raises(TrustError):
            console.report(UnitStatus(state="idle", software="1"))


def test_a_builder_is_no_part_of_the_fleet_that_a_rollout_is_judged_by(builder: DistributionClient) -> None:
    with pytest.raises(TrustError):
        builder.report(UnitStatus(state="idle", software="1"))


def test_every_call_of_the_service_says_who_may_make_it() -> None:
    from eyebright_common.wire.methods import DISTRIBUTION_SERVICE, METHODS

    assert set(authorisation.MAY) == {method.name for method in METHODS if method.service == DISTRIBUTION_SERVICE}
    assert not any(Role.SERVER in roles for roles in authorisation.MAY.values())
