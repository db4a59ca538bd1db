"""Rates of units that have the new release, against those that have not."""

import pytest

from eyebright_common.release.rollout import Ring, Rollout
from eyebright_common.wire import UnitStatus, Verdicts
from eyebright_server.fleet import observe

ROLLOUT = Rollout(
    task="fundus",
    number=1,
    version="2",
    before="1",
    seed="s",
    rings=(
        Ring(name="canary", kind="serve", share=0.3, wait_hours=1.0),
        Ring(name="rest", kind="serve", share=0.7, wait_hours=0.0),
    ),
    opened=0,
    state="open",
)


def status(version: str = "1", refer: int = 30, let_go: int = 70, blind: int = 5, **changes: object) -> UnitStatus:
    fields = {
        "task": "fundus",
        "active_version": version,
        "state": "up_to_date",
        "golden_passed": True,
        "verdicts": Verdicts(refer=refer, no_referral=let_go, ungradable=blind),
        "software": "0.1.0",
    }
    return UnitStatus(**{**fields, **changes})


def fleet(count: int = 40, **canary: object) -> dict[str, UnitStatus]:
    names = [f"unit-{n}" for n in range(count)]
    return {name: status(**{"version": "2", **canary}) if ROLLOUT.ring_of(name) == 0 else status() for name in names}


def verdicts(reports: dict[str, UnitStatus]) -> dict[str, str]:
    return {rate.name: rate.verdict for rate in observe(ROLLOUT, reports).rates}


def test_a_healthy_canary_is_inside_every_limit() -> None:
    seen = observe(ROLLOUT, fleet())
    assert set(verdicts(fleet()).values()) == {"inside"}
    assert seen.running == seen.units > 5
    assert seen.patients == 105 * seen.running


@pytest.mark.parametrize(
    ("canary", "name"),
    [
        ({"refer": 60, "let_go": 40}, "referral_rate"),
        ({"refer": 5, "let_go": 95}, "referral_rate"),
        ({"blind": 60}, "ungradable_rate"),
        ({"last_error": "engine-failed"}, "errors"),
        ({"state": "rolled_back"}, "errors"),
        ({"golden_passed": False, "version": "1"}, "golden_failures"),
    ],
)
def test_a_rate_outside_its_limits_is_named(canary: dict, name: str) -> None:
    assert name in [rate.name for rate in observe(ROLLOUT, fleet(**canary)).outside]


def test_fewer_ungradable_patients_stop_nothing() -> None:
    assert verdicts(fleet(blind=0))["ungradable_rate"] == "inside"


def test_a_single_unit_that_fails_its_golden_cases_is_outside() -> None:
    reports = fleet()
    name = next(name for name in reports if ROLLOUT.ring_of(name) == 0)
    reports[name] = status("1", golden_passed=False)
    assert verdicts(reports)["golden_failures"] == "outside"


def test_too_few_cases_say_nothing() -> None:
    few = verdicts(fleet(refer=1, let_go=0, blind=0, count=4))
    assert few["referral_rate"] == few["ungradable_rate"] == "insufficient data"
    assert set(verdicts({}).values()) == {"insufficient data"}


def test_units_of_another_task_are_not_looked_at() -> None:
    others = {name: status(task="oct-dme", refer=99) for name in ("a", "b", "c")}
    assert observe(ROLLOUT, others).units == 0
