"""A visit held with `edge screen` at a unit leaves its counts, and nothing of the patient (ADR 0030)."""

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from command_line import exit_code
from eyebright_common.release import Verdict
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.trial import visit_is_open
from eyebright_edge.records import CountingJournal, Journal, VisitJournal
from eyebright_edge.records.telemetry import pending_telemetry
from eyebright_edge.records.vault_retention import expire
from kiosk_client import Clock, client_of, kiosk_of, staffed_home, unlock, words_of
from visit_desk import NOON, good_picture, planted

CODE, FILE = "P-0042-ZEBRA", "family-name-of-zebra.png"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def home(tmp_path: Path) -> UnitHome:
    return staffed_home(tmp_path)


def test_a_picture_screened_on_the_command_line_leaves_no_name_behind(home: UnitHome, tmp_path: Path) -> None:
    file = tmp_path / FILE
    file.write_bytes(good_picture(0))
    assert exit_code("edge", "screen", "--right", file, "--home", home.root, "--patient", CODE) == 0
    digest = hashlib.sha256(good_picture(0)).hexdigest()
    assert planted(home, FILE, "zebra", CODE, good_picture(0)[:64], digest, '"eye"', "probabilities", "advice") == []


def test_a_visit_on_the_command_line_is_closed_counted_and_nothing_to_seal(
    home: UnitHome, clock: Clock, tmp_path: Path
) -> None:
    right, left, later = (tmp_path / name for name in ("right.png", "left.png", "left-again.png"))
    right.write_bytes(good_picture(0))
    left.write_bytes(good_picture(1))
    assert exit_code("edge", "screen", right, left, "--home", home.root, "--json") == 0
    assert exit_code("edge", "screen", right, later, "--home", home.root, "--json") == 2
    kiosk = kiosk_of(home, clock)
    client = client_of(kiosk)
    assert "Not finished" not in words_of(unlock(client))
    history = words_of(client.get("/history").text)
    assert (kiosk.records.open_leftovers(), visit_is_open(home, now=datetime.now(UTC))) == (0, False)
    assert history.count("on the command line") == 2
    assert all(word in history for word in ("NO REFERRAL", "NO ANSWER YET"))
    assert "/visit/1" not in history
    assert "Only its answer was counted here" in words_of(client.get("/visit/1").text)
    counts = VisitJournal(home.visits_file).counts()
    assert (counts.verdicts[Verdict.NO_REFERRAL], counts.pictures, counts.unfinished) == (1, 4, 0)
    told = pending_telemetry(VisitJournal(home.visits_file).visits(), today=date(2999, 1, 1))
    assert [set(day.results) for day in told.days] == [{"refer", "no-referral", "ungradable", "stopped"}]
    assert expire(home.root / "vault", today=date(2999, 1, 1), keep_days=1, date_confirmed=True).deleted == 0


def test_a_visit_on_the_command_line_that_was_killed_hangs_nowhere(home: UnitHome, clock: Clock) -> None:
    journal = VisitJournal(home.visits_file, lambda: NOON, journal=CountingJournal(Journal(home.visits_file)))
    journal.open(release="1", patient=CODE)
    kiosk = kiosk_of(home, clock)
    client = client_of(kiosk)
    assert "Not finished" not in words_of(unlock(client))
    assert not visit_is_open(home, now=NOON)
    assert "Only its answer was counted here" in words_of(client.get("/visit/1").text)
    assert VisitJournal(home.visits_file).counts().unfinished == 0
    assert planted(home, CODE) == []
