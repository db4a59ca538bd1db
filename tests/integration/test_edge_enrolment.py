"""A unit joins a real server over mutual TLS, pulls a signed release, proves it and screens with it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from command_line import exit_code
from eyebright_common.errors import InvitationError
from eyebright_common.trust import Invitation, Role
from eyebright_common.wire import Patience
from eyebright_edge.agent.enrolment import enrol_unit, read_invitation
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.tuf_source import server_source
from eyebright_edge.agent.update import UpdateAgent
from eyebright_edge.agent.update_record import Ending
from eyebright_edge.runtime import open_runtime
from eyebright_server.distribution import OperatorFolder, ServerAddresses, serve_in_thread
from retina_pictures import retina, save_picture
from tiny_release import write_tiny_release


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[OperatorFolder]:
    folder = OperatorFolder.create(tmp_path / "operator")
    yield folder
    folder.close()


@pytest.fixture
def addresses(operator: OperatorFolder) -> Iterator[ServerAddresses]:
    with serve_in_thread(operator) as served:
        yield served


def publish(operator: OperatorFolder, folder: Path, version: str) -> None:
    write_tiny_release(folder / version, version=version)
    operator.repository.publish(folder / version)


def test_from_an_invitation_to_an_answer(
    operator: OperatorFolder, addresses: ServerAddresses, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "unit"
    (tmp_path / "invitation.txt").write_text(operator.invite("unit-7", addresses=addresses).encode())
    assert exit_code("edge", "enrol", tmp_path / "invitation.txt", "--home", home) == 0
    publish(operator, tmp_path, "1")
    assert exit_code("edge", "update", "--home", home) == 0
    publish(operator, tmp_path, "2")
    assert exit_code("edge", "update", "--home", home, "--json") == 0
    right, left = (save_picture(tmp_path / f"{name}.png", retina()) for name in ("right", "left"))
    capsys.readouterr()
    assert exit_code("edge", "screen", right, left, "--home", home, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["release"]["version"], facts["patient"]["verdict"]) == ("2", "NO REFERRAL")
    assert exit_code("edge", "rollback", "--home", home) == 0
    assert UnitHome(home).serving().release.version == "1"


def test_the_operator_sees_what_the_unit_runs(
    operator: OperatorFolder, addresses: ServerAddresses, tmp_path: Path
) -> None:
    home = UnitHome(tmp_path / "unit")
    enrol_unit(home, operator.invite("unit-7", addresses=addresses), task="fundus")
    publish(operator, tmp_path, "1")
    assert updated(home) is Ending.INSTALLED
    status = operator.records.reports("unit-7")[-1]
    assert (status.state, status.active_version, status.golden_passed) == ("installed", "1", True)


def test_releases_also_arrive_in_a_folder(operator: OperatorFolder, addresses: ServerAddresses, tmp_path: Path) -> None:
    home = UnitHome(tmp_path / "unit")
    enrol_unit(home, operator.invite("unit-7", addresses=addresses), task="fundus")
    publish(operator, tmp_path, "1")
    assert exit_code("edge", "update", "--home", home.root, "--from", operator.repository.folder) == 0
    assert home.serving().release.version == "1"


def test_a_server_that_is_gone_leaves_the_unit_screening(operator: OperatorFolder, tmp_path: Path) -> None:
    home = UnitHome(tmp_path / "unit")
    with serve_in_thread(operator) as addresses:
        enrol_unit(home, operator.invite("unit-7", addresses=addresses), task="fundus")
        publish(operator, tmp_path, "1")
        updated(home)
    assert updated(home) is Ending.FAILED
    assert home.serving().release.version == "1"


def test_an_invitation_for_a_hospital_is_not_for_a_unit(operator: OperatorFolder) -> None:
    with pytest.raises(InvitationError, match="not for a screening unit"):
        read_invitation(operator.invite("hospital-a", role=Role.HOSPITAL).encode())


def test_a_used_invitation_is_refused_with_the_way_out(
    operator: OperatorFolder, addresses: ServerAddresses, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = operator.invite("unit-7", addresses=addresses).encode()
    assert Invitation.decode(text).name == "unit-7"
    assert exit_code("edge", "enrol", text, "--home", tmp_path / "first") == 0
    assert exit_code("edge", "enrol", text, "--home", tmp_path / "second") == 4
    assert "new invitation" in capsys.readouterr().err


def updated(home: UnitHome) -> Ending:
    now = datetime.now(UTC)
    with server_source(home, now=now, patience=Patience(sleep=lambda seconds: None)) as source:
        agent = UpdateAgent(home, task="fundus", source=source, open_runtime=open_runtime, clock=lambda: now)
        return agent.update().ending
