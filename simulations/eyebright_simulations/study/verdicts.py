"""What the numbers mean, in words that cannot be read two ways.

* ``helped`` or ``hurt`` only when the whole interval of the difference lies on one side of zero; otherwise the study
  has ``not settled`` it, whatever the sign of the value.
* A teacher that is not better than the student it should teach is said to be useless, first and in capitals. One whose
  advantage may be chance is said to be unproven, just as loudly.
"""

from __future__ import annotations

from collections.abc import Sequence

from eyebright_learning.evaluation import Interval
from eyebright_simulations.report.words import difference_interval, listed, points
from eyebright_simulations.study.result_schema import Estimate, Row, Skipped, Verdict


def verdict_of(difference: Estimate) -> Verdict:
    """Return what a difference to the control amounts to."""
    if difference.lower is not None and difference.lower > 0.0:
        return "helped"
    if difference.upper is not None and difference.upper < 0.0:
        return "hurt"
    return "not settled"


def teacher_finding(teacher: Row) -> str:
    """Return the sentence on whether a teacher has anything to teach."""
    gap = spread(teacher.difference)
    if teacher.verdict == "helped":
        return f"The teacher {teacher.name} beats the CE-only control by {gap} of balanced accuracy."
    if teacher.difference.value is None or teacher.difference.value <= 0.0:
        return (
            f"USELESS TEACHER: {teacher.name} does not beat the CE-only control ({gap} of balanced accuracy). "
            "It has nothing to teach this student; a gain from it, if there is any, is not its knowledge."
        )
    return (
        f"UNPROVEN TEACHER: {teacher.name} is not shown to beat the CE-only control ({gap} of balanced accuracy; "
        "the interval includes zero). Treat it as useless until more patients say otherwise."
    )


def ablation_findings(rows: Sequence[Row], skipped: Sequence[Skipped], *, folds_run: int, folds: int) -> list[str]:
    """Return the sentences of an ablation, the teacher's first."""
    findings = [teacher_finding(row) for row in rows if row.role == "teacher"]
    arms = [row for row in rows if row.role == "arm"]
    for verdict, words in (("helped", "Helped"), ("hurt", "HURT"), ("not settled", "Not settled")):
        named = [f"{row.name} ({spread(row.difference)})" for row in arms if row.verdict == verdict]
        findings.append(f"{words}: {listed(named)}." if named else f"{words}: none.")
    findings += [f"Not run: {one.name}, because it {one.reason}." for one in skipped]
    return findings + _unfinished(folds_run, folds)


def teachers_findings(rows: Sequence[Row], *, folds_run: int, folds: int) -> list[str]:
    """Return the sentences of a comparison of teachers, the strongest first."""
    teachers = sorted((row for row in rows if row.role == "teacher"), key=_strength, reverse=True)
    best = teachers[0]
    findings = [f"Strongest teacher: {best.name}. {teacher_finding(best)}"]
    findings += [teacher_finding(row) for row in teachers[1:]]
    if len(teachers) > 1:
        findings.append("The strongest was picked on these very folds, so its advantage is somewhat flattered.")
    return findings + _unfinished(folds_run, folds)


def spread(difference: Estimate) -> str:
    """Return a difference with its interval, in points: ``+1.2 points, +0.1 to +2.3``."""
    found = difference_interval(interval_of(difference))
    return points(difference.value) + (f", {found}" if found else "")


def interval_of(estimate: Estimate) -> Interval | None:
    """Return an estimate's interval in the form the report's words take."""
    if estimate.lower is None or estimate.upper is None:
        return None
    return Interval(lower=estimate.lower, upper=estimate.upper, level=0.95, replicates=0)


def _strength(row: Row) -> float:
    value = row.metrics["balanced_accuracy"].value
    return -1.0 if value is None else value


def _unfinished(folds_run: int, folds: int) -> list[str]:
    if folds_run == folds:
        return []
    return [f"Only {folds_run} of {folds} folds were run; the numbers are of their test pictures alone."]
