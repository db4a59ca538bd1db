"""A recorded visit as its ``VisitResult``: computed from the journal alone, again and again the same.

The release, its threshold and its digest were written down when the visit was opened, and every picture's verdict when
it was judged. So an old answer can be shown and printed after its release has left the unit, and a visit that power
loss cut short says what it has come to so far.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from eyebright_common.release import BOTH_EYES, RESEARCH_NOTICE, Eye, EyeDecision, Verdict
from eyebright_edge.records import Visit
from eyebright_edge.screening.advice import REFER_DAYS, RESCREEN_MONTHS, advice_key, due_date
from eyebright_edge.screening.camera import camera_validated
from eyebright_edge.screening.checklist import Scope, scope_of
from eyebright_edge.screening.facts import recorded_picture
from eyebright_edge.screening.picture import ScreenedPicture
from eyebright_edge.screening.visit import decide_visit
from eyebright_edge.screening.visit_result import EyeResult, PictureResult, VisitResult


def visit_result(visit: Visit, *, unit: str = "", notices: Iterable[str] = ()) -> VisitResult:
    """Return what a visit has come to, as far as it is recorded.

    Args:
        visit: From the journal.
        unit: Name of the unit.
        notices: What a person must be told beside what the journal knows.
    """
    about = visit.about
    scope = scope_of(visit.checklist) if visit.checklist else Scope()
    pictures = [recorded_picture(facts) for facts in visit.pictures]
    decision = decide_visit(pictures).decision
    advice = scope.advice or advice_key(decision)
    limits = {"refer_days": about.get("refer_days", REFER_DAYS)}
    limits["rescreen_months"] = about.get("rescreen_months", RESCREEN_MONTHS)
    opened, closed = _moment(visit.opened_at), visit.answer and _moment(str(visit.answer["at"]))
    cameras = dict.fromkeys(picture.camera or about.get("camera", "") for picture in pictures)
    measured = about.get("measured_cameras", ())
    threshold: Mapping[str, Any] = about.get("threshold", {})
    return VisitResult(
        number=visit.number,
        opened_at=opened,
        closed_at=closed or None,
        patient=str(about.get("patient", "")),
        checklist=visit.checklist or {},
        flags=scope.flags,
        stopped=scope.stopped,
        eyes=() if scope.stopped else tuple(_eye_result(eye, pictures) for eye in decision.eyes),
        verdict=None if scope.stopped else decision.verdict,
        reasons=() if scope.stopped else decision.reasons,
        score=None if scope.stopped else decision.score,
        advice=advice,
        due=due_date(advice, (closed or opened).date(), **limits),
        task=str(about.get("task", "")),
        modality=str(about.get("modality", "")),
        release=visit.release,
        release_sha256=str(about.get("release_sha256", "")),
        threshold=float(threshold.get("value", 1.0)),
        threshold_purpose=str(threshold.get("purpose", "")),
        threshold_split=str(threshold.get("split", "")),
        threshold_rule=str(threshold.get("rule", "")),
        camera=", ".join(filter(None, cameras)) or str(about.get("camera", "")),
        camera_validated=bool(cameras) and all(camera_validated(camera, measured) for camera in cameras),
        technician=str(about.get("technician", "")),
        unit=unit,
        notices=tuple(notices),
        research_use=str(about.get("research_use", RESEARCH_NOTICE)),
    )


def settled_eyes(visit: Visit) -> frozenset[Eye]:
    """Return the eyes of which no further picture is asked: judged, tried often enough, or not to be photographed."""
    decision = decide_visit(recorded_picture(facts) for facts in visit.pictures).decision
    over = {reason.partition(":")[2] for reason in decision.reasons if reason.startswith("ungradable_after_retakes")}
    judged = {eye.eye for eye in decision.eyes if eye.gradable}
    return frozenset(eye for eye in BOTH_EYES if eye in judged or eye in over or eye in visit.skipped)


def _eye_result(decision: EyeDecision, pictures: Sequence[ScreenedPicture]) -> EyeResult:
    mine = [picture for picture in pictures if picture.eye is decision.eye]
    judged = [picture for picture in mine if picture.decision.score is not None]
    # `max` returns the first of equals, as the decision does.
    deciding = max(judged, key=lambda one: one.decision.score or 0.0) if judged else mine[-1] if mine else None
    of_it = deciding.quality.reasons if deciding and deciding.quality else ()
    return EyeResult(
        eye=decision.eye,
        verdict=decision.verdict,
        score=decision.score,
        quality=_quality_word(deciding) if deciding else "",
        quality_reasons=decision.reasons if decision.verdict is Verdict.UNGRADABLE else of_it,
        sha256=deciding.sha256 if deciding else None,
        frame=deciding.frame if deciding else 1,
        overlay=bool(judged),
        pictures=tuple(_picture_result(picture) for picture in mine),
    )


def _picture_result(picture: ScreenedPicture) -> PictureResult:
    quality = picture.quality
    return PictureResult(
        name=picture.name,
        sha256=picture.sha256,
        verdict=picture.verdict,
        score=picture.decision.score,
        quality=_quality_word(picture),
        quality_score=quality.score if quality else None,
        reasons=picture.decision.reasons or (quality.reasons if quality else ()),
        camera=picture.camera,
    )


def _quality_word(picture: ScreenedPicture) -> str:
    return picture.quality.verdict if picture.quality else "unreadable"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
