"""From what became of every picture to the numbers that a person reads.

* An outcome is what the network said of a picture, or the reason why it was not asked. Reasons that start with
  ``ungradable:`` are the quality gate's verdict, which is a result; every other reason leaves the picture out.
* ``overall`` and ``sites`` judge the graded pictures. ``with_ungradable_as_refer`` judges the pipeline: an ungradable
  picture sends the patient on, so it counts as referred.
* ``patients`` applies the decision rules of a visit to the pictures of a patient, judging the eyes that are there.
* Intervals resample whole patients, copies of a picture included: two eyes are not two facts. What a reviewer asks for
  beside this is in ``reviewing``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eyebright_common.manifest import Row, cluster_duplicates
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
from eyebright_learning.evaluation.cases import Cases
from eyebright_learning.evaluation.metrics import metrics
from eyebright_server.release.reviewing import PICTURE, Review, reviewed

Index = npt.NDArray[np.int64]

UNNAMED_SITE = "unnamed"
_UNGRADABLE = "ungradable:"
# Name in ``intervals`` → name of the statistic.
_COMPARED = {
    "balanced_accuracy": "balanced_accuracy",
    "macro_auroc": "macro_auroc",
    "referable_auroc": "referable.auroc",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graded:
    """What came of a picture that can be graded.

    Attributes:
        logits: float32 ``[C]``.
        quality: The quality verdict.
        descriptor: float16 ``[D]``, by which near-duplicates are found.
    """

    logits: npt.NDArray[np.float32]
    quality: str
    descriptor: npt.NDArray[np.float16]


Outcome = Graded | str


def tally(
    rows: Sequence[Row],
    outcomes: Sequence[Outcome],
    *,
    release: Release,
    task: ScreeningTask,
    left_out: Mapping[str, int],
    review: Review,
) -> dict[str, Any]:
    """Return the numbers, as plain JSON values.

    Args:
        rows: The manifest's rows; every label is of the task.
        outcomes: One per row: what the network said, or why it was not asked.
        release: Gives temperature and threshold.
        task: Gives class order and referable classes.
        left_out: What the manifest itself left out, by reason.
        review: What is asked for beside the usual metrics.
    """
    judged = [(row, outcome) for row, outcome in zip(rows, outcomes, strict=True) if _is_result(outcome)]
    graded = [(row, outcome) for row, outcome in judged if not isinstance(outcome, str)]
    unreadable = Counter(o for o in outcomes if isinstance(o, str) and not o.startswith(_UNGRADABLE))
    ungradable = Counter(o.removeprefix(_UNGRADABLE) for _, o in judged if isinstance(o, str))
    graded_rows, found = [row for row, _ in graded], [outcome for _, outcome in graded]
    p = probabilities(np.stack([outcome.logits for outcome in found]), release.temperature)
    labels = np.array([task.index_of(row.label or "") for row in graded_rows], dtype=np.int64)
    decisions = [(row, _decision(outcome, release)) for row, outcome in judged]
    more = _reviewed(p, labels, graded_rows, found, release=release, task=task, review=review)

    def judge(index: Index) -> dict[str, Any]:
        return metrics(p[index], labels[index], task=task, threshold=release.threshold.value)

    everything = np.arange(len(labels))
    sites = sorted({_site(row) for row in graded_rows})
    where = np.array([_site(row) for row in graded_rows])
    return {
        "overall": judge(everything),
        "sites": {site: judge(np.flatnonzero(where == site)) for site in sites},
        "intervals": _intervals(more["statistics"][PICTURE]["estimates"]) if review.replicates else {},
        "absent_classes": [name for index, name in enumerate(task.classes) if not (labels == index).any()],
        "with_ungradable_as_refer": _pipeline(decisions, task),
        "patients": _patients(decisions, task),
        "ungradable": sum(ungradable.values()),
        "ungradable_reasons": dict(sorted(ungradable.items())),
        "left_out": dict(sorted((Counter(left_out) + unreadable).items())),
        **more,
    }


def _reviewed(
    p: npt.NDArray[np.float64],
    labels: Index,
    rows: Sequence[Row],
    found: Sequence[Graded],
    *,
    release: Release,
    task: ScreeningTask,
    review: Review,
) -> dict[str, Any]:
    descriptors = np.stack([outcome.descriptor for outcome in found]).astype(np.float32)
    clusters = cluster_duplicates(descriptors, [row.patient_id for row in rows], modality=task.modality)
    return reviewed(
        Cases.of(p, labels, groups=clusters.group, task=task),
        rows,
        quality=[outcome.quality for outcome in found],
        clusters=clusters,
        threshold=release.threshold.value,
        review=review,
    )


def _is_result(outcome: Outcome) -> bool:
    return not isinstance(outcome, str) or outcome.startswith(_UNGRADABLE)


def _site(row: Row) -> str:
    return row.site or UNNAMED_SITE


def _decision(outcome: Outcome, release: Release) -> ImageDecision:
    threshold = release.threshold.value
    if isinstance(outcome, str):
        reasons = (outcome.removeprefix(_UNGRADABLE),)
        return decide_image(None, threshold=threshold, gradable=False, reasons=reasons)
    score = referable_scores(outcome.logits, temperature=release.temperature, referable=release.referable_mask)
    return decide_image(float(score), threshold=threshold)


def _intervals(found: Mapping[str, Mapping[str, float | None]]) -> dict[str, list[float] | None]:
    """95 % intervals of the figures that people compare."""
    ends = {name: (found[statistic]["lower"], found[statistic]["upper"]) for name, statistic in _COMPARED.items()}
    return {name: None if lower is None or upper is None else [lower, upper] for name, (lower, upper) in ends.items()}


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
