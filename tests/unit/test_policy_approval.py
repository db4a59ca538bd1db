"""A hospital takes part only in what a person there approved."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from eyebright_client.policy import (
    Policy,
    approve,
    asked_plans,
    note_asked,
    pause,
    read_policy,
    refuse_while_paused,
    resume,
)
from eyebright_common.errors import InputError, PlanRefused
from tiny_federation import tiny_plan

PLAN = tiny_plan(rounds=3)


def test_an_approved_plan_is_followed() -> None:
    approve(Policy(approved_plans=(PLAN.digest(),), min_rows=10), PLAN, round_number=3, rows=10)


def test_a_plan_nobody_approved_is_refused() -> None:
    with pytest.raises(PlanRefused, match="not approved"):
        approve(Policy(), PLAN, round_number=1, rows=10)


def test_approving_one_plan_does_not_approve_a_changed_one() -> None:
    changed = tiny_plan(rounds=3, learning_rate=0.5)
    with pytest.raises(PlanRefused, match="not approved"):
        approve(Policy(approved_plans=(PLAN.digest(),)), changed, round_number=1, rows=10)


@pytest.mark.parametrize("number", [0, -1, 4])
def test_a_round_outside_the_plan_is_refused(number: int) -> None:
    with pytest.raises(PlanRefused, match="outside the approved plan"):
        approve(Policy(approved_plans=(PLAN.digest(),)), PLAN, round_number=number, rows=10)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(PlanRefused, match="too few"):
        approve(Policy(approved_plans=(PLAN.digest(),), min_rows=11), PLAN, round_number=1, rows=10)


def test_a_hospital_without_a_policy_approves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no policy"):
        read_policy(tmp_path)


@pytest.mark.parametrize("content", ["{", '{"approved_plans": "all"}', '{"min_rows": 0}', '{"aproved_plans": []}'])
def test_a_policy_with_a_mistake_is_not_half_obeyed(tmp_path: Path, content: str) -> None:
    (tmp_path / "policy.json").write_text(content)
    with pytest.raises(InputError, match="policy cannot be used"):
        read_policy(tmp_path)


def test_a_policy_file_reads_as_written(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(json.dumps({"approved_plans": [PLAN.digest()], "min_rows": 5, "threads": 1}))
    assert read_policy(tmp_path) == Policy(approved_plans=(PLAN.digest(),), min_rows=5, threads=1)


@pytest.mark.parametrize(
    ("hours", "clock", "open_"),
    [
        ((), "03:00", True),
        (("20:00-06:00",), "03:00", True),
        (("20:00-06:00",), "20:00", True),
        (("20:00-06:00",), "06:00", False),
        (("20:00-06:00",), "12:00", False),
        (("08:00-09:00", "12:00-13:00"), "12:30", True),
        (("08:00-09:00", "12:00-13:00"), "10:00", False),
    ],
)
def test_work_begins_only_within_the_hours(hours: tuple[str, ...], clock: str, open_: bool) -> None:
    policy = Policy(approved_plans=(PLAN.digest(),), hours=hours)
    now = datetime.fromisoformat(f"2026-11-21T{clock}")
    if open_:
        approve(policy, PLAN, round_number=1, rows=10, now=now)
    else:
        with pytest.raises(PlanRefused, match="outside the hours"):
            approve(policy, PLAN, round_number=1, rows=10, now=now)


def test_a_plan_with_more_epochs_than_the_hospital_allows_is_refused_although_it_was_approved() -> None:
    long = tiny_plan(rounds=3, local_epochs=2)
    approve(Policy(approved_plans=(long.digest(),), max_local_epochs=2), long, round_number=1, rows=10)
    with pytest.raises(PlanRefused, match="epochs in a round"):
        approve(Policy(approved_plans=(long.digest(),), max_local_epochs=1), long, round_number=1, rows=10)
    with pytest.raises(PlanRefused, match="over all rounds"):
        approve(Policy(approved_plans=(long.digest(),), max_total_epochs=5), long, round_number=1, rows=10)


@pytest.mark.parametrize("span", ["8-9", "24:00-06:00", "20:00", "20:00-06:00 "])
def test_hours_that_nobody_can_read_are_refused(tmp_path: Path, span: str) -> None:
    (tmp_path / "policy.json").write_text(json.dumps({"hours": [span]}))
    with pytest.raises(InputError, match="span of hours"):
        read_policy(tmp_path)


def test_a_paused_hospital_refuses_until_it_resumes(tmp_path: Path) -> None:
    pause(tmp_path)
    with pytest.raises(PlanRefused, match="paused"):
        refuse_while_paused(tmp_path)
    resume(tmp_path)
    refuse_while_paused(tmp_path)


def test_plans_that_were_asked_for_are_kept_once_and_not_without_end(tmp_path: Path) -> None:
    for learning_rate in range(1, 30):
        note_asked(tmp_path, tiny_plan(learning_rate=learning_rate / 1000))
        note_asked(tmp_path, tiny_plan(learning_rate=learning_rate / 1000))
    kept = asked_plans(tmp_path)
    assert len(kept) == 20
    assert all(plan.digest() == digest for digest, plan in kept.items())
