"""Approval by rule, the privacy budget of a lifetime, and caps that hold."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from eyebright_client.policy import (
    PlanRule,
    Policy,
    PrivacyBudget,
    approve,
    keep_to_budget,
    note_spent,
    spent,
)
from eyebright_client.policy.limits import within_limits
from eyebright_common.errors import InputError, PlanRefused
from eyebright_common.plan import Plan
from eyebright_common.privacy_cost import epsilon_at, epsilon_of, most_releases, rho_of
from tiny_federation import tiny_plan

PRIVACY = {"clipping_norm": 1.0, "noise_multiplier": 4.0, "delta": 1e-5, "max_epsilon": 50.0}
PLAN = tiny_plan(rounds=3)
NOISY = tiny_plan(rounds=4, privacy=PRIVACY)
TEACHER = {"teacher_sha256": "0" * 64, "teacher_arch": "vit"}


def test_a_plan_that_keeps_every_bound_of_one_rule_is_approved() -> None:
    strict = PlanRule(students=("resnet18",))
    fitting = PlanRule(
        tasks=("oct-dme",), students=("mobilenet_v2",), max_rounds=3, max_local_epochs=1, max_image_size=32
    )
    approve(Policy(approved_rules=(strict, fitting)), PLAN, round_number=1, rows=10)


@pytest.mark.parametrize(
    ("rule", "plan", "what"),
    [
        ({"tasks": ["fundus"]}, PLAN, "task oct-dme"),
        ({"students": ["resnet18"]}, PLAN, "student mobilenet_v2"),
        ({"max_rounds": 2}, PLAN, "3 rounds"),
        ({"max_local_epochs": 1}, tiny_plan(local_epochs=2), "2 epochs in a round"),
        ({"max_image_size": 32}, tiny_plan(image_size=64), "pictures of 64 px"),
        ({"teacher": "required"}, PLAN, "no teacher"),
        ({"teacher": "none"}, tiny_plan(**TEACHER), "a teacher"),
        ({"min_noise_multiplier": 1.0}, PLAN, "noise multiplier 0"),
        ({"min_noise_multiplier": 5.0}, NOISY, "noise multiplier 4"),
        ({"max_epsilon": 10.0}, NOISY, "epsilon 50"),
        ({"max_epsilon": 10.0}, PLAN, "epsilon inf"),
    ],
)
def test_a_plan_that_breaks_one_bound_is_refused_by_its_name(rule: dict[str, object], plan: Plan, what: str) -> None:
    policy = Policy.model_validate({"approved_rules": [rule]})
    with pytest.raises(PlanRefused, match=f"rule 1 does not allow {what}"):
        approve(policy, plan, round_number=1, rows=10)


def test_a_rule_does_not_lift_the_other_rules() -> None:
    policy = Policy(approved_rules=(PlanRule(tasks=("oct-dme",)),), min_rows=20)
    with pytest.raises(PlanRefused, match="too few"):
        approve(policy, PLAN, round_number=1, rows=10)


def test_a_rule_that_would_approve_everything_is_refused() -> None:
    with pytest.raises(ValueError, match="would approve every plan"):
        Policy.model_validate({"approved_rules": [{}]})


def test_a_rule_for_a_task_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown task fundos"):
        Policy.model_validate({"approved_rules": [{"tasks": ["fundos"]}]})


def test_a_plan_is_weighed_with_every_round_before_its_first() -> None:
    whole = epsilon_of(4, NOISY.privacy)
    keep_to_budget(PrivacyBudget(epsilon=whole + 0.01), NOISY, {})
    with pytest.raises(PlanRefused, match="exceed this hospital's privacy budget"):
        keep_to_budget(PrivacyBudget(epsilon=whole - 0.01), NOISY, {})


def test_a_plan_s_own_budget_ends_it_early_and_costs_no_more() -> None:
    short = tiny_plan(rounds=100, privacy={**PRIVACY, "max_epsilon": epsilon_of(3, NOISY.privacy) + 0.01})
    assert most_releases(short) == 3
    keep_to_budget(PrivacyBudget(epsilon=epsilon_of(3, NOISY.privacy) + 0.01), short, {})


def test_what_plans_have_cost_adds_up_over_a_lifetime(tmp_path: Path) -> None:
    earlier = tiny_plan(rounds=9, seed=1, privacy={**PRIVACY, "noise_multiplier": 2.0})
    for number in (1, 2, 2):  # the second round was asked for again after a kill
        note_spent(tmp_path, earlier, number)
    together = epsilon_at(rho_of(2, 2.0) + rho_of(4, 4.0), 1e-5)
    keep_to_budget(PrivacyBudget(epsilon=together + 0.01), NOISY, spent(tmp_path))
    with pytest.raises(PlanRefused, match=f"epsilon {together:.3g} over all plans"):
        keep_to_budget(PrivacyBudget(epsilon=together - 0.01), NOISY, spent(tmp_path))


def test_a_plan_that_has_begun_may_come_to_its_end(tmp_path: Path) -> None:
    budget = PrivacyBudget(epsilon=epsilon_of(4, NOISY.privacy) + 0.01)
    for number in range(1, 5):
        keep_to_budget(budget, NOISY, spent(tmp_path))
        note_spent(tmp_path, NOISY, number)


def test_with_a_budget_what_cannot_be_counted_is_refused(tmp_path: Path) -> None:
    budget = PrivacyBudget(epsilon=1e6)
    with pytest.raises(PlanRefused, match="no privacy"):
        keep_to_budget(budget, PLAN, {})
    note_spent(tmp_path, PLAN, 1)
    with pytest.raises(PlanRefused, match="without privacy was trained for before"):
        keep_to_budget(budget, NOISY, spent(tmp_path))
    keep_to_budget(None, PLAN, spent(tmp_path))


def test_a_damaged_account_stops_everything(tmp_path: Path) -> None:
    (tmp_path / "privacy.json").write_text("{")
    with pytest.raises(InputError, match="what was spent cannot be read"):
        note_spent(tmp_path, NOISY, 1)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor cannot be divided")
def test_a_cap_on_processors_holds_for_every_thread_and_ends_with_the_work() -> None:
    before = os.sched_getaffinity(0)
    torch.ones(64, 64) @ torch.ones(64, 64)
    with within_limits(Policy(cpus=1)) as device:
        assert device == torch.device("cpu")
        tied = [os.sched_getaffinity(int(thread.name)) for thread in Path("/proc/self/task").iterdir()]
        assert {len(processors) for processors in tied} == {1}
        np.linalg.inv(np.eye(200))
    assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a graphics card")
def test_a_round_that_wants_more_of_the_graphics_card_than_its_share_fails_alone() -> None:
    with within_limits(Policy(gpu_share=0.01)) as device:
        assert device.type == "cuda"
        total = torch.cuda.get_device_properties(0).total_memory
        torch.empty(total // 200, dtype=torch.uint8, device=device)
        with pytest.raises(torch.cuda.OutOfMemoryError):
            torch.empty(total // 50, dtype=torch.uint8, device=device)
    with within_limits(Policy()) as device:
        assert device.type == "cpu"
