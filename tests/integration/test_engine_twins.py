"""The whole way of an engine: built on one board, sent, signed, fetched by a twin and proven there before it serves."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder_network import calling, described, running_operator
from command_line import exit_code, run_command
from direct_workshop import DirectWorkshop
from edge_unit import ROOMY
from eyebright_common.errors import InputError
from eyebright_common.release import read_release
from eyebright_common.release.engines import engine_file_names
from eyebright_common.release.rollout import Ring
from eyebright_common.trust import Role, UnitIdentity
from eyebright_common.wire import upload_engine
from eyebright_edge.agent.enrolment import enrol_unit
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.receipt import read_receipt
from eyebright_edge.agent.tuf_source import open_source
from eyebright_edge.agent.twin_engines import send_engine
from eyebright_edge.agent.update import UpdateAgent
from eyebright_edge.agent.update_record import Ending
from eyebright_edge.runtime import build_runtime, machine
from eyebright_edge.runtime.engine_cache import CachedEngine, EngineCache
from eyebright_edge.runtime.tensorrt import open_tensorrt
from eyebright_edge.runtime.twins import describe_engine
from eyebright_server.fleet import Fleet
from fake_tensorrt_board import board
from served_network import IMPATIENT, Network
from tiny_release import REFER_BIAS, write_tiny_release


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with running_operator(tmp_path) as running:
        yield running


@pytest.fixture(autouse=True)
def named_board(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that knows which board it is."""
    monkeypatch.setattr(machine, "_first_line", lambda path: "A Board" if path.name == "model" else "")


def on_a_board(monkeypatch: pytest.MonkeyPatch, place: Path, **how: object) -> None:
    """Let what follows happen on a board of its own with the fake TensorRT."""
    settings = board(place, **how)
    for name, value in settings.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("EYEBRIGHT_RUNTIME", "tensorrt")
    monkeypatch.setenv("EYEBRIGHT_BOARD_PYTHON", str(settings.board_python))
    monkeypatch.setenv("EYEBRIGHT_ENGINES", str(settings.engines))


def joined(network: Network, name: str, role: Role = Role.UNIT) -> UnitHome:
    home = UnitHome(network.folder / name)
    invitation = network.operator.invite(name, role=role, addresses=network.addresses)
    enrol_unit(home, invitation, task="fundus", patience=IMPATIENT)
    return home


def update(home: UnitHome) -> Ending:
    with open_source(home, "server", now=datetime.now(UTC), patience=IMPATIENT) as source:
        agent = UpdateAgent(
            home,
            task="fundus",
            source=source,
            open_runtime=build_runtime,
            clock=lambda: datetime.now(UTC),
            budget=ROOMY,
            workshop=DirectWorkshop(build_runtime),
        )
        return agent.update().ending


def engines(place: Path) -> list[CachedEngine]:
    return EngineCache(place / "engines").all()


@pytest.mark.slow
def test_a_builders_engine_serves_at_its_twin_which_never_builds_one(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = network.operator.folder
    builder = joined(network, "builder-1", Role.BUILDER)
    on_a_board(monkeypatch, tmp_path / "board-1")
    assert update(builder) is Ending.INSTALLED
    code, said, _ = run_command(capsys, "edge", "engine", "send", "--home", builder.root)
    assert code == 0
    assert "The operator has it; twins can have it once it is signed." in said
    assert exit_code("server", "release", "engine", "sign", folder, "--all", "--operator", "E. Kant") == 0
    # Again: it is there, and nothing is sent.
    capsys.readouterr()
    code, said, _ = run_command(capsys, "edge", "engine", "send", "--home", builder.root, "--json")
    sent = json.loads(said)
    assert (code, sent["state"]) == (0, "signed")
    twin = joined(network, "unit-7")
    on_a_board(monkeypatch, tmp_path / "board-2", fault="build-failed")
    assert update(twin) is Ending.INSTALLED
    (served,) = engines(tmp_path / "board-2")
    assert (served.made, served.sha256) == ("adopted", sent["engine"]["sha256"])
    assert served.proof is not None
    proof = read_receipt(twin).active
    assert proof is not None
    assert proof.proof is not None
    assert proof.proof.runtime == "tensorrt-fp32"
    # What it did to get there is not kept; what a builder does is not told of as a unit's.
    assert not (twin.downloads / "engine").exists()
    assert list(network.operator.records.last_reports()) == ["unit-7"]
    assert str(tmp_path) not in json.dumps(sent)


@pytest.mark.slow
def test_an_engine_that_lies_is_found_out_by_the_twin_which_builds_its_own(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The engine of another network, under the description of the right one: only running it can tell.
    write_tiny_release(tmp_path / "other", bias=REFER_BIAS)
    liar = joined(network, "builder-1", Role.BUILDER)
    settings = board(tmp_path / "board-1")
    with open_tensorrt(tmp_path / "other", settings, build=True) as runtime:
        honest = describe_engine(runtime, tmp_path / "other", builder="builder-1")
        file = EngineCache(settings.engines).engine_file(runtime.engine.key)
    release = read_release(tmp_path / "release")
    right = honest.key.model_copy(update={"model_sha256": release.artefact("model.onnx").sha256})
    lie = described(tmp_path / "release", release, engine=file.read_bytes(), key=right)
    with calling(UnitIdentity.open(liar.identity)) as client:
        assert upload_engine(client, lie, file) == "waiting"
    network.operator.engines.sign(lie.key.digest, by="E. Kant")
    twin = joined(network, "unit-7")
    on_a_board(monkeypatch, tmp_path / "board-2")
    assert update(twin) is Ending.INSTALLED
    (served,) = engines(tmp_path / "board-2")
    assert served.key.digest == lie.key.digest
    assert (served.made, served.sha256 != lie.sha256) == ("built", True)


@pytest.mark.slow
def test_an_engine_changed_where_it_is_served_costs_a_build_and_nothing_else(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = joined(network, "builder-1", Role.BUILDER)
    on_a_board(monkeypatch, tmp_path / "board-1")
    update(builder)
    sent = send_engine(builder, patience=IMPATIENT).upload
    network.operator.engines.sign(sent.key.digest, by="E. Kant")
    plan, _ = engine_file_names(sent.key.digest)
    (served,) = (network.operator.repository.folder / "targets").rglob(f"*.{plan}")
    served.write_bytes(served.read_bytes()[:-1] + b"!")
    twin = joined(network, "unit-7")
    on_a_board(monkeypatch, tmp_path / "board-2")
    assert update(twin) is Ending.INSTALLED
    assert [one.made for one in engines(tmp_path / "board-2")] == ["built"]


@pytest.mark.slow
def test_another_board_is_offered_nothing(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builder = joined(network, "builder-1", Role.BUILDER)
    on_a_board(monkeypatch, tmp_path / "board-1")
    update(builder)
    sent = send_engine(builder, patience=IMPATIENT).upload
    network.operator.engines.sign(sent.key.digest, by="E. Kant")
    other = joined(network, "unit-7")
    on_a_board(monkeypatch, tmp_path / "board-2", gpu="Another GPU")
    assert update(other) is Ending.INSTALLED
    assert [one.made for one in engines(tmp_path / "board-2")] == ["built"]


def test_a_unit_that_is_no_builder_is_told_so(network: Network, capsys: pytest.CaptureFixture[str]) -> None:
    unit = joined(network, "unit-7")
    code, _, said = run_command(capsys, "edge", "engine", "send", "--home", unit.root)
    assert code == 2
    assert said == (
        "error: this unit is not a builder: unit-7. "
        "Ask the operator for an invitation: eyebright server invite DIR NAME --role builder\n"
    )


@pytest.mark.slow
def test_a_machine_that_does_not_know_itself_sends_nothing(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_first_line", lambda path: "")
    builder = joined(network, "builder-1", Role.BUILDER)
    on_a_board(monkeypatch, tmp_path / "board-1")
    update(builder)
    with pytest.raises(InputError, match=r"well enough to have twins: board unknown"):
        send_engine(builder, patience=IMPATIENT)
    assert network.operator.engines.known() == []


def test_a_builder_takes_the_newest_release_whatever_ring_is_open(network: Network, tmp_path: Path) -> None:
    builder, unit = joined(network, "builder-1", Role.BUILDER), joined(network, "unit-7")
    operator = network.operator
    fleet = Fleet(operator.repository, operator.records, clock=operator.clock)
    few = Ring(name="few", kind="serve", share=1e-9, wait_hours=1)
    rings = (few, Ring(name="rest", kind="serve", share=0.9, wait_hours=0))
    fleet.start("fundus", version="2", before="1", rings=rings, by="E. Kant")
    write_tiny_release(tmp_path / "2", version="2")
    operator.repository.publish(tmp_path / "2")
    for home, version in ((builder, "2"), (unit, "1")):
        with open_source(home, "server", now=datetime.now(UTC), patience=IMPATIENT) as source:
            offer = source.offered("fundus", active=None)
        assert offer is not None
        assert offer.version == version
