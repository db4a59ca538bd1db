"""What the comparison says, in plain words, and how sure it is.

Three questions, asked of balanced accuracy on test patients that no training step saw:

* Did federation help? Student against the best single hospital: is it better?
* Did distillation help? Student against the same federation without a teacher: is it better?
* What does privacy cost? Student against pooled training: is it within ``POOLED_MARGIN``?

An answer is settled only when the whole bootstrap interval of the difference lies on one side. A lead inside the noise
is called a lead inside the noise, and a loss is called a loss. With one hospital there is nothing to federate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from eyebright_learning.evaluation.bootstrap import Interval
from eyebright_simulations.report.evidence import ArmName, ReportEvidence
from eyebright_simulations.report.result_schema import SimulationResult
from eyebright_simulations.report.words import difference_interval, percent, points

POOLED_MARGIN = 0.03
METRIC = "balanced_accuracy"


class Answer(StrEnum):
    """An answer to a yes-or-no question; the value is what the page prints."""

    YES = "Yes"
    LEANS_YES = "Yes, not settled"
    EVEN = "No difference"
    LEANS_NO = "No, not settled"
    NO = "No"
    UNKNOWN = "Not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One question with its answer.

    Attributes:
        arm: What the student is compared with.
        question: In plain words.
        answer: What the numbers say.
        difference: Student minus the other, balanced accuracy; None when not measured.
        interval: Bootstrap interval of it.
        sentence: The answer with its numbers.
    """

    arm: ArmName
    question: str
    answer: Answer
    difference: float | None
    interval: Interval | None
    sentence: str


_QUESTIONS = {
    ArmName.BEST_LOCAL: "Does federation beat the best single hospital?",
    ArmName.NO_DISTILLATION: "Does the teacher help the student?",
    ArmName.POOLED: "Is it within 3 points of pooling all pictures?",
}

_HEADLINES = {
    Answer.YES: "Federation helped.",
    Answer.LEANS_YES: "Federation came out ahead, within the noise of this test.",
    Answer.EVEN: "Federation made no difference.",
    Answer.LEANS_NO: "Federation came out behind, within the noise of this test.",
    Answer.NO: "Federation did not help.",
    Answer.UNKNOWN: "Whether federation helped was not measured.",
}


def headline(result: SimulationResult, findings: Mapping[ArmName, Finding]) -> str:
    """Return the one sentence the page opens with."""
    if len(result.data.hospitals) == 1:
        return "One hospital took part: there was nothing to federate."
    return _HEADLINES[findings[ArmName.BEST_LOCAL].answer]


def find(result: SimulationResult, evidence: ReportEvidence) -> dict[ArmName, Finding]:
    """Return the finding for each of the three questions, in reading order."""
    student = result.student.metrics.balanced_accuracy
    others = {
        ArmName.BEST_LOCAL: result.comparison.best_local.balanced_accuracy,
        ArmName.NO_DISTILLATION: result.comparison.no_distillation.balanced_accuracy,
        ArmName.POOLED: result.comparison.pooled.balanced_accuracy,
    }
    return {arm: _finding(arm, student, other, _interval(evidence, arm)) for arm, other in others.items()}


def judge(difference: float | None, interval: Interval | None, *, margin: float = 0.0) -> Answer:
    """Return whether a student is better than another model, or, with a margin, not worse than it by more than that.

    Args:
        difference: Student minus the other.
        interval: Bootstrap interval of it; without one nothing is settled.
        margin: How much worse it may be; 0 asks whether it is better.
    """
    if difference is None:
        return Answer.UNKNOWN
    shifted = difference + margin
    # A margin is a limit that may be reached; being better than nothing is not.
    if shifted == 0.0 and margin == 0.0:
        return Answer.EVEN
    if shifted >= 0.0:
        return Answer.YES if interval is not None and interval.lower + margin > 0.0 else Answer.LEANS_YES
    return Answer.NO if interval is not None and interval.upper + margin < 0.0 else Answer.LEANS_NO


def _finding(arm: ArmName, student: float | None, other: float | None, interval: Interval | None) -> Finding:
    difference = None if student is None or other is None else student - other
    margin = POOLED_MARGIN if arm is ArmName.POOLED else 0.0
    answer = judge(difference, interval, margin=margin)
    return Finding(
        arm=arm,
        question=_QUESTIONS[arm],
        answer=answer,
        difference=difference,
        interval=interval,
        sentence=_sentence(student, other, interval, answer, line=points(-margin) if margin else "zero"),
    )


def _sentence(
    student: float | None, other: float | None, interval: Interval | None, answer: Answer, *, line: str
) -> str:
    if answer is Answer.UNKNOWN:
        return "Balanced accuracy is not defined for one of the two."
    compared = f"{percent(student)} against {percent(other)}."
    if interval is None:
        return f"{compared} No interval was computed, so chance is not ruled out."
    sure = f"{compared} {interval.level:.0%} interval {difference_interval(interval)} points."
    if answer in (Answer.LEANS_YES, Answer.LEANS_NO, Answer.EVEN):
        return f"{sure} It reaches across {line}: on this many patients the answer may be chance."
    return sure


def _interval(evidence: ReportEvidence, arm: ArmName) -> Interval | None:
    found = evidence.arms.get(arm)
    return None if found is None else found.student_minus.get(METRIC)
