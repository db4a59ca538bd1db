"""The hospitals are asked for the temperature that surprises them least, and the shipped student has it."""

import os
import signal
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driven_rounds import driven, place_of
from eyebright_common import exchange
from eyebright_common.exchange import head_names
from eyebright_common.plan import Plan
from eyebright_common.tasks import get_task
from eyebright_learning.evaluation import EvaluationCounts, softmax
from eyebright_learning.models import STUDENTS, build_student
from eyebright_server.federation.calibrating import FURTHEST, calibrated, temperature_of, tempered
from eyebright_server.federation.checkpoint import RunState, weights_digest
from eyebright_server.federation.records import Arrays, FederationEvent, FederationResult, Reply
from eyebright_server.federation.rounds import LEDGER
from eyebright_server.federation.rules import RoundRules
from eyebright_server.records import Records
from tiny_federation import tiny_plan
from value_hospitals import ValueHospitals, is_silent

PICTURES = 400


class HonestHospitals(ValueHospitals):
    """Their pictures' labels are drawn from a student twice as modest as the one that is sent."""

    def ask(
        self, kind: str, *, plan: Plan, round_number: int, arrays: Arrays | None, skip: Collection[int] = frozenset()
    ) -> Iterator[Reply]:
        self.sent = arrays or {}
        yield from super().ask(kind, plan=plan, round_number=round_number, arrays=arrays, skip=skip)

    def _trained(self, arrays: Arrays, site: int) -> Arrays:
        return {name: array + np.float32(1e-4 * (site + 1)) for name, array in arrays.items()}

    def _numbers(self, kind: str, site: int, plan: Plan) -> dict[str, Any]:
        if kind != "evaluate":
            return super()._numbers(kind, site, plan) | (
                {exchange.VALIDATION_ROWS: PICTURES} if kind == "query" else {}
            )
        counts = counts_of(self.sent, site, plan).to_dict()
        named = {exchange.COUNTS_PREFIX + name: values for name, values in counts.items()}
        return {exchange.NUM_EXAMPLES: PICTURES, **named}


def first() -> Arrays:
    """A student of one number per picture: overconfident by a factor of two."""
    weight = np.array([[3.0], [-3.0]], dtype=np.float32)
    return {"classifier.1.weight": weight, "classifier.1.bias": np.array([0.5, 0.0], dtype=np.float32)}


def counts_of(arrays: Arrays, site: int, plan: Plan) -> EvaluationCounts:
    rng = np.random.default_rng(site)
    x = rng.normal(size=(PICTURES, 1))
    truth = softmax((x @ first()["classifier.1.weight"].T + first()["classifier.1.bias"]) / 2.0)
    labels = (rng.random(PICTURES) > truth[:, 0]).astype(int)
    logits = x @ arrays["classifier.1.weight"].T + arrays["classifier.1.bias"]
    return EvaluationCounts.of(softmax(logits), labels, task=get_task(plan.task))


def run(
    folder: Path, people: ValueHospitals | None = None, *, calibrate: bool = True, **options: Any
) -> tuple[FederationResult, RunState]:
    plan, hospitals = tiny_plan(rounds=2), people or HonestHospitals(rows=[5, 6, 7])
    rules = RoundRules(calibrate=calibrate)
    found = driven(hospitals, folder, plan, first=first(), rules=rules, **options)
    state = place_of(folder, plan, first=first(), hospitals=len(hospitals)).load()
    assert state is not None
    return found, state


def test_the_overconfident_student_becomes_as_modest_as_the_labels(tmp_path: Path) -> None:
    plain, _ = run(tmp_path / "plain", calibrate=False)
    found, state = run(tmp_path / "asked")
    assert found.temperature == pytest.approx(2.0, rel=0.2)
    assert np.array_equal(
        found.weights["classifier.1.weight"], plain.weights["classifier.1.weight"] / np.float32(found.temperature)
    )
    task = get_task(tiny_plan().task)
    errors = [
        sum(
            (EvaluationCounts.from_dict(one, task=task) for one in each.counts.values()), EvaluationCounts.zero(2)
        ).metrics(task=task, threshold=None)["ece"]
        for each in (plain, found)
    ]
    assert errors[1] < 0.5 * errors[0]
    assert state.calibration is not None
    assert state.calibration.before is not None
    assert state.calibration.after is not None
    assert state.calibration.after < state.calibration.before
    assert [r.weights_sha256 for r in found.rounds] == [r.weights_sha256 for r in plain.rounds], "rounds as before"


def test_a_student_that_is_right_already_is_left_alone(tmp_path: Path) -> None:
    known = {0: counts_of(tempered(first(), 2.0), 0, tiny_plan())}
    asked: list[float] = []

    def ask(temperature: float) -> dict[int, EvaluationCounts]:
        asked.append(temperature)
        return {0: counts_of(tempered(first(), 2.0 * temperature), 0, tiny_plan())}

    found = calibrated(known, ask)
    assert found.temperature == 1.0
    assert asked == [temperature_of(1), temperature_of(-1)]
    assert found.counts == {0: known[0].to_dict()}


def test_the_walk_is_bounded_and_takes_either_way() -> None:
    plan = tiny_plan()
    cold = {0: counts_of(tempered(first(), 100.0), 0, plan)}  # nearly uniform: every step down is better
    found = calibrated(cold, lambda t: {0: counts_of(tempered(first(), 100.0 * t), 0, plan)})
    assert found.temperature == temperature_of(-FURTHEST)
    assert found.questions == FURTHEST + 1


def test_hospitals_that_do_not_answer_for_both_do_not_sway_the_comparison() -> None:
    plan = tiny_plan()
    known = {site: counts_of(first(), site, plan) for site in (0, 1)}
    alone = calibrated({0: known[0]}, lambda t: {0: counts_of(tempered(first(), t), 0, plan)})
    found = calibrated(known, lambda t: {0: counts_of(tempered(first(), t), 0, plan)})
    assert (found.temperature, found.before, found.after) == (alone.temperature, alone.before, alone.after)
    nobody = calibrated(known, lambda t: {})
    assert nobody.temperature == 1.0


def test_too_few_pictures_are_not_asked_about(tmp_path: Path) -> None:
    people = ValueHospitals(rows=[5, 6])
    found, state = run(tmp_path, people)
    assert found.temperature == 1.0
    assert state.calibration is not None
    assert state.calibration.questions == 0
    assert people.asked[-1] == ("evaluate", 2)


def test_the_ledger_names_the_shipped_student(tmp_path: Path) -> None:
    found, _ = run(tmp_path)
    with Records.open(tmp_path / LEDGER) as records:
        entries = {entry.kind: entry.facts for entry in records.ledger()}
    assert entries["run-calibrated"]["temperature"] == found.temperature
    assert entries["run-calibrated"]["weights_sha256"] == weights_digest(found.weights)
    assert entries["run-calibrated"]["hospitals"] == [0, 1, 2]


def test_a_finished_run_asks_nobody_and_an_older_one_is_asked_once(tmp_path: Path) -> None:
    run(tmp_path, calibrate=False)
    people = HonestHospitals(rows=[5, 6, 7])
    found, _ = run(tmp_path, people)
    assert {kind for kind, _ in people.asked} <= {"query", "evaluate"}, "no round is run again"
    assert found.temperature > 1.0
    again = HonestHospitals(rows=[5, 6, 7])
    same, _ = run(tmp_path, again)
    assert again.asked == []
    assert weights_digest(same.weights) == weights_digest(found.weights)


def test_a_silent_hospital_is_left_out_of_what_is_shipped(tmp_path: Path) -> None:
    people = HonestHospitals(rows=[5, 6, 7])
    heard = iter([False, False])

    def fault(reply: Reply) -> Reply:
        return reply if next(heard, True) is False else is_silent(reply)

    people.faults[("evaluate", 1, 2)] = fault  # answers in the round, then no more
    found, _ = run(tmp_path, people)
    assert found.best_round == 1
    assert found.temperature > 1.0
    assert sorted(found.counts) in ([0, 1], [0, 1, 2])


@pytest.mark.kill
def test_killed_between_the_questions_it_asks_again_and_ships_the_same(tmp_path: Path) -> None:
    straight, _ = run(tmp_path / "straight")

    def dies(event: FederationEvent) -> None:
        if event.kind == "tempered":
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        run(tmp_path / "killed", on_event=dies)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    found, _ = run(tmp_path / "killed")
    assert weights_digest(found.weights) == weights_digest(straight.weights)
    assert found.counts == straight.counts
    with Records.open(tmp_path / "killed" / LEDGER) as records:
        records.verify_ledger()
        assert [entry.kind for entry in records.ledger()].count("run-calibrated") == 1


@pytest.mark.parametrize("architecture", STUDENTS)
def test_the_last_layer_is_known_by_name_and_divided_exactly(architecture: str) -> None:
    student = build_student(architecture, classes=3, seed=1)
    state = student.state_dict()
    head = {student.head_prefix + part for part in ("weight", "bias")}
    assert head_names(state) == head
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    cooled = tempered(arrays, 2.0)
    assert {name for name in arrays if not np.array_equal(cooled[name], arrays[name])} <= head
    assert np.array_equal(cooled[student.head_prefix + "weight"] * 2, arrays[student.head_prefix + "weight"])
