"""A run ends early, repeats a round and forgives a late answer, as its rules say."""

from dataclasses import replace
from pathlib import Path

import pytest

from driven_rounds import driven
from eyebright_common.errors import FederationError, InputError
from eyebright_server.federation.flower import least_hospitals
from eyebright_server.federation.records import FederationResult, Reply, Setback
from eyebright_server.federation.rounds import LEDGER
from eyebright_server.federation.rules import RoundRules
from eyebright_server.records import Records
from tiny_federation import tiny_plan
from value_hospitals import ValueHospitals, is_silent


def run(people: ValueHospitals, folder: Path, rules: RoundRules, *, rounds: int = 4) -> FederationResult:
    return driven(people, folder, tiny_plan(rounds=rounds), rules=rules)


def silent_once(reply_is: list[bool]) -> object:
    """A fault that silences the first answer and lets the second pass."""

    def fault(reply: Reply) -> Reply:
        first, reply_is[0] = reply_is[0], False
        return is_silent(reply) if first else reply

    return fault


def test_a_round_below_its_quorum_is_repeated_with_those_who_are_missing(tmp_path: Path) -> None:
    people = ValueHospitals(rows=[5, 6, 7])
    people.faults[("train", 1, 2)] = silent_once([True])  # type: ignore[assignment]
    found = run(people, tmp_path / "a", RoundRules(quorum=3), rounds=1)
    straight = run(ValueHospitals(rows=[5, 6, 7]), tmp_path / "b", RoundRules(quorum=3), rounds=1)
    assert found.rounds[0].attempts == 2
    assert found.rounds[0].weights_sha256 == straight.rounds[0].weights_sha256
    assert people.answered.count(("train", 1, 0)) == 1, "who has answered is not asked again"


def test_tries_are_bounded_and_the_model_is_unchanged(tmp_path: Path) -> None:
    people = ValueHospitals(rows=[5, 6])
    people.faults[("train", 2, 1)] = is_silent
    with pytest.raises(FederationError, match="round 2 has no quorum: 1 of 2"):
        run(people, tmp_path, RoundRules(quorum=2, attempts=3))
    assert people.answered.count(("train", 2, 1)) == 3
    with Records.open(tmp_path / LEDGER) as records:
        kinds = [entry.kind for entry in records.ledger()]
    assert kinds.count("round-below-quorum") == 3
    assert kinds.count("round-aggregated") == 1


def test_without_a_better_student_the_run_ends(tmp_path: Path) -> None:
    """These hospitals' figures never change, so the first round stays the best."""
    found = run(ValueHospitals(rows=[5, 6]), tmp_path, RoundRules(patience=2))
    assert (len(found.rounds), found.ended, found.best_round) == (3, "no_improvement", 1)


def test_a_budget_of_rounds_ends_the_run_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    first = run(ValueHospitals(rows=[5, 6]), tmp_path, RoundRules(round_budget=2))
    assert (len(first.rounds), first.ended) == (2, "round_budget")
    second = run(ValueHospitals(rows=[5, 6]), tmp_path, RoundRules())
    assert (len(second.rounds), second.ended, second.resumed_after) == (4, "all_rounds", 2)


def test_a_late_answer_is_written_down_and_changes_nothing(tmp_path: Path) -> None:
    people = ValueHospitals(rows=[5, 6])
    people.came_late.append(Setback(site=1, reason="late", detail="train of round 0"))
    found = run(people, tmp_path / "a", RoundRules())
    straight = run(ValueHospitals(rows=[5, 6]), tmp_path / "b", RoundRules())
    assert found.rounds[0].late == (1,)
    assert [replace(r, late=()) for r in found.rounds] == list(straight.rounds)
    with Records.open(tmp_path / "a" / LEDGER) as records:
        assert [e.facts["hospital"] for e in records.ledger() if e.kind == "reply-late"] == [1]


def test_a_quorum_larger_than_the_run_is_refused() -> None:
    with pytest.raises(InputError, match="quorum is larger than the run: 4 of 3"):
        RoundRules(quorum=4).quorum_of(3)


@pytest.mark.parametrize("rules", [{"attempts": 0}, {"quorum": 0}, {"round_budget": 0}, {"patience": -1}])
def test_rules_that_make_no_sense_are_named(rules: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(rules))):
        RoundRules(**rules)


@pytest.mark.parametrize(
    ("name", "hostile", "least"), [("krum", 1, 5), ("multikrum", 2, 7), ("bulyan", 1, 7), ("fedavg", 0, 1)]
)
def test_a_robust_average_needs_as_many_hospitals_as_its_paper_says(name: str, hostile: int, least: int) -> None:
    assert least_hospitals(name, hostile) == least
