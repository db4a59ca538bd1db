"""The hospital's rules hold in a round, whatever the server asks: the app enforces them, not only the functions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eyebright_client.policy import asked_plans, pause, resume, spent
from eyebright_common.errors import FederationError
from eyebright_server.federation import FederationResult, run_federation
from tiny_federation import tiny_initial, tiny_plan, tiny_site

PLAN = tiny_plan(rounds=1)


def rounds(tmp_path: Path, name: str, sites: list[Path]) -> FederationResult:
    return run_federation(plan=PLAN, initial=tiny_initial(PLAN), sites=sites, checkpoint=tmp_path / name)


def with_policy(site: Path, **rules: object) -> Path:
    policy = json.loads((site / "policy.json").read_text())
    (site / "policy.json").write_text(json.dumps({**policy, **rules}))
    return site


@pytest.fixture
def sites(tmp_path: Path) -> list[Path]:
    return [tiny_site(tmp_path / f"site-{index}", index, PLAN) for index in range(2)]


def test_a_paused_hospital_refuses_and_takes_part_again_when_it_resumes(tmp_path, sites):
    pause(sites[0])
    (record,) = rounds(tmp_path, "paused", sites).rounds
    assert (record.refused, record.accepted) == ((0,), (1,))
    resume(sites[0])
    (record,) = rounds(tmp_path, "resumed", sites).rounds
    assert (record.refused, record.accepted) == ((), (0, 1))


@pytest.mark.parametrize("rules", [{"min_rows": 1000}, {"hours": ["00:00-00:00"]}])
def test_a_rule_that_is_not_kept_is_a_refusal_of_the_app(tmp_path, sites, rules):
    with_policy(sites[0], **rules)
    (record,) = rounds(tmp_path, "rounds", sites).rounds
    assert (record.refused, record.accepted) == ((0,), (1,))


def test_losses_that_are_not_named_stay_in_the_building(tmp_path, sites):
    with_policy(sites[0], fields=["counts"])
    (record,) = rounds(tmp_path, "rounds", sites).rounds
    assert record.accepted == (0, 1)
    assert record.site_losses[0] == {}
    assert record.site_losses[1]


def test_counts_that_are_not_named_are_refused_and_the_student_still_counts(tmp_path, sites):
    with_policy(sites[0], fields=["losses"])
    (record,) = rounds(tmp_path, "rounds", sites).rounds
    assert record.accepted == (0, 1)
    assert record.evaluated == (1,)


def test_a_plan_nobody_approved_is_kept_for_a_person_to_read(tmp_path):
    site = tiny_site(tmp_path / "site", 0, PLAN, approve=False)
    with pytest.raises(FederationError):
        rounds(tmp_path, "rounds", [site])
    assert asked_plans(site) == {PLAN.digest(): PLAN}


def test_a_plan_that_keeps_a_rule_is_followed_although_nobody_wrote_down_its_digest(tmp_path, sites):
    with_policy(sites[0], approved_plans=[], approved_rules=[{"students": ["mobilenet_v2"], "max_local_epochs": 1}])
    with_policy(sites[1], approved_plans=[], approved_rules=[{"students": ["resnet18"]}])
    (record,) = rounds(tmp_path, "rounds", sites).rounds
    assert (record.refused, record.accepted) == ((1,), (0,))


def test_a_plan_beyond_the_privacy_budget_is_refused_and_what_is_trained_for_is_written_down(tmp_path, sites):
    with_policy(sites[0], privacy_budget={"epsilon": 1.0})
    (record,) = rounds(tmp_path, "rounds", sites).rounds
    assert (record.refused, record.accepted) == ((0,), (1,))
    assert spent(sites[0]) == {}
    assert {digest: cost.rounds for digest, cost in spent(sites[1]).items()} == {PLAN.digest(): 1}
