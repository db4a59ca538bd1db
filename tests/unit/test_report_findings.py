"""The report says who won, how sure it is, and says so when federation loses."""

import dataclasses

import pytest

from eyebright_learning.evaluation import Interval
from eyebright_simulations.report.evidence import ArmEvidence, ArmName
from eyebright_simulations.report.findings import Answer, find, headline, judge
from eyebright_simulations.report.result_schema import SimulationResult, parse_result
from fake_result import Rehearsal, rehearsal


def _interval(lower: float, upper: float) -> Interval:
    return Interval(lower=lower, upper=upper, level=0.95, replicates=500)


@pytest.mark.parametrize(
    ("difference", "interval", "answer"),
    [
        (0.05, (0.01, 0.09), Answer.YES),
        (0.05, (-0.01, 0.11), Answer.LEANS_YES),
        (0.05, (0.0, 0.11), Answer.LEANS_YES),
        (0.05, None, Answer.LEANS_YES),
        (0.0, (-0.04, 0.04), Answer.EVEN),
        (-0.05, (-0.11, 0.01), Answer.LEANS_NO),
        (-0.05, None, Answer.LEANS_NO),
        (-0.05, (-0.09, -0.01), Answer.NO),
        (None, None, Answer.UNKNOWN),
    ],
)
def test_better_is_settled_only_when_the_whole_interval_is_on_one_side(
    difference: float | None, interval: tuple[float, float] | None, answer: Answer
) -> None:
    assert judge(difference, None if interval is None else _interval(*interval)) is answer


@pytest.mark.parametrize(
    ("difference", "interval", "answer"),
    [
        (-0.02, (-0.025, 0.01), Answer.YES),
        (-0.02, (-0.06, 0.02), Answer.LEANS_YES),
        (-0.03, None, Answer.LEANS_YES),
        (-0.04, (-0.06, -0.02), Answer.LEANS_NO),
        (-0.06, (-0.08, -0.04), Answer.NO),
        (0.0, (-0.01, 0.01), Answer.YES),
    ],
)
def test_not_worse_than_pooled_allows_three_points(
    difference: float, interval: tuple[float, float] | None, answer: Answer
) -> None:
    found = judge(difference, None if interval is None else _interval(*interval), margin=0.03)
    assert found is answer


def _opened(made: Rehearsal) -> tuple[SimulationResult, str]:
    result = parse_result(made.result)
    return result, headline(result, find(result, made.evidence))


def test_a_clear_win_over_the_best_hospital_is_the_headline() -> None:
    assert _opened(rehearsal(skill={ArmName.BEST_LOCAL: 0.5}))[1] == "Federation helped."


def test_a_clear_loss_is_the_headline_too() -> None:
    made = rehearsal(skill={ArmName.STUDENT: 0.4})
    result, opening = _opened(made)
    assert opening == "Federation did not help."
    assert find(result, made.evidence)[ArmName.BEST_LOCAL].answer is Answer.NO


def test_a_lead_without_an_interval_is_not_called_settled() -> None:
    made = rehearsal(skill={ArmName.BEST_LOCAL: 0.5})
    evidence = dataclasses.replace(made.evidence, arms={})
    result = parse_result(made.result)
    found = find(result, evidence)[ArmName.BEST_LOCAL]
    assert found.answer is Answer.LEANS_YES
    assert "No interval was computed" in found.sentence


def test_an_interval_across_the_limit_is_called_chance_and_names_the_limit() -> None:
    made = rehearsal()
    result = parse_result(made.result)
    wide = {ArmName.POOLED: ArmEvidence(student_minus={"balanced_accuracy": _interval(-0.2, 0.2)})}
    found = find(result, dataclasses.replace(made.evidence, arms=wide))[ArmName.POOLED]
    assert "reaches across \u22123.0 points" in found.sentence
    assert "chance" in found.sentence


def test_one_hospital_has_nothing_to_federate() -> None:
    assert "nothing to federate" in _opened(rehearsal(hospitals=1))[1]


def test_an_undefined_metric_is_not_measured_rather_than_lost() -> None:
    made = rehearsal()
    made.result["comparison"]["best_local"]["balanced_accuracy"] = None
    _, opening = _opened(made)
    assert opening == "Whether federation helped was not measured."
