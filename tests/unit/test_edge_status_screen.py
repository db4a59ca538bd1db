"""`eyebright edge status`: what runs, since when, proven how, what is next and why not yet."""

import io
import re
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from edge_unit import MORNING, EdgeUnit
from eyebright_common.release.rollout import Use
from eyebright_edge.agent.news import News
from eyebright_edge.agent.progress import ProgressNote, read_progress
from eyebright_edge.agent.settings import Trial
from eyebright_edge.agent.transitions import State
from eyebright_edge.agent.update import Stopped
from eyebright_edge.reports.status_report import status_facts, status_screen


@pytest.fixture
def unit(tmp_path: Path) -> EdgeUnit:
    return EdgeUnit(tmp_path)


def shown(unit: EdgeUnit) -> str:
    out = io.StringIO()
    Console(width=200, file=out).print(status_screen(status_facts(unit.home, now=unit.now)))
    return re.sub(r"\s+", " ", out.getvalue())


def test_a_proven_release_is_shown_with_its_proof_its_cost_and_its_receipt(unit: EdgeUnit) -> None:
    unit.releases.told = News(signed_at=MORNING, holds_until=MORNING + timedelta(days=7))
    unit.install("1")
    text = shown(unit)
    for part in (
        "runs release 1 ",
        "since 2026-01-02 08:00",
        "3 golden cases in onnxruntime-cpu, 0 decisions changed",
        "ms a picture",
        "signed by this unit, and it holds",
        "2026-01-02 08:00: installed",
        "until 2026-01-09 08:00",
        "next Nothing.",
    ):
        assert part in text, part


def test_a_trial_says_what_it_waits_for_and_what_it_could_go_back_to(unit: EdgeUnit) -> None:
    unit.install("1")
    unit.releases.publish("2")
    unit.trial = Trial(visits=5, minutes=60)
    unit.agent().update()
    text = shown(unit)
    assert "runs release 2, on trial" in text
    assert "can go back to release 1" in text
    assert "Not yet: release 2 is on trial: 0 of 5 visits, 0 of 60 minutes" in text


def test_a_release_that_runs_unseen_is_named(unit: EdgeUnit) -> None:
    unit.install("1")
    unit.releases.publish("2")
    unit.releases.use, unit.trial = Use.SHADOW, Trial(visits=5)
    unit.agent().update()
    text = shown(unit)
    assert "runs release 1 " in text
    assert "runs unseen release 2" in text


def test_a_refused_release_is_a_notice_and_the_next_step(unit: EdgeUnit) -> None:
    unit.install("1")
    unit.releases.publish("2", wrong_by=0.5)
    unit.agent().update()
    facts = status_facts(unit.home, now=unit.now)
    assert "release 1 goes on serving" in facts["next"]
    assert any("Release 2 was refused" in notice for notice in facts["notices"])


def test_a_failed_look_says_why_and_when_the_next_is(unit: EdgeUnit) -> None:
    unit.install("1")
    unit.releases.reachable = False
    unit.agent().update()
    assert "The last update failed (the server cannot be reached" in shown(unit)


def test_an_interrupted_update_is_said_to_go_on(unit: EdgeUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    unit.install("1")
    unit.releases.publish("2")

    def stop(*given: object, **how: object) -> None:
        raise Stopped

    monkeypatch.setattr(unit.releases, "fetch", stop)
    with pytest.raises(Stopped):
        unit.agent().update()
    assert "Not yet: the agent was stopped" in shown(unit)


def test_long_work_shows_how_far_it_has_come(unit: EdgeUnit) -> None:
    note = ProgressNote(unit.home, clock=lambda: 0.0)
    note.begin(State.PREPARE)
    note.tell(0.4, "loading the network, 62 s")
    assert "prepare: loading the network, 62 s (40 %)" in shown(unit)
    note.end()
    assert read_progress(unit.home) is None


def test_a_lost_receipt_is_said(unit: EdgeUnit) -> None:
    unit.install("1")
    for name in ("receipt.json", "receipt.copy.json"):
        (unit.home.root / name).unlink()
    text = shown(unit)
    assert "runs release 1 " in text
    assert "the release answers by its own digests" in text
