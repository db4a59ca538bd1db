"""A clock in 1970, in 2099, set back; news that runs out; a server that is gone: screening never notices."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_unit import MORNING, EdgeUnit
from eyebright_common.errors import MetadataExpired
from eyebright_edge.agent.news import News, note_news, read_news, stale_notice, trusted_time
from eyebright_edge.agent.notices import unit_notices
from eyebright_edge.agent.receipt import read_receipt
from eyebright_edge.agent.update_record import Ending

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FAR = datetime(2099, 1, 1, tzinfo=UTC)
FRESH = News(signed_at=MORNING, holds_until=MORNING + timedelta(days=7))


@pytest.fixture
def unit(tmp_path: Path) -> EdgeUnit:
    made = EdgeUnit(tmp_path)
    made.releases.told = FRESH
    made.install("1")
    return made


def test_in_1970_the_newest_signature_is_the_time(unit: EdgeUnit) -> None:
    unit.now = EPOCH
    unit.install("2")
    receipt = read_receipt(unit.home)
    assert receipt.active is not None
    assert receipt.active.activated_at == MORNING
    assert unit.home.serving().release.version == "2"
    (notice,) = unit_notices(unit.home, now=EPOCH)
    assert "clock of this unit is behind" in notice


def test_in_2099_screening_goes_on_and_the_notice_asks_for_the_clock(unit: EdgeUnit) -> None:
    unit.now = FAR
    assert unit.home.serving().release.version == "1"
    (notice,) = unit_notices(unit.home, now=FAR)
    assert "Set the clock if it is wrong" in notice
    assert "Screening goes on" in notice


def test_a_clock_that_was_ahead_leaves_no_trace(unit: EdgeUnit) -> None:
    unit.now = FAR
    unit.agent().update()
    unit.now = MORNING + timedelta(hours=1)
    assert trusted_time(read_news(unit.home), unit.now) == unit.now
    unit.install("2")
    assert unit_notices(unit.home, now=unit.now) == ()


def test_a_server_gone_for_sixty_days_stops_new_releases_and_nothing_else(unit: EdgeUnit) -> None:
    unit.releases.reachable = False
    for day in range(1, 61):
        unit.now = MORNING + timedelta(days=day)
        assert unit.agent().update().ending is Ending.FAILED
        assert unit.home.serving().release.version == "1"
    (notice,) = unit_notices(unit.home, now=unit.now)
    assert "held until 2026-01-09" in notice
    unit.releases.reachable = True
    unit.releases.told = News(signed_at=unit.now, holds_until=unit.now + timedelta(days=7))
    unit.install("2")
    assert unit_notices(unit.home, now=unit.now) == ()


def test_metadata_older_than_what_was_verified_is_refused_even_when_the_kept_metadata_is_lost(unit: EdgeUnit) -> None:
    unit.releases.told = News(signed_at=MORNING - timedelta(days=1), holds_until=MORNING + timedelta(days=30))
    unit.releases.publish("2")
    result = unit.agent().update()
    assert (result.ending, result.active) == (Ending.FAILED, "1")
    assert isinstance(result.error, MetadataExpired)
    assert read_news(unit.home).signed_at == MORNING


def test_the_mark_survives_the_loss_of_either_copy(unit: EdgeUnit) -> None:
    unit.home.news_file.write_bytes(b"\x00" * 40)
    assert read_news(unit.home).signed_at == MORNING
    note_news(unit.home, FRESH.model_copy(update={"signed_at": MORNING + timedelta(days=1)}), now=MORNING)
    unit.home.news_file.with_name("news.copy.json").write_bytes(b"")
    assert read_news(unit.home).signed_at == MORNING + timedelta(days=1)


def test_quiet_polls_do_not_wear_the_disk_out(unit: EdgeUnit) -> None:
    before = unit.home.news_file.stat().st_mtime_ns
    for quarter in range(1, 9):
        unit.now = MORNING + timedelta(minutes=15 * quarter)
        unit.agent().update()
    assert unit.home.news_file.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (MORNING, ""),
        (MORNING + timedelta(days=7), ""),
        (MORNING + timedelta(days=8), "no new release is taken until"),
        (MORNING - timedelta(seconds=1), "behind"),
        (FAR, "Set the clock"),
    ],
)
def test_what_a_person_is_told_about_the_news(now: datetime, words: str) -> None:
    told = stale_notice(FRESH, now)
    assert (words in told) if words else told == ""


def test_a_unit_that_never_heard_a_signature_says_nothing_about_it() -> None:
    assert stale_notice(News(), FAR) == ""
    assert trusted_time(News(), EPOCH) == EPOCH
