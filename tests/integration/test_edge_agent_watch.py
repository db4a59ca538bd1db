"""The agent's service and a real server over loopback: told of a release, it looks at once; without one it lives."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from direct_workshop import DirectWorkshop
from eyebright_edge.agent import hints as hints_room
from eyebright_edge.agent.enrolment import enrol_unit
from eyebright_edge.agent.hints import ServerHints
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.serve import listen_to_server
from eyebright_edge.agent.service import AgentService
from eyebright_edge.agent.source import ReleaseSource
from eyebright_edge.agent.tuf_source import open_source
from eyebright_edge.agent.update import UpdateAgent
from eyebright_edge.runtime import open_runtime
from eyebright_server.distribution import OperatorFolder, serve_in_thread
from eyebright_server.release.repository import utc_now
from served_network import IMPATIENT
from tiny_release import write_tiny_release

_AGENT_WITHOUT_LEAST_REST = """
import sys
from eyebright_common.cli import main
from eyebright_edge.agent import hints
if __name__ == "__main__":
    hints.LEAST_REST_S = 0.0
    main(sys.argv[1:])
"""


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[OperatorFolder]:
    folder = OperatorFolder.create(tmp_path / "operator")
    yield folder
    folder.close()


def publish(operator: OperatorFolder, folder: Path, version: str) -> None:
    write_tiny_release(folder / version, version=version)
    operator.repository.publish(folder / version)


class Running:
    """The service in a thread. Its rests are as long as ever: only the server's word brings a look."""

    def __init__(self, home: UnitHome, sleep: Callable[[float], None]) -> None:
        self.lines: list[str] = []
        self._told = threading.Condition()
        self._service = AgentService(
            home,
            places=("server",),
            open_place=lambda place: open_source(home, place, now=datetime.now(UTC), patience=IMPATIENT),
            make_agent=lambda source: self._agent(home, source),
            clock=lambda: datetime.now(UTC),
            hints=ServerHints(listen_to_server(home), sleep=sleep),
            on_event=self._tell,
        )

    def run(self, rounds: int) -> None:
        self._service.run(rounds=rounds)

    def wait_for(self, line: str, *, times: int = 1) -> None:
        with self._told:
            heard = self._told.wait_for(lambda: sum(line in one for one in self.lines) >= times, timeout=120)
        assert heard, self.lines

    def _tell(self, line: str) -> None:
        with self._told:
            self.lines.append(line)
            self._told.notify_all()

    def _agent(self, home: UnitHome, source: ReleaseSource) -> UpdateAgent:
        return UpdateAgent(
            home,
            task="fundus",
            source=source,
            open_runtime=open_runtime,
            workshop=DirectWorkshop(open_runtime),
            clock=lambda: datetime.now(UTC),
            pause=lambda seconds: None,
        )


@contextmanager
def in_a_thread(running: Running, *, rounds: int) -> Iterator[None]:
    thread = threading.Thread(target=running.run, args=(rounds,), daemon=True)
    thread.start()
    yield
    thread.join(timeout=120)
    assert not thread.is_alive(), running.lines


@pytest.fixture(autouse=True)
def no_least_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints_room, "LEAST_REST_S", 0.0)


def test_a_release_published_while_the_unit_rests_is_taken_at_once(operator: OperatorFolder, tmp_path: Path) -> None:
    home = UnitHome(tmp_path / "unit")
    publish(operator, tmp_path, "1")
    with serve_in_thread(operator) as addresses:
        enrol_unit(home, operator.invite("unit-7", addresses=addresses), task="fundus")
        running = Running(home, time.sleep)
        with in_a_thread(running, rounds=3):
            running.wait_for("up to date; release 1 serves")  # the second look, brought by the server's first word
            publish(operator, tmp_path, "2")
            running.wait_for("installed; release 2 serves")
    assert home.serving().release.version == "2"
    assert running.lines.count("the server calls; looking now") == 2


def test_a_server_that_comes_back_is_heard_in_the_rest_after_a_failure(
    operator: OperatorFolder, tmp_path: Path
) -> None:
    home = UnitHome(tmp_path / "unit")
    publish(operator, tmp_path, "1")
    with serve_in_thread(operator) as addresses:
        enrol_unit(home, operator.invite("unit-7", addresses=addresses), task="fundus")
    lost, back = threading.Event(), threading.Event()

    def until_it_is_back(seconds: float) -> None:
        lost.set()
        assert back.wait(timeout=120)

    running = Running(home, until_it_is_back)
    with in_a_thread(running, rounds=2):
        assert lost.wait(timeout=120)  # the look has failed, and so has listening
        port = int(json.loads((home.identity / "identity.json").read_text())["distribution_address"].rpartition(":")[2])
        with serve_in_thread(operator, distribution_port=port):
            back.set()
            running.wait_for("installed; release 1 serves")
    assert running.lines[0].startswith("failed; no release serves")


def test_a_unit_that_was_revoked_hears_nothing_and_goes_on_resting(operator: OperatorFolder, tmp_path: Path) -> None:
    home = UnitHome(tmp_path / "unit")
    with serve_in_thread(operator) as addresses:
        enrol_unit(home, operator.invite("unit-7", addresses=addresses), task="fundus")
        operator.records.revoke("unit-7", now=utc_now())
        now, pauses = [0.0], []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            now[0] += seconds

        resting = ServerHints(listen_to_server(home), now=lambda: now[0], sleep=sleep)
        assert not resting.within(900.0, unreached=True)
    assert len(pauses) >= 3
    assert now[0] == pytest.approx(900.0)


@contextmanager
def notify_socket() -> Iterator[tuple[str, socket.socket]]:
    """Stand for systemd; in a short path, because such an address has little room."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"{folder}/notify")
        heard.settimeout(0.0)
        yield f"{folder}/notify", heard


def everything(heard: socket.socket) -> list[str]:
    told = []
    with suppress(BlockingIOError):
        while True:
            told.append(heard.recv(4096).decode())
    return told


@pytest.mark.slow
def test_the_service_that_listens_ends_in_good_order_and_tells_systemd(
    operator: OperatorFolder, tmp_path: Path
) -> None:
    home = UnitHome(tmp_path / "unit")
    publish(operator, tmp_path, "1")
    with serve_in_thread(operator) as addresses, notify_socket() as (address, heard):
        enrol_unit(home, operator.invite("unit-7", addresses=addresses), task="fundus")
        command = [sys.executable, "-c", _AGENT_WITHOUT_LEAST_REST, "edge", "agent", "--home", str(home.root)]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "NOTIFY_SOCKET": address}
        running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        try:
            assert running.stdout is not None
            assert running.stdout.readline().startswith("installed; release 1 serves")
            assert running.stdout.readline() == "the server calls; looking now\n"
            assert running.stdout.readline().startswith("up to date; release 1 serves")
            running.send_signal(signal.SIGTERM)  # in the rest, over an open line that says nothing
            said, _ = running.communicate(timeout=120)
        finally:
            running.kill()
        told = everything(heard)
    assert running.returncode == 0
    assert said == "stopped; what was interrupted goes on at the next start\n"
    assert {"READY=1", "WATCHDOG=1", "STATUS=the server calls; looking now"} <= set(told)
    assert told[-1] == "STOPPING=1"
