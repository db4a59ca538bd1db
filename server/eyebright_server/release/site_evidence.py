"""What a site tells the gate: its pictures' answers, counted by patient.

* Pure: it takes what the files said of each picture and returns counts. Reading pictures is ``measuring``'s.
* A patient's answer is the visit's (``decide_patient`` on the eyes that are there). It is a positive when any of its
  pictures is to be referred. UNGRADABLE is counted apart, with its truth.
* Two releases are compared on the patients that both can grade.
* A patient belongs to the part that its pictures name; of several, the first in their order. ``class`` holds patients
  to be referred by the class for which they are. In ``eye`` a patient's right eye and left eye are judged each alone,
  in a part of its own, so that one patient is still one fact of a part.
* Parts below ``smallest`` patients are left out: they could describe one person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from eyebright_common.release import Eye, ImageDecision, Release, Verdict, decide_image, decide_patient, probabilities
from eyebright_common.release.decision import referable_scores
from eyebright_common.release.evidence import Disagreement, MustRefer, Outcomes, ShortcutLevel, SiteEvidence
from eyebright_common.tasks import ScreeningTask
from eyebright_learning.evaluation.counts import EvaluationCounts

Role = Literal["incumbent", "first"]
Logits = npt.NDArray[np.float32]

SMALLEST_PART = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answered:
    """One picture and what each release says of it.

    Attributes:
        patient: Who, as far as this process goes.
        eye: Which eye.
        label: Class index.
        candidate: Logits ``[C]``; None when the picture cannot be graded.
        others: The same of older releases.
        facts: What is known, e.g. ``sex``; empty values are unknown.
        must_refer: Whether nobody may miss this patient.
    """

    patient: str
    eye: Eye
    label: int
    candidate: Logits | None
    others: Mapping[Role, Logits | None] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    must_refer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a site's evidence says of itself.

    Attributes:
        site: Its public name.
        task: What is screened for.
        release: The candidate.
        model_sha256: Of the file that was run.
        others: The older releases it was compared with.
        split: What the pictures are.
        data_digest: Of the data.
        unit_camera: Whether the pictures are from cameras of units.
        shortcut: What the shortcut audit said.
        smallest: Patients that a part needs to be told.
    """

    site: str
    task: ScreeningTask
    release: Release
    model_sha256: str
    others: Mapping[Role, Release] = field(default_factory=dict)
    split: Literal["test", "validation"] = "test"
    data_digest: str | None = None
    unit_camera: bool = False
    shortcut: ShortcutLevel | None = None
    smallest: int = SMALLEST_PART


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visit:
    positive: bool
    verdict: Verdict
    others: Mapping[Role, Verdict]
    facts: Mapping[str, str]
    must_refer: bool


def evidence_of(pictures: Sequence[Answered], about: About) -> SiteEvidence:
    """Return what a site tells of its pictures; only counts are in it."""
    visits = _visits(pictures, about)
    graded = [picture for picture in pictures if picture.candidate is not None]
    classes = len(about.task.classes)
    logits = np.stack([p.candidate for p in graded if p.candidate is not None]) if graded else np.zeros((0, classes))
    counts = EvaluationCounts.of(
        probabilities(logits, about.release.temperature) if graded else logits,
        [picture.label for picture in graded],
        task=about.task,
    )
    marked = [visit for visit in visits if visit.must_refer]
    return SiteEvidence(
        site=about.site,
        split=about.split,
        unit="patient",
        model_sha256=about.model_sha256,
        data_digest=about.data_digest,
        threshold=about.release.threshold.value,
        outcomes=_outcomes(visits),
        parts=_parts(visits, _eyes(pictures, about), about.smallest),
        against={role: _disagreement(visits, role, other) for role, other in about.others.items()},
        counts={name: tuple(values) for name, values in counts.to_dict().items()},
        must_refer=MustRefer(cases=len(marked), missed=sum(visit.verdict is Verdict.NO_REFERRAL for visit in marked))
        if marked
        else None,
        unit_camera=about.unit_camera,
        shortcut=about.shortcut,
    )


def validation_evidence(site: str, counts: EvaluationCounts, *, threshold: float, task: ScreeningTask) -> SiteEvidence:
    """Return what a hospital's validation counts of a round tell the gate: pictures, of the student in training."""
    found = counts.metrics(task=task, threshold=threshold)["referable"]
    positives, negatives = int(counts.referable_positive.sum()), int(counts.referable_negative.sum())
    hits = round((found["sensitivity"] or 0.0) * positives)
    right = round((found["specificity"] or 0.0) * negatives)
    return SiteEvidence(
        site=site,
        split="validation",
        unit="picture",
        model_sha256=None,
        threshold=threshold,
        outcomes=Outcomes(
            true_positive=hits,
            false_negative=positives - hits,
            true_negative=right,
            false_positive=negatives - right,
        ),
        counts={name: tuple(values) for name, values in counts.to_dict().items()},
    )


def _visits(pictures: Sequence[Answered], about: About) -> list[_Visit]:
    by_patient: dict[str, list[Answered]] = {}
    for picture in pictures:
        by_patient.setdefault(picture.patient, []).append(picture)
    return [_visit(taken, about) for taken in by_patient.values()]


def _eyes(pictures: Sequence[Answered], about: About) -> dict[str, list[_Visit]]:
    """Return by eye what a visit that has this eye alone would end with; pictures of unknown eyes are in none."""
    sides = {"left": Eye.LEFT, "right": Eye.RIGHT}
    return {
        name: _visits([picture for picture in pictures if picture.eye is eye], about) for name, eye in sides.items()
    }


def _visit(taken: Sequence[Answered], about: About) -> _Visit:
    mask = about.task.referable_mask
    positive = [picture for picture in taken if mask[picture.label]]
    facts = {name: value for picture in reversed(taken) for name, value in picture.facts.items() if value}
    if positive:
        facts["class"] = about.task.classes[max(picture.label for picture in positive)]
    return _Visit(
        positive=bool(positive),
        verdict=_verdict([(p.eye, p.candidate) for p in taken], about.release),
        others={
            role: _verdict([(p.eye, p.others.get(role)) for p in taken], other) for role, other in about.others.items()
        },
        facts=facts,
        must_refer=any(picture.must_refer for picture in taken),
    )


def _verdict(taken: Sequence[tuple[Eye, Logits | None]], release: Release) -> Verdict:
    images: dict[Eye, list[ImageDecision]] = {}
    for eye, logits in taken:
        score = None
        if logits is not None:
            found = referable_scores(logits, temperature=release.temperature, referable=release.referable_mask)
            score = float(found)
        images.setdefault(eye, []).append(decide_image(score, threshold=release.threshold.value))
    return decide_patient(images, expected=()).verdict


def _outcomes(visits: Sequence[_Visit]) -> Outcomes:
    def count(positive: bool, verdict: Verdict) -> int:
        return sum(visit.positive is positive and visit.verdict is verdict for visit in visits)

    return Outcomes(
        true_positive=count(True, Verdict.REFER),
        false_negative=count(True, Verdict.NO_REFERRAL),
        false_positive=count(False, Verdict.REFER),
        true_negative=count(False, Verdict.NO_REFERRAL),
        ungradable_positive=count(True, Verdict.UNGRADABLE),
        ungradable_negative=count(False, Verdict.UNGRADABLE),
    )


def _parts(visits: Sequence[_Visit], eyes: dict[str, list[_Visit]], smallest: int) -> dict[str, dict[str, Outcomes]]:
    by = {"eye": eyes}
    for visit in visits:
        for fact, value in visit.facts.items():
            by.setdefault(fact, {}).setdefault(value, []).append(visit)
    return {
        fact: {value: _outcomes(inside) for value, inside in sorted(values.items()) if len(inside) >= smallest}
        for fact, values in sorted(by.items())
        if any(len(inside) >= smallest for inside in values.values())
    }


def _disagreement(visits: Sequence[_Visit], role: Role, other: Release) -> Disagreement:
    graded = (Verdict.REFER, Verdict.NO_REFERRAL)
    both = [visit for visit in visits if visit.verdict in graded and visit.others[role] in graded]

    def count(positive: bool, now: Verdict, before: Verdict) -> int:
        return sum(v.positive is positive and v.verdict is now and v.others[role] is before for v in both)

    positives = sum(visit.positive for visit in both)
    return Disagreement(
        version=other.version,
        positives=positives,
        negatives=len(both) - positives,
        missed=count(True, Verdict.NO_REFERRAL, Verdict.REFER),
        found=count(True, Verdict.REFER, Verdict.NO_REFERRAL),
        alarmed=count(False, Verdict.REFER, Verdict.NO_REFERRAL),
        calmed=count(False, Verdict.NO_REFERRAL, Verdict.REFER),
    )
