"""A server killed at any instruction of a round ends with the student it would have had, and a ledger that verifies."""

import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from driven_rounds import driven
from eyebright_common.plan import Plan
from eyebright_server.federation.records import FederationResult
from eyebright_server.federation.rounds import LEDGER
from eyebright_server.federation.rules import RoundRules
from eyebright_server.records import Records
from postgres_cluster import Cluster
from tiny_federation import tiny_plan
from value_hospitals import ValueHospitals, with_array

ROWS = [5, 6, 7, 8]
NOT_A_NUMBER = np.full((2, 3), np.nan, dtype=np.float32)
PLANS = {
    "fedavg": tiny_plan(rounds=3),
    "fedadam, re-estimated statistics": tiny_plan(rounds=2, aggregation="fedadam", batch_norm="re-estimate"),
    "privacy": tiny_plan(
        rounds=2, privacy={"clipping_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-5, "max_epsilon": 100.0}
    ),
}


def hospitals() -> ValueHospitals:
    """Four hospitals, of which one answers badly in round 2."""
    people = ValueHospitals(rows=list(ROWS))
    people.faults[("train", 2, 3)] = with_array("features.weight", NOT_A_NUMBER)
    return people


def run(
    folder: Path, plan: Plan, people: ValueHospitals | None = None, *, url: str | None = None, **options: Any
) -> FederationResult:
    """Run the plan's rounds; with their ledger beside the checkpoint, or in the database of ``url``."""
    if url is not None:
        with Records.open(url) as records:
            return run(folder, plan, people, records=records, **options)
    return driven(people or hospitals(), folder, plan, rules=RoundRules(calibrate=True), **options)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed(work: Callable[[], object]) -> bool:
    """Do ``work`` in a copy of this process; return whether it was killed before its end."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the run itself failed"
    return os.WIFSIGNALED(status)


def at_line(number: int, work: Callable[[], object]) -> Callable[[], object]:
    """``work`` until so many lines of the federation and of the records have run."""
    left = number

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        if "/eyebright_server/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            left -= 1
            if left <= 0:
                die()
        return trace

    def traced() -> None:
        sys.settrace(trace)
        work()
        sys.settrace(None)

    return traced


def lines_of(work: Callable[[], object]) -> int:
    """How many such lines ``work`` has."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        if "/eyebright_server/" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def assert_as_undisturbed(ledger: Path | str, straight: FederationResult, resumed: FederationResult) -> None:
    assert [r.weights_sha256 for r in resumed.rounds] == [r.weights_sha256 for r in straight.rounds]
    assert [r.accepted for r in resumed.rounds] == [r.accepted for r in straight.rounds]
    assert [r.metrics for r in resumed.rounds] == [r.metrics for r in straight.rounds]
    assert resumed.best_round == straight.best_round
    with Records.open(ledger) as records:
        records.verify_ledger()
        entries = records.ledger()
    accepted = Counter(
        (e.facts["question"], e.facts["round"], e.facts["hospital"]) for e in entries if e.kind == "reply-accepted"
    )
    assert set(accepted.values()) == {1}, "no reply is accepted twice"
    closed = [e.facts["round"] for e in entries if e.kind == "round-closed"]
    assert closed == [r.round for r in straight.rounds], "no round is closed twice"


@pytest.mark.kill
@pytest.mark.parametrize("name", PLANS)
def test_a_server_killed_at_any_line_loses_nothing_and_counts_nothing_twice(tmp_path: Path, name: str) -> None:
    plan = PLANS[name]
    folder = tmp_path / "straight"
    folder.mkdir()
    if plan.privacy is not None:
        (folder / "noise.key").write_bytes(b"s" * 32)
    straight = run(folder, plan)
    lines = lines_of(lambda: run(prepared(tmp_path / "counted", plan), plan))
    assert lines > 1000
    generator = random.Random(11)
    for number in sorted(generator.sample(range(1, lines), 14)):
        place = prepared(tmp_path / f"{number}", plan)
        assert killed(at_line(number, lambda place=place: run(place, plan)))
        people = hospitals()
        resumed = run(place, plan, people)
        assert_as_undisturbed(place / LEDGER, straight, resumed)


@pytest.mark.kill
def test_with_its_ledger_in_postgresql_it_loses_nothing_either(tmp_path: Path, postgres: Cluster) -> None:
    plan = PLANS["fedavg"]
    straight = run(tmp_path / "straight", plan)
    lines = lines_of(lambda: run(tmp_path / "counted", plan, url=postgres.fresh_url()))
    for number in sorted(random.Random(12).sample(range(lines // 10, 9 * lines // 10), 8)):
        place, url = tmp_path / f"{number}", postgres.fresh_url()
        assert killed(at_line(number, lambda place=place, url=url: run(place, plan, url=url)))
        assert_as_undisturbed(url, straight, run(place, plan, url=url))


def prepared(folder: Path, plan: Plan) -> Path:
    folder.mkdir()
    if plan.privacy is not None:
        (folder / "noise.key").write_bytes(b"s" * 32)
    return folder


@pytest.mark.kill
def test_killed_again_and_again_a_run_still_comes_to_its_end(tmp_path: Path) -> None:
    plan = PLANS["fedavg"]
    straight, place = run(tmp_path / "straight", plan), tmp_path / "cut"
    # Each life is long enough for a round and too short for two.
    life = int(0.45 * lines_of(lambda: run(tmp_path / "counted", plan)))
    lives = 0
    while killed(at_line(life, lambda: run(place, plan))):
        lives += 1
        assert lives < 6
    assert lives > 1
    assert_as_undisturbed(place / LEDGER, straight, run(place, plan))


@pytest.mark.kill
@pytest.mark.parametrize("kind", ["trained", "set_aside", "aggregated", "evaluated", "round_finished"])
def test_an_accepted_reply_is_not_asked_for_again(tmp_path: Path, kind: str) -> None:
    plan = PLANS["fedavg"]

    def dying() -> FederationResult:
        return run(
            tmp_path / "cut", plan, on_event=lambda event: die() if (event.kind, event.round) == (kind, 2) else None
        )

    assert killed(dying)
    with Records.open(tmp_path / "cut" / LEDGER) as records:
        known = {
            (e.facts["question"], e.facts["round"], e.facts["hospital"])
            for e in records.ledger()
            if e.kind in {"reply-accepted", "reply-set-aside"}
        }
    people = hospitals()
    run(tmp_path / "cut", plan, people)
    assert known
    assert not known & {asked for asked in people.answered if asked[0] == "train"}


def test_a_reply_file_that_was_changed_is_asked_for_again(tmp_path: Path) -> None:
    """Before the average is decided a damaged file costs one more question, not a wrong student."""
    plan = PLANS["fedavg"]
    straight = run(tmp_path / "straight", plan)

    def dying() -> FederationResult:
        return run(
            tmp_path / "cut", plan, on_event=lambda event: die() if (event.kind, event.site) == ("trained", 1) else None
        )

    assert killed(dying)
    (tmp_path / "cut" / "replies" / "0001-train-00000.safetensors").write_bytes(b"torn")
    resumed = run(tmp_path / "cut", plan)
    assert [r.weights_sha256 for r in resumed.rounds] == [r.weights_sha256 for r in straight.rounds]
