"""The agent as a service: which place it asks, how long it rests, what it remembers."""

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_unit import EdgeUnit
from eyebright_common.errors import InputError, WireError
from eyebright_edge.agent.service import AgentService, Rhythm, ServiceManager, read_agent_note
from eyebright_edge.agent.settings import Trial, UnitSettings, read_settings, write_settings
from eyebright_edge.agent.source import ReleaseSource
from eyebright_edge.agent.update_record import Ending


class Even(random.Random):
    """No jitter: the middle of every interval."""

    def random(self) -> float:
        return 0.5


class Places:
    """Where releases may be; each place answers, or raises."""

    def __init__(self, unit: EdgeUnit, **broken: Exception) -> None:
        self.unit, self.broken, self.asked = unit, broken, list[str]()

    @contextmanager
    def open(self, place: str) -> Iterator[ReleaseSource]:
        self.asked.append(place)
        if place in self.broken:
            raise self.broken[place]
        yield self.unit.releases


def service(unit: EdgeUnit, places: Places, *names: str) -> tuple[AgentService, list[float], list[str]]:
    pauses: list[float] = []
    lines: list[str] = []
    made = AgentService(
        unit.home,
        places=names or ("server",),
        open_place=places.open,
        make_agent=lambda source: unit.agent(),
        clock=lambda: unit.now,
        sleep=pauses.append,
        chance=Even(),
        on_event=lines.append,
    )
    return made, pauses, lines


@pytest.fixture
def unit(tmp_path: Path) -> EdgeUnit:
    return EdgeUnit(tmp_path)


def test_it_installs_what_comes_and_rests_a_quarter_of_an_hour(unit: EdgeUnit) -> None:
    unit.releases.publish("1")
    running, pauses, lines = service(unit, Places(unit))
    running.run(rounds=3)
    assert pauses == [900.0, 900.0]
    assert lines[0].startswith("installed; release 1 serves")
    assert lines[1].startswith("up to date; release 1 serves")


def test_failures_in_a_row_are_asked_again_ever_more_seldom_also_after_a_restart(unit: EdgeUnit) -> None:
    unit.releases.reachable = False
    running, pauses, _ = service(unit, Places(unit))
    running.run(rounds=4)
    assert pauses == [60.0, 120.0, 240.0]
    restarted, more, _ = service(unit, Places(unit))
    restarted.run(rounds=5)
    assert more == [960.0, 1920.0, 3600.0, 3600.0]
    note = read_agent_note(unit.home)
    assert note is not None
    assert (note.failures, note.ending) == (9, Ending.FAILED)
    unit.releases.reachable = True
    running.run(rounds=1)
    note = read_agent_note(unit.home)
    assert note is not None
    assert note.failures == 0


def test_a_trial_is_looked_at_often(unit: EdgeUnit) -> None:
    unit.install("1")
    unit.releases.publish("2")
    unit.trial = Trial(visits=5, minutes=60)
    running, pauses, lines = service(unit, Places(unit))
    running.run(rounds=2)
    assert pauses == [30.0]
    assert "on trial: 0 of 5 visits" in lines[-1]


def test_the_next_place_is_asked_only_when_the_one_before_fails(unit: EdgeUnit) -> None:
    unit.releases.publish("1")
    gone = Places(unit, server=WireError("the server cannot be reached"))
    running, _, lines = service(unit, gone, "server", "stick", "never")
    running.run(rounds=1)
    assert gone.asked == ["server", "stick"]
    assert lines[0].startswith("installed")


def test_when_no_place_answers_the_first_one_is_what_is_told(unit: EdgeUnit) -> None:
    gone = Places(unit, server=WireError("the server cannot be reached"), stick=InputError("no releases here"))
    running, _, lines = service(unit, gone, "server", "stick")
    running.run(rounds=1)
    assert "the server cannot be reached" in lines[0]


def test_a_bad_day_does_not_end_the_service(unit: EdgeUnit) -> None:
    broken = Places(unit, server=OSError(28, "No space left on device"))
    running, pauses, lines = service(unit, broken)
    unit.home.agent_file.mkdir()
    running.run(rounds=3)
    assert len(pauses) == 2
    assert "No space left on device" in lines[-1]


@pytest.mark.parametrize("ending", Ending)
@pytest.mark.parametrize("failures", [1, 5, 10_000])
def test_a_pause_is_never_nothing_and_never_more_than_an_hour_and_a_half(ending: Ending, failures: int) -> None:
    for seed in range(20):
        assert 15.0 <= Rhythm().pause_s(ending, failures, random.Random(seed)) <= 5400.0


def test_units_do_not_come_back_all_at_once() -> None:
    pauses = {round(Rhythm().pause_s(Ending.FAILED, 3, random.Random(seed))) for seed in range(100)}
    assert len(pauses) > 50


def test_the_service_manager_is_told_over_its_socket(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(address)
        heard.settimeout(10)
        manager = ServiceManager(address)
        manager.tell("READY=1")
        assert {heard.recv(100), heard.recv(100)} == {b"READY=1", b"WATCHDOG=1"}


def test_settings_that_cannot_be_are_refused_by_name(unit: EdgeUnit) -> None:
    write_settings(unit.home, UnitSettings(task="fundus", trial=Trial(visits=7), places=("server", "/media/stick")))
    assert read_settings(unit.home).trial.visits == 7
    unit.home.settings_file.write_text('{"schema": "eyebright.unit/1", "task": "fundus", "trial": {"visits": -1}}')
    with pytest.raises(InputError, match=r"trial\.visits"):
        read_settings(unit.home)
