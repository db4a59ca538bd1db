"""A hospital takes part only in what a person there approved."""

import json
from pathlib import Path

import pytest

from eyebright_client.policy import Policy, approve, read_policy
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
