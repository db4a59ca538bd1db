"""What a visit came to, as JSON: for the screen and for the journal; every answer can be traced to its release."""

from __future__ import annotations

from typing import Any

from eyebright_common.release import Release
from eyebright_edge.screening.advice import advice_for
from eyebright_edge.screening.picture import ScreenedPicture
from eyebright_edge.screening.visit import ScreenedVisit


def picture_facts(picture: ScreenedPicture) -> dict[str, Any]:
    """Return what one picture said, as JSON."""
    quality = picture.quality
    return {
        "name": picture.name,
        "eye": picture.eye.value,
        "verdict": picture.verdict.value,
        "score": picture.decision.score,
        "reasons": list(picture.decision.reasons),
        "quality": quality and {"verdict": quality.verdict, "score": quality.score, "reasons": list(quality.reasons)},
        "probabilities": dict(picture.probabilities),
        "milliseconds": dict(picture.milliseconds),
    }


def visit_facts(visit: ScreenedVisit, release: Release, *, notices: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a whole visit, as JSON."""
    return {
        "schema": "eyebright.visit/1",
        "release": release_facts(release),
        "pictures": [picture_facts(picture) for picture in visit.pictures],
        "eyes": [
            {
                "eye": eye.eye.value,
                "verdict": eye.verdict.value,
                "score": eye.score,
                "pictures": eye.pictures,
                "gradable": eye.gradable,
                "reasons": list(eye.reasons),
            }
            for eye in visit.decision.eyes
        ],
        "patient": answer_facts(visit),
        "notices": list(notices),
        "research_use": release.notice,
    }


def answer_facts(visit: ScreenedVisit) -> dict[str, Any]:
    """Return the answer for the patient, as JSON."""
    decision = visit.decision
    return {
        "verdict": decision.verdict.value,
        "score": decision.score,
        "reasons": list(decision.reasons),
        "advice": advice_for(decision),
    }


def release_facts(release: Release) -> dict[str, Any]:
    """Return what a reader needs to trace an answer to its release, as JSON."""
    return {
        "task": release.task,
        "version": release.version,
        "threshold": {"purpose": release.threshold.purpose, "value": release.threshold.value},
    }


def record_facts(picture: ScreenedPicture, *, sha256: str | None) -> dict[str, Any]:
    """Return what the visit journal keeps of a picture: what it said, and the digest by which the file is found."""
    facts = picture_facts(picture)
    facts.pop("milliseconds")
    return {**facts, "sha256": sha256}
