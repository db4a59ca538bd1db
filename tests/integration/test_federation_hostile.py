"""Whatever one hospital in five sends, it is named, and the others' student is the one they would have had."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driven_rounds import driven
from eyebright_common import exchange
from eyebright_server.federation.records import Arrays, FederationResult, Reply
from eyebright_server.federation.rounds import LEDGER
from eyebright_server.federation.rules import RoundRules
from eyebright_server.records import Records
from learning_hospitals import ROWS, LearningHospitals, first_weights, sign_flip
from tiny_federation import tiny_plan
from value_hospitals import Fault, ValueHospitals, is_silent, small_arrays, with_array, with_echo, with_number

WEIGHT = small_arrays()["features.weight"]
VARIANCE = small_arrays()["bn.running_var"]


def without(name: str) -> Fault:
    return lambda reply: replace(reply, arrays={n: a for n, a in reply.arrays.items() if n != name})


def filled(array: np.ndarray, value: float) -> np.ndarray:
    changed = array.copy()
    changed.flat[1] = value
    return changed


def unasked(reply: Reply) -> Reply:
    return replace(reply, nonce="asked", echo={**reply.echo, exchange.NONCE: "another"})


HOSTILE: dict[str, tuple[Fault, str]] = {
    "NaN": (with_array("features.weight", filled(WEIGHT, np.nan)), "not_finite"),
    "Inf": (with_array("features.weight", filled(WEIGHT, -np.inf)), "not_finite"),
    "huge norm": (with_array("features.weight", filled(WEIGHT, 1e30)), "outlying_norm"),
    "twentyfold update": (with_array("features.weight", WEIGHT * np.float32(6.0)), "outlying_norm"),
    "huge statistics": (with_array("bn.running_var", filled(VARIANCE, 1e9)), "outlying_norm"),
    "negative variance": (with_array("bn.running_var", -VARIANCE), "negative_variance"),
    "wrong shape": (with_array("features.weight", WEIGHT.T.copy()), "wrong_shape"),
    "wrong dtype": (with_array("features.weight", WEIGHT.astype(np.float64)), "wrong_dtype"),
    "integers": (with_array("features.weight", WEIGHT.astype(np.int32)), "wrong_dtype"),
    "missing key": (without("bn.running_mean"), "wrong_keys"),
    "extra key": (with_array("optimiser.state", WEIGHT), "wrong_keys"),
    "answer to another question": (unasked, "replayed"),
    "answer to another round": (with_echo(exchange.ROUND, 1), "wrong_round"),
    "wrong plan": (with_echo(exchange.PLAN_DIGEST, "0" * 64), "wrong_plan"),
    "zero examples": (with_number(exchange.NUM_EXAMPLES, 0), "implausible_count"),
    "ten-thousand-fold weight": (with_number(exchange.NUM_EXAMPLES, 10_000 * 10), "implausible_count"),
    "weight that is no number": (with_number(exchange.NUM_EXAMPLES, float("nan")), "implausible_count"),
    "loss that is no number": (with_number(exchange.LOSS_PREFIX + "ce", float("nan")), "not_finite"),
}


def run(
    people: Any,
    folder: Path,
    *,
    rounds: int = 3,
    first: Arrays | None = None,
    rules: RoundRules | None = None,
    **plan: Any,
) -> FederationResult:
    return driven(people, folder, tiny_plan(rounds=rounds, **plan), first=first, rules=rules)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_reply_is_named_and_harmless(tmp_path: Path, name: str) -> None:
    fault, reason = HOSTILE[name]
    attacked, silent = ValueHospitals(rows=[10] * 5), ValueHospitals(rows=[10] * 5)
    attacked.faults[("train", 2, 4)] = fault
    silent.faults[("train", 2, 4)] = is_silent
    found, expected = run(attacked, tmp_path / "attacked"), run(silent, tmp_path / "silent")
    assert [(s.site, s.reason) for s in found.rounds[1].quarantined] == [(4, reason)]
    assert found.rounds[1].accepted == (0, 1, 2, 3)
    assert [r.weights_sha256 for r in found.rounds] == [r.weights_sha256 for r in expected.rounds]
    with Records.open(tmp_path / "attacked" / LEDGER) as records:
        records.verify_ledger()
        (entry,) = [entry for entry in records.ledger() if entry.kind == "reply-set-aside"]
    assert (entry.facts["hospital"], entry.facts["reason"]) == (4, reason)


def test_the_student_of_an_earlier_round_sent_again_is_replayed(tmp_path: Path) -> None:
    people = ValueHospitals(rows=[10] * 5)
    old: list[Arrays] = []

    def remember(reply: Reply) -> Reply:
        old.append(dict(reply.arrays))
        return reply

    people.faults[("train", 1, 0)] = remember
    people.faults[("train", 2, 4)] = lambda reply: replace(reply, arrays=old[0])
    record = run(people, tmp_path).rounds[1]
    assert [(s.site, s.reason, s.detail) for s in record.quarantined] == [(4, "replayed", "the answer of round 1")]


def test_two_answers_of_one_hospital_count_once(tmp_path: Path) -> None:
    people = ValueHospitals(rows=[10] * 5)
    people.faults[("train", 1, 4)] = lambda reply: replace(reply, site=3)
    record = run(people, tmp_path).rounds[0]
    assert record.accepted == (0, 1, 2, 3)
    assert [(s.site, s.reason) for s in record.quarantined] == [(3, "replayed")]


def test_a_hospital_that_declares_the_whole_world_is_not_believed(tmp_path: Path) -> None:
    people = ValueHospitals(rows=[10, 10, 10, 10, 100_000])
    found = run(people, tmp_path).rounds[0]
    assert [(s.site, s.reason) for s in found.quarantined] == [(4, "implausible_count")]


def test_a_repeated_offender_is_no_longer_asked_until_it_is_lifted(tmp_path: Path) -> None:
    people = ValueHospitals(rows=[10] * 5)
    for number in range(1, 6):
        people.faults[("train", number, 4)] = with_array("features.weight", filled(WEIGHT, np.nan))
    found = run(people, tmp_path, rounds=5)
    assert [record.suspended for record in found.rounds] == [(), (), (), (4,), (4,)]
    assert ("train", 4, 4) not in people.answered
    with Records.open(tmp_path / LEDGER) as records:
        assert set(records.suspended()) == {4}
        records.lift(4, now=next(iter(records.suspended().values())))
        assert records.suspended() == {}
        assert [e.kind for e in records.ledger() if e.kind.startswith("hospital-")] == [
            "hospital-suspended",
            "hospital-lifted",
        ]


def test_a_hospital_that_is_silent_or_refuses_offends_nobody(tmp_path: Path) -> None:
    people = ValueHospitals(rows=[10] * 5)
    for number in range(1, 6):
        people.faults[("train", number, 4)] = is_silent
    assert run(people, tmp_path, rounds=5).rounds[-1].suspended == ()


def accuracy(result: FederationResult) -> float:
    return float(result.rounds[-1].metrics["balanced_accuracy"])


ROBUST = [("fedmedian", 5), ("fedtrimmedavg", 5), ("multikrum", 5), ("krum", 5), ("bulyan", 7)]


@pytest.mark.parametrize(("aggregation", "hospitals"), ROBUST)
@pytest.mark.parametrize("attack", ["sign flip", "label flip"])
def test_one_hospital_that_turns_updates_round_costs_less_than_two_points(
    tmp_path: Path, aggregation: str, hospitals: int, attack: str
) -> None:
    """The bars on length are off: what is left is what the average itself withstands."""
    options: dict[str, Any] = {
        "first": first_weights(),
        "rules": RoundRules(outlier_floor=1e9, outlier_mads=1e9),
        "rounds": 6,
        "aggregation": aggregation,
    }
    if aggregation in {"krum", "multikrum", "bulyan"}:
        options["hostile"] = 1
    hostile = LearningHospitals(hospitals, attacks={1: sign_flip})
    if attack == "label flip":
        hostile = LearningHospitals(hospitals, flipped=frozenset({1}))
    # What can be lost is what the clean federation reaches by plain averaging.
    clean = run(
        LearningHospitals(hospitals), tmp_path / "clean", first=first_weights(), rounds=6, rules=options["rules"]
    )
    attacked = run(hostile, tmp_path / "attacked", **options)
    assert accuracy(clean) > 0.75
    assert accuracy(attacked) >= accuracy(clean) - 0.02
    assert {each.site for record in attacked.rounds for each in record.opposed} == {1}, "and it is named"


def test_without_a_robust_average_the_same_attack_ruins_the_student(tmp_path: Path) -> None:
    """The proof that the table above tests something."""
    open_gate = RoundRules(outlier_floor=1e9, outlier_mads=1e9)
    ruined = run(
        LearningHospitals(5, attacks={1: sign_flip}), tmp_path / "a", first=first_weights(), rounds=6, rules=open_gate
    )
    assert accuracy(ruined) < 0.6


def test_the_bar_on_length_alone_sets_a_tenfold_sign_flip_aside(tmp_path: Path) -> None:
    clean = run(LearningHospitals(5), tmp_path / "clean", first=first_weights(), rounds=6)
    guarded = run(LearningHospitals(5, attacks={1: sign_flip}), tmp_path / "guarded", first=first_weights(), rounds=6)
    assert accuracy(guarded) >= accuracy(clean) - 0.02
    assert (1, "outlying_norm") in {(s.site, s.reason) for r in guarded.rounds for s in r.quarantined}


def test_hospitals_of_very_different_size_are_all_believed(tmp_path: Path) -> None:
    """The bars are for what cannot be training."""
    rows: list[int] = [ROWS // 60, ROWS, ROWS, 50 * ROWS, 300 * ROWS]
    assert all(record.accepted == (0, 1, 2, 3, 4) for record in run(ValueHospitals(rows=rows), tmp_path).rounds)
