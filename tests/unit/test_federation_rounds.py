"""A round goes on without the hospitals that cannot be counted, and never without a quorum."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from driven_rounds import driven
from eyebright_common import exchange
from eyebright_common.errors import FederationError
from eyebright_common.plan import Plan
from eyebright_server.federation.checkpoint import weights_digest
from eyebright_server.federation.records import UNIDENTIFIED, FederationEvent, FederationResult
from eyebright_server.federation.validation import best_round
from tiny_federation import tiny_plan
from value_hospitals import ValueHospitals, is_silent, refuses, small_arrays, with_array, with_echo, with_number

NOT_A_NUMBER = np.full((2, 3), np.nan, dtype=np.float32)


def run(
    hospitals: ValueHospitals, folder: Path, *, plan: Plan | None = None, events: list[FederationEvent] | None = None
) -> FederationResult:
    told = (events if events is not None else []).append
    return driven(hospitals, folder, plan or tiny_plan(rounds=3), on_event=told)


def test_a_round_averages_by_the_number_of_images(tmp_path: Path) -> None:
    result = run(ValueHospitals(rows=[30, 10]), tmp_path, plan=tiny_plan(rounds=1))
    expected = small_arrays()["bn.running_mean"] * 0.9 + (30 * 0.01 + 10 * 0.02) / 40
    np.testing.assert_allclose(result.final_weights["bn.running_mean"], expected, rtol=1e-6)
    assert result.final_weights["bn.running_mean"].dtype == np.float32


def test_losses_are_averaged_by_the_number_of_images(tmp_path: Path) -> None:
    (record,) = run(ValueHospitals(rows=[30, 10]), tmp_path, plan=tiny_plan(rounds=1)).rounds
    assert record.losses == {"ce": pytest.approx((30 * 1.0 + 10 * 2.0) / 40)}


def test_validation_counts_of_all_hospitals_are_pooled(tmp_path: Path) -> None:
    (record,) = run(ValueHospitals(rows=[30, 10]), tmp_path, plan=tiny_plan(rounds=1)).rounds
    assert record.metrics["n"] == 8
    assert record.site_metrics[1]["n"] == 4


def test_bytes_of_every_question_and_answer_are_counted(tmp_path: Path) -> None:
    first, second, _ = run(ValueHospitals(rows=[30, 10]), tmp_path).rounds
    assert (first.bytes_up, first.bytes_down) == (3 * 2 * 10, 3 * 2 * 100)  # query, train, evaluate
    assert (second.bytes_up, second.bytes_down) == (2 * 2 * 10, 2 * 2 * 100)


def test_one_poisoned_reply_is_set_aside_and_the_round_goes_on(tmp_path: Path) -> None:
    hospitals = ValueHospitals(rows=[10, 10, 10])
    hospitals.faults[("train", 2, 1)] = with_array("features.weight", NOT_A_NUMBER)
    second = run(hospitals, tmp_path).rounds[1]
    assert second.accepted == (0, 2)
    assert [(s.site, s.reason) for s in second.quarantined] == [(1, "not_finite")]


def test_a_hospital_set_aside_in_one_round_is_back_in_the_next(tmp_path: Path) -> None:
    hospitals = ValueHospitals(rows=[10, 10, 10])
    hospitals.faults[("train", 1, 1)] = with_array("features.weight", NOT_A_NUMBER)
    assert run(hospitals, tmp_path).rounds[1].accepted == (0, 1, 2)


def test_a_poisoned_reply_leaves_no_trace_in_the_weights(tmp_path: Path) -> None:
    spoiled = ValueHospitals(rows=[10, 10, 10])
    silent = ValueHospitals(rows=[10, 10, 10])
    spoiled.faults[("train", 1, 1)] = with_array("features.weight", NOT_A_NUMBER)
    silent.faults[("train", 1, 1)] = is_silent
    one, other = run(spoiled, tmp_path / "a"), run(silent, tmp_path / "b")
    assert weights_digest(one.final_weights) == weights_digest(other.final_weights)


def test_a_hospital_that_refuses_is_not_called_bad(tmp_path: Path) -> None:
    hospitals = ValueHospitals(rows=[10, 10, 10])
    for kind in ("query", "train", "evaluate"):
        hospitals.faults[(kind, 1, 2)] = refuses
    first = run(hospitals, tmp_path).rounds[0]
    assert first.refused == (2,)
    assert first.quarantined == ()
    assert first.accepted == (0, 1)


def test_a_hospital_that_agrees_later_joins_later(tmp_path: Path) -> None:
    hospitals = ValueHospitals(rows=[10, 10, 10])
    for kind in ("query", "train", "evaluate"):
        hospitals.faults[(kind, 1, 2)] = refuses
    assert run(hospitals, tmp_path).rounds[1].accepted == (0, 1, 2)


def test_a_replayed_answer_of_the_round_before_is_set_aside(tmp_path: Path) -> None:
    hospitals = ValueHospitals(rows=[10, 10])
    hospitals.faults[("train", 2, 0)] = with_echo(exchange.ROUND, 1)
    assert [s.reason for s in run(hospitals, tmp_path).rounds[1].quarantined] == ["wrong_round"]


def test_half_of_the_hospitals_is_a_quorum(tmp_path: Path) -> None:
    hospitals = ValueHospitals(rows=[10, 10, 10, 10])
    hospitals.faults |= {("train", 1, 0): is_silent, ("train", 1, 1): is_silent}
    assert run(hospitals, tmp_path).rounds[0].accepted == (2, 3)


def test_below_the_quorum_the_run_stops_with_every_reason(tmp_path: Path) -> None:
    hospitals = ValueHospitals(rows=[10, 10, 10])
    hospitals.faults |= {("train", 2, 0): is_silent, ("train", 2, 2): refuses}
    with pytest.raises(
        FederationError, match=r"round 2 has no quorum.*hospital 0: no_answer.*hospital 2: plan_refused"
    ):
        run(hospitals, tmp_path)


def test_after_a_lost_quorum_the_run_goes_on_from_the_last_round(tmp_path: Path) -> None:
    broken = ValueHospitals(rows=[10, 10])
    broken.faults |= {("train", 2, 0): is_silent, ("train", 2, 1): is_silent}
    with pytest.raises(FederationError):
        run(broken, tmp_path / "resumed")
    resumed = run(ValueHospitals(rows=[10, 10]), tmp_path / "resumed")
    straight = run(ValueHospitals(rows=[10, 10]), tmp_path / "straight")
    assert resumed.resumed_after == 1
    assert weights_digest(resumed.final_weights) == weights_digest(straight.final_weights)


def test_bad_counts_leave_a_hospital_out_of_the_metrics_only(tmp_path: Path) -> None:
    hospitals = ValueHospitals(rows=[10, 10])
    hospitals.faults[("evaluate", 1, 1)] = with_number(exchange.COUNTS_PREFIX + "confusion", [1, 2])
    (record, *_) = run(hospitals, tmp_path).rounds
    assert record.accepted == (0, 1)
    assert record.evaluated == (0,)
    assert [(s.site, s.reason) for s in record.quarantined] == [(1, "bad_counts")]


def test_a_hospital_cannot_count_more_images_than_it_evaluated(tmp_path: Path) -> None:
    hospitals = ValueHospitals(rows=[10, 10])
    hospitals.faults[("evaluate", 1, 1)] = with_number(exchange.NUM_EXAMPLES, 3)
    (record, *_) = run(hospitals, tmp_path).rounds
    assert record.evaluated == (0,)
    assert record.metrics["n"] == 4


def test_an_answer_under_another_hospitals_number_is_set_aside(tmp_path: Path) -> None:
    hospitals = ValueHospitals(rows=[10, 10])
    for kind in ("query", "train", "evaluate"):
        hospitals.faults[(kind, 1, 1)] = lambda reply: replace(reply, site=UNIDENTIFIED)
    (record, *_) = run(hospitals, tmp_path).rounds
    assert (record.accepted, record.evaluated) == ((0,), (0,))
    assert {s.reason for s in record.quarantined} == {"unidentified"}


def test_the_order_of_arrival_changes_nothing(tmp_path: Path) -> None:
    forwards = run(ValueHospitals(rows=[7, 11, 13]), tmp_path / "a")
    backwards = run(ValueHospitals(rows=[7, 11, 13], backwards=True), tmp_path / "b")
    assert forwards.rounds == backwards.rounds
    assert weights_digest(forwards.final_weights) == weights_digest(backwards.final_weights)


@pytest.mark.parametrize("aggregation", ["fedavg", "fedavgm", "fedadam", "fedmedian"])
def test_a_run_cut_short_ends_as_if_it_never_was(tmp_path: Path, aggregation: str) -> None:
    plan = tiny_plan(rounds=4, aggregation=aggregation)
    cut = ValueHospitals(rows=[5, 6, 7])
    for site in range(3):
        cut.faults[("train", 3, site)] = is_silent
    with pytest.raises(FederationError):
        run(cut, tmp_path / "cut", plan=plan)
    resumed = run(ValueHospitals(rows=[5, 6, 7]), tmp_path / "cut", plan=plan)
    straight = run(ValueHospitals(rows=[5, 6, 7]), tmp_path / "straight", plan=plan)
    assert [r.weights_sha256 for r in resumed.rounds] == [r.weights_sha256 for r in straight.rounds]
    assert [r.metrics for r in resumed.rounds] == [r.metrics for r in straight.rounds]
    assert resumed.best_round == straight.best_round


def test_a_finished_run_is_returned_without_asking_anybody(tmp_path: Path) -> None:
    first = run(ValueHospitals(rows=[10, 10]), tmp_path)
    nobody = ValueHospitals(rows=[10, 10])
    again = run(nobody, tmp_path)
    assert nobody.asked == []
    assert again.rounds == first.rounds
    assert weights_digest(again.weights) == weights_digest(first.weights)


def test_progress_is_told_step_by_step(tmp_path: Path) -> None:
    events: list[FederationEvent] = []
    hospitals = ValueHospitals(rows=[10, 10])
    hospitals.faults[("train", 1, 1)] = refuses
    run(hospitals, tmp_path, plan=tiny_plan(rounds=1), events=events)
    assert [event.kind for event in events] == [
        "round_started",
        "trained",
        "refused",
        "aggregated",
        "evaluated",
        "evaluated",
        "round_finished",
    ]


def test_the_best_round_has_the_highest_auroc_then_the_highest_accuracy_then_comes_first(tmp_path: Path) -> None:
    (record, *_) = run(ValueHospitals(rows=[10, 10]), tmp_path).rounds
    metrics = [(0.7, 0.9), (0.8, 0.6), (0.8, 0.7), (0.8, 0.7), (None, 1.0)]
    records = [
        replace(record, round=i, metrics={"macro_auroc": auroc, "balanced_accuracy": accuracy})
        for i, (auroc, accuracy) in enumerate(metrics, start=1)
    ]
    assert best_round(records) == 3
