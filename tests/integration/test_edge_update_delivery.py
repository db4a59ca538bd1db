"""Releases arrive over a network that breaks, from a web server, on a stick; amid a visit; for one ring and not for
another. All of it signed by a real operator."""

import contextlib
import functools
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command_line import exit_code
from direct_workshop import DirectWorkshop
from eyebright_common.release import RELEASE_FILE, Eye, Verdict, describe_artefact
from eyebright_common.wire import Patience
from eyebright_edge.agent.enrolment import enrol_unit
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.news import read_news
from eyebright_edge.agent.receipt import read_receipt
from eyebright_edge.agent.settings import Trial, UnitSettings, write_settings
from eyebright_edge.agent.tuf_source import open_source
from eyebright_edge.agent.update import UpdateAgent, UpdateResult
from eyebright_edge.agent.update_record import Ending
from eyebright_edge.records.unit_records import UnitRecords
from eyebright_edge.runtime import open_runtime
from eyebright_edge.screening.desk import VisitDesk
from eyebright_server.distribution import OperatorFolder, serve_in_thread
from flapping_proxy import flapping
from tiny_release import REFER_BIAS, write_tiny_release
from visit_desk import IN_SCOPE, good_picture

HASTY = Patience(sleep=lambda seconds: None)


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[OperatorFolder]:
    folder = OperatorFolder.create(tmp_path / "operator")
    yield folder
    folder.close()


@pytest.fixture
def home(operator: OperatorFolder, tmp_path: Path) -> UnitHome:
    """A unit that has enrolled; the server it enrolled with is gone."""
    made = UnitHome(tmp_path / "unit")
    with serve_in_thread(operator) as addresses:
        enrol_unit(made, operator.invite("unit-7", addresses=addresses), task="fundus")
    return made


def publish(operator: OperatorFolder, folder: Path, version: str, *, ballast_bytes: int = 0, **opinion: Any) -> None:
    release = write_tiny_release(folder / version, version=version, **opinion)
    if ballast_bytes:
        _add_ballast(folder / version, release.to_json(), ballast_bytes)
    operator.repository.publish(folder / version)


def _add_ballast(folder: Path, described: bytes, size: int) -> None:
    # A card that no compression makes small: a download long enough to break off in the middle.
    (folder / "notes.md").write_bytes(np.random.default_rng(0).bytes(size))
    facts = json.loads(described)
    facts["artefacts"].append(describe_artefact(folder / "notes.md").model_dump(mode="json"))
    (folder / RELEASE_FILE).write_text(json.dumps(facts))


def update(home: UnitHome, place: str, *, now: datetime | None = None, trial: Trial | None = None) -> UpdateResult:
    moment = now or datetime.now(UTC)
    with open_source(home, place, now=moment, patience=HASTY) as source:
        agent = UpdateAgent(
            home,
            task="fundus",
            source=source,
            open_runtime=open_runtime,
            workshop=DirectWorkshop(open_runtime),
            clock=lambda: moment,
            trial=trial,
            pause=lambda seconds: None,
        )
        return agent.update()


@contextlib.contextmanager
def web_server(folder: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_release_from_a_static_web_server(operator: OperatorFolder, home: UnitHome, tmp_path: Path) -> None:
    publish(operator, tmp_path, "1")
    with web_server(operator.repository.folder) as address:
        assert update(home, address).ending is Ending.INSTALLED
    assert home.serving().release.version == "1"
    assert read_news(home).signed_at is not None


def test_a_release_from_a_stick_and_the_stick_pulled_out(
    operator: OperatorFolder, home: UnitHome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(operator, tmp_path, "1")
    stick = operator.repository.folder
    assert update(home, str(stick)).ending is Ending.INSTALLED
    assert exit_code("edge", "update", "--home", home.root, "--from", tmp_path / "pulled-out") == 2
    assert "holds no releases" in capsys.readouterr().err
    assert home.serving().release.version == "1"


def test_a_network_that_breaks_again_and_again_brings_every_byte_once(operator: OperatorFolder, tmp_path: Path) -> None:
    home, size = UnitHome(tmp_path / "unit"), 3 << 20
    with serve_in_thread(operator) as addresses:
        enrol_unit(home, operator.invite("unit-7", addresses=addresses), task="fundus")
        publish(operator, tmp_path, "1", ballast_bytes=size)
        with flapping(addresses.distribution, cut_after_bytes=900_000) as network:
            identity = home.identity / "identity.json"
            facts = json.loads(identity.read_text())
            server = facts["distribution_address"].rpartition(":")[0]
            identity.write_text(json.dumps({**facts, "distribution_address": f"{server}:{network.port}"}))
            for _ in range(10):
                if update(home, "server").active == "1":
                    break
            cuts = network.cuts
    assert home.serving().release.version == "1"
    assert cuts >= 3
    # Without resuming, 900 kB a connection could never carry a file of 3 MB.
    assert (home.release_folder("1") / "notes.md").stat().st_size == size


def test_a_release_from_the_server_is_proven_during_a_visit_and_answers_the_next_one(
    operator: OperatorFolder, tmp_path: Path
) -> None:
    home = UnitHome(tmp_path / "unit")
    with serve_in_thread(operator) as addresses:
        enrol_unit(home, operator.invite("unit-7", addresses=addresses), task="fundus")
        publish(operator, tmp_path, "1")
        assert update(home, "server").ending is Ending.INSTALLED
        desk = desk_now(home)
        number = begun(desk, "P-17")
        desk.add_picture(number, Eye.RIGHT, good_picture(0), name="a.png")
        publish(operator, tmp_path, "2", bias=REFER_BIAS)
        assert update(home, "server").ending is Ending.WAITING
        trial = read_receipt(home).trial
        assert trial is not None
        assert trial.proof is not None
        # Half a visit by one release and half by another would be a third opinion, which nobody has tested.
        desk.add_picture(number, Eye.LEFT, good_picture(1), name="b.png")
        assert (desk.result(number).release, desk.result(number).verdict) == ("1", Verdict.NO_REFERRAL)
        assert update(home, "server").ending is Ending.INSTALLED
        following = begun(desk, "P-18")
        desk.add_picture(following, Eye.RIGHT, good_picture(0), name="c.png")
        desk.add_picture(following, Eye.LEFT, good_picture(1), name="d.png")
        assert (desk.result(following).release, desk.result(following).verdict) == ("2", Verdict.REFER)
        assert (desk.result(number).release, desk.result(number).verdict) == ("1", Verdict.NO_REFERRAL)


def desk_now(home: UnitHome) -> VisitDesk:
    """Return a desk by the clock on the wall, which the server's certificates go by."""
    clock = functools.partial(datetime.now, UTC)
    records = UnitRecords(home.root, home.visits_file, clock=clock, key_file=home.root.parent / "unit.key")
    assert records.open_unattended()
    return VisitDesk(home, clock=clock, pictures=records.pictures, journal=records.journal, unit="unit-7")


def begun(desk: VisitDesk, patient: str) -> int:
    number = desk.open(patient=patient)
    desk.answer_checklist(number, IN_SCOPE)
    return number


def test_an_old_copy_of_the_repository_is_refused_even_by_a_unit_that_lost_its_metadata(
    operator: OperatorFolder, home: UnitHome, tmp_path: Path
) -> None:
    publish(operator, tmp_path, "1")
    update(home, str(operator.repository.folder))
    news = home.news_file
    newer = read_news(home).model_copy(update={"signed_at": datetime.now(UTC) + timedelta(hours=2)})
    for file in (news, news.with_name("news.copy.json")):
        file.write_bytes(newer.to_json())
    shutil.rmtree(home.metadata)
    publish(operator, tmp_path, "2")
    result = update(home, str(operator.repository.folder))
    assert (result.ending, result.active) == (Ending.FAILED, "1")
    assert "older than what this unit has verified" in result.reason


@pytest.mark.slow
def test_the_service_installs_a_release_in_a_child_and_ends_in_good_order(
    operator: OperatorFolder, home: UnitHome, tmp_path: Path
) -> None:
    publish(operator, tmp_path, "1")
    write_settings(home, UnitSettings(task="fundus", places=(str(operator.repository.folder),)))
    command = [sys.executable, "-m", "eyebright_common", "edge", "agent", "--home", str(home.root)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("installed; release 1 serves")
        running.send_signal(signal.SIGTERM)
        said, _ = running.communicate(timeout=120)
    finally:
        running.kill()
    assert running.returncode == 0
    assert "stopped" in said
    assert home.serving().release.version == "1"
