"""From what became of every picture to the numbers that a person reads.

* An outcome is the picture's logits, or the reason why there are none. Reasons that start with ``ungradable:`` are the
  quality gate's verdict, which is a result; every other reason leaves the picture out.
* ``overall`` and ``sites`` judge the graded pictures. ``with_ungradable_as_refer`` judges the pipeline: an ungradable
  picture sends the patient on, so it counts as referred.
* ``patients`` applies the decision rules of a visit to the pictures of a patient, judging the eyes that are there.
* Intervals resample whole patients: two eyes are not two facts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from eyebright_common.manifest import Row
from eyebright_common.release import (
    Eye,
    ImageDecision,
    PatientDecision,
    Release,
    Verdict,
    decide_image,
    decide_patient,
    probabilities,
    referable_scores,
)
from eyebright_common.tasks import ScreeningTask
from eyebright_learning.evaluation.bootstrap import bootstrap_interval
from eyebright_learning.evaluation.curves import confusion_matrix
from eyebright_learning.evaluation.metrics import auroc, confusion_metrics, mean_known, metrics, referable_score

Outcome = npt.NDArray[np.float32] | str
Index = npt.NDArray[np.int64]

UNNAMED_SITE = "unnamed"
_UNGRADABLE = "ungradable:"


def tally(
    rows: Sequence[Row],
    outcomes: Sequence[Outcome],
    *,
    release: Release,
    task: ScreeningTask,
    left_out: Mapping[str, int],
    replicates: int,
) -> dict[str, Any]:
    """Return the numbers, as plain JSON values.

    Args:
        rows: The manifest's rows; every label is of the task.
        outcomes: One per row: logits ``[C]``, or why there are none.
        release: Gives temperature and threshold.
        task: Gives class order and referable classes.
        left_out: What the manifest itself left out, by reason.
        replicates: Bootstrap resamples; 0 for no intervals.
    """
    judged = [(row, outcome) for row, outcome in zip(rows, outcomes, strict=True) if _is_result(outcome)]
    graded = [(row, outcome) for row, outcome in judged if not isinstance(outcome, str)]
    unreadable = Counter(o for o in outcomes if isinstance(o, str) and not o.startswith(_UNGRADABLE))
    ungradable = Counter(o.removeprefix(_UNGRADABLE) for _, o in judged if isinstance(o, str))
    graded_rows = [row for row, _ in graded]
    p = probabilities(np.stack([outcome for _, outcome in graded]), release.temperature)
    labels = np.array([task.index_of(row.label or "") for row in graded_rows], dtype=np.int64)
    decisions = [(row, _decision(outcome, release)) for row, outcome in judged]

    def judge(index: Index) -> dict[str, Any]:
        return metrics(p[index], labels[index], task=task, threshold=release.threshold.value)

    everything = np.arange(len(labels))
    sites = sorted({_site(row) for row in graded_rows})
    where = np.array([_site(row) for row in graded_rows])
    return {
        "overall": judge(everything),
        "sites": {site: judge(np.flatnonzero(where == site)) for site in sites},
        "intervals": _intervals(p, labels, [row.patient_id for row in graded_rows], task=task, replicates=replicates),
        "absent_classes": [name for index, name in enumerate(task.classes) if not (labels == index).any()],
        "with_ungradable_as_refer": _pipeline(decisions, task),
        "patients": _patients(decisions, task),
        "ungradable": sum(ungradable.values()),
        "ungradable_reasons": dict(sorted(ungradable.items())),
        "left_out": dict(sorted((Counter(left_out) + unreadable).items())),
    }


def _is_result(outcome: Outcome) -> bool:
    return not isinstance(outcome, str) or outcome.startswith(_UNGRADABLE)


def _site(row: Row) -> str:
    return row.site or UNNAMED_SITE


def _decision(outcome: Outcome, release: Release) -> ImageDecision:
    threshold = release.threshold.value
    if isinstance(outcome, str):
        reasons = (outcome.removeprefix(_UNGRADABLE),)
        return decide_image(None, threshold=threshold, gradable=False, reasons=reasons)
    score = referable_scores(outcome, temperature=release.temperature, referable=release.referable_mask)
    return decide_image(float(score), threshold=threshold)


def _intervals(
    p: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    patients: Sequence[str],
    *,
    task: ScreeningTask,
    replicates: int,
) -> dict[str, list[float] | None]:
    """95 % intervals of the figures that people compare; empty without replicates."""
    score, positive, answers = referable_score(p, task), np.asarray(task.referable_mask)[labels], p.argmax(axis=1)
    count = len(task.classes)

    def balanced_accuracy(index: Index) -> float | None:
        confusion = confusion_matrix(answers[index], labels[index], count)
        value: float | None = confusion_metrics(confusion, task)["balanced_accuracy"]
        return value

    def macro_auroc(index: Index) -> float | None:
        return mean_known([auroc(p[index, c], labels[index] == c) for c in range(count)])

    def referable_auroc(index: Index) -> float | None:
        return auroc(score[index], positive[index])

    if not replicates:
        return {}
    found = {
        statistic.__name__: bootstrap_interval(statistic, patients, replicates=replicates)
        for statistic in (balanced_accuracy, macro_auroc, referable_auroc)
    }
    return {name: None if interval is None else [interval.lower, interval.upper] for name, interval in found.items()}


def _pipeline(decisions: Sequence[tuple[Row, ImageDecision]], task: ScreeningTask) -> dict[str, Any]:
    sites = sorted({_site(row) for row, _ in decisions})
    by_site = {site: [(row, d) for row, d in decisions if _site(row) == site] for site in sites}
    return {
        **_rates([(_positive(row, task), d.verdict) for row, d in decisions]),
        "sites": {
            site: _rates([(_positive(row, task), d.verdict) for row, d in of_site]) for site, of_site in by_site.items()
        },
    }


def _patients(decisions: Sequence[tuple[Row, ImageDecision]], task: ScreeningTask) -> dict[str, Any]:
    visits: dict[str, dict[Eye, list[ImageDecision]]] = {}
    positive: dict[str, bool] = {}
    for row, decision in decisions:
        visits.setdefault(row.patient_id, {}).setdefault(Eye(row.eye), []).append(decision)
        positive[row.patient_id] = positive.get(row.patient_id, False) or _positive(row, task)
    answers: dict[str, PatientDecision] = {
        patient: decide_patient(images, expected=()) for patient, images in visits.items()
    }
    verdicts = Counter(answer.verdict for answer in answers.values())
    return {
        **_rates([(positive[patient], answer.verdict) for patient, answer in answers.items()]),
        "refer": verdicts[Verdict.REFER],
        "no_referral": verdicts[Verdict.NO_REFERRAL],
        "ungradable": verdicts[Verdict.UNGRADABLE],
    }


def _positive(row: Row, task: ScreeningTask) -> bool:
    return row.label in task.referable


def _rates(cases: Sequence[tuple[bool, Verdict]]) -> dict[str, Any]:
    """Sensitivity and specificity of "sent on", which an ungradable case is."""
    sent_on = [verdict is not Verdict.NO_REFERRAL for positive, verdict in cases if positive]
    let_go = [verdict is Verdict.NO_REFERRAL for positive, verdict in cases if not positive]
    return {
        "sensitivity": sum(sent_on) / len(sent_on) if sent_on else None,
        "specificity": sum(let_go) / len(let_go) if let_go else None,
        "n": len(cases),
    }
