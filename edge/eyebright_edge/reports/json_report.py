"""A visit's report as JSON; and the result of a visit that was held without the kiosk.

Every report (JSON, PDF, DICOM, FHIR) is made from one ``VisitResult``: they cannot disagree. A report holds no file
name. It holds the patient's code where a person gave one, so it is written only by an explicit act and is the clinic's
to keep; nothing of it goes to the operator.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from eyebright_common.release import Eye, EyeDecision, Release
from eyebright_edge.screening.advice import advice_key, due_date
from eyebright_edge.screening.picture import ScreenedPicture
from eyebright_edge.screening.visit import ScreenedVisit
from eyebright_edge.screening.visit_result import EyeResult, PictureResult, VisitResult

REPORT_SCHEMA = "eyebright.report/1"
Seen = Mapping[Eye, npt.NDArray[np.uint8]]
# The name space of report identifiers (RFC 9562, version 5); any constant would do.
_SPACE = uuid.UUID("6ff4ad3a-6a0f-5d5c-9d0e-0f4a6f0f2b11")


def report_id(result: VisitResult, part: str = "") -> uuid.UUID:
    """Return the identifier of a report, or of a part of it: the same whenever the same visit is reported again."""
    told = (result.unit, result.number, result.opened_at.isoformat(), result.patient, result.task, result.release)
    answer = [(eye.eye, eye.verdict, eye.score, eye.sha256) for eye in result.eyes]
    return uuid.uuid5(_SPACE, json.dumps([part, *told, result.verdict, result.score, answer]))


def answered_at(result: VisitResult) -> datetime:
    """Return when the answer was given; for an unfinished visit, when it began."""
    return result.closed_at or result.opened_at


def report_json(result: VisitResult, *, clinic: str = "") -> dict[str, Any]:
    """Return the report as JSON: schema ``eyebright.report/1``.

    Args:
        result: The visit.
        clinic: Name of the clinic that hands it out.
    """
    return {
        "schema": REPORT_SCHEMA,
        "id": str(report_id(result)),
        "at": answered_at(result).isoformat(),
        "clinic": clinic,
        "unit": result.unit,
        "visit": result.number or None,
        "patient": result.patient,
        "checklist": dict(result.checklist),
        "flags": list(result.flags),
        "answer": {
            "verdict": result.verdict,
            "stopped": result.stopped or None,
            "score": result.score,
            "reasons": list(result.reasons),
            "advice": result.advice,
            "due": result.due and result.due.isoformat(),
        },
        "eyes": [_eye_facts(eye) for eye in result.eyes],
        "camera": {"model": result.camera, "validated": result.camera_validated},
        "release": {
            "task": result.task,
            "modality": result.modality,
            "version": result.release,
            "sha256": result.release_sha256,
            "threshold": {
                "value": result.threshold,
                "purpose": result.threshold_purpose,
                "split": result.threshold_split,
                "rule": result.threshold_rule,
            },
        },
        "notices": list(result.notices),
        "research_use": result.research_use,
    }


def screened_result(
    visit: ScreenedVisit,
    release: Release,
    *,
    at: datetime,
    patient: str = "",
    unit: str = "",
    notices: tuple[str, ...] = (),
    digests: Mapping[str, str] | None = None,
) -> VisitResult:
    """Return the result of pictures that were screened in one go, without a checklist.

    Args:
        visit: The pictures and their decision.
        release: The release that answered.
        at: When, aware.
        patient: The patient's code.
        unit: Name of the unit.
        notices: What a person must be told, in English.
        digests: SHA-256 of the pictures' files, by name.
    """
    decision = visit.decision
    advice = advice_key(decision)
    return VisitResult(
        number=0,
        opened_at=at,
        closed_at=at,
        patient=patient,
        eyes=tuple(_eye_result(eye, visit.pictures, digests or {}) for eye in decision.eyes),
        verdict=decision.verdict,
        reasons=decision.reasons,
        score=decision.score,
        advice=advice,
        due=due_date(advice, at.date()),
        task=release.task,
        modality=release.modality,
        release=release.version,
        release_sha256=hashlib.sha256(release.to_json()).hexdigest(),
        threshold=release.threshold.value,
        threshold_purpose=release.threshold.purpose,
        threshold_split=release.threshold.provenance.split,
        threshold_rule=release.threshold.provenance.rule,
        unit=unit,
        notices=notices,
        research_use=release.notice,
    )


def seen_pictures(visit: ScreenedVisit) -> Seen:
    """Return the picture of each eye that decided: what the network saw of it, uint8 ``[S, S, 3]``."""
    scored = [p for p in visit.pictures if p.prepared is not None and p.decision.score is not None]
    scored.sort(key=lambda picture: picture.decision.score or 0.0)
    return {picture.eye: picture.prepared for picture in scored if picture.prepared is not None}


def _eye_facts(eye: EyeResult) -> dict[str, Any]:
    return {
        "eye": eye.eye.value,
        "verdict": eye.verdict.value,
        "score": eye.score,
        "quality": eye.quality,
        "reasons": list(eye.quality_reasons),
        "sha256": eye.sha256,
        "pictures": [
            {
                "sha256": picture.sha256,
                "verdict": picture.verdict.value,
                "score": picture.score,
                "quality": picture.quality,
                "reasons": list(picture.reasons),
            }
            for picture in eye.pictures
        ],
    }


def _eye_result(eye: EyeDecision, pictures: tuple[ScreenedPicture, ...], digests: Mapping[str, str]) -> EyeResult:
    mine = tuple(_picture_result(picture, digests.get(picture.name)) for picture in pictures if picture.eye is eye.eye)
    deciding = max(mine, key=lambda p: -1.0 if p.score is None else p.score) if eye.gradable else (mine or (None,))[-1]
    return EyeResult(
        eye=eye.eye,
        verdict=eye.verdict,
        score=eye.score,
        quality=deciding.quality if deciding else "",
        quality_reasons=eye.reasons or (deciding.reasons if deciding else ()),
        sha256=deciding.sha256 if deciding else None,
        pictures=mine,
    )


def _picture_result(picture: ScreenedPicture, sha256: str | None) -> PictureResult:
    quality = picture.quality
    return PictureResult(
        name=picture.name,
        sha256=sha256,
        verdict=picture.verdict,
        score=picture.decision.score,
        quality=quality.verdict if quality else "unreadable",
        quality_score=quality.score if quality else None,
        reasons=picture.decision.reasons or (quality.reasons if quality else ()),
    )
