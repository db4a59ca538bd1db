"""What a visit came to, as JSON: for the screen and for the journal; every answer can be traced to its release."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from eyebright_common.imaging import Quality
from eyebright_common.release import Eye, ImageDecision, Release, Verdict
from eyebright_edge.screening.advice import advice_for
from eyebright_edge.screening.camera import measured_cameras
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
        "frame": picture.frame,
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


def opened_facts(release: Release, *, camera: str = "") -> dict[str, Any]:
    """Return what the visit journal keeps of the release that answers, so that no answer needs its files to be read."""
    threshold = release.threshold
    return {
        "release_sha256": hashlib.sha256(release.to_json()).hexdigest(),
        "task": release.task,
        "modality": release.modality,
        "threshold": {
            "value": threshold.value,
            "purpose": threshold.purpose,
            "split": threshold.provenance.split,
            "rule": threshold.provenance.rule,
        },
        "camera": camera,
        "measured_cameras": list(measured_cameras(release)),
        "research_use": release.notice,
    }


def record_facts(picture: ScreenedPicture, *, sha256: str | None) -> dict[str, Any]:
    """Return what the visit journal keeps of a picture: what it said, and the digest by which the file is found."""
    return {**picture_facts(picture), "sha256": sha256, "camera": picture.camera}


def recorded_picture(facts: Mapping[str, Any]) -> ScreenedPicture:
    """Return a picture as the journal has it: everything but the pixels."""
    quality = facts.get("quality")
    return ScreenedPicture(
        name=str(facts["name"]),
        eye=Eye(facts["eye"]),
        decision=ImageDecision(
            verdict=Verdict(facts["verdict"]), score=facts["score"], reasons=tuple(facts.get("reasons", ()))
        ),
        quality=quality
        and Quality(verdict=quality["verdict"], score=quality["score"], reasons=tuple(quality["reasons"])),
        probabilities=facts.get("probabilities", {}),
        sha256=facts.get("sha256"),
        camera=str(facts.get("camera", "")),
        frame=int(facts.get("frame", 1)),
    )
