"""What a visit came to: the one value that the result page, the print, the reports and the history are made from.

* Everything a reader needs to trace the answer is in it: release and digest, threshold and what it was set for, the
  digest of each picture. No pixels, and no words of any language: advice and reasons are keys of the catalogues.
* It holds a patient's code, so it never leaves the unit but by a person's explicit act.
* A visit that the checklist ended has no verdict of a picture: ``verdict`` is None and ``stopped`` says which answer
  ended it. That is not a negative either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from eyebright_common.release import RESEARCH_NOTICE, Eye, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureResult:
    """What one picture said.

    Attributes:
        name: What the file was called here; local, may name a patient.
        sha256: Digest of the file's bytes; None where it could not be read at all.
        verdict: REFER, NO REFERRAL or UNGRADABLE.
        score: Calibrated probability of a referable finding, 0–1; None when the network was not asked.
        quality: ``good``, ``usable``, ``reject``, or ``unreadable``.
        quality_score: 0 (worst) – 1 (best); None when unreadable.
        reasons: The quality room's reasons, worst first; one word of ``imaging.refusals`` when unreadable.
        camera: Manufacturer and model as the file or the technician said; empty when unknown.
    """

    name: str
    sha256: str | None
    verdict: Verdict
    score: float | None
    quality: str
    quality_score: float | None = None
    reasons: tuple[str, ...] = ()
    camera: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EyeResult:
    """What one eye came to.

    Attributes:
        eye: Which.
        verdict: REFER, NO REFERRAL, UNGRADABLE or MISSING.
        score: Highest score of its gradable pictures; None without one.
        quality: Quality verdict of the picture that decides (the gradable one with the highest score, else the last);
            empty without a picture.
        quality_reasons: That picture's reasons; for an ungradable eye the reasons of all its pictures, each once.
        sha256: Digest of the deciding picture's file.
        frame: Which frame of that file, counted from 1.
        overlay: Whether a picture of where the network looked can be shown.
        pictures: Every picture of this eye, in the order taken.
    """

    eye: Eye
    verdict: Verdict
    score: float | None = None
    quality: str = ""
    quality_reasons: tuple[str, ...] = ()
    sha256: str | None = None
    frame: int = 1
    overlay: bool = False
    pictures: tuple[PictureResult, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitResult:
    """What a whole visit came to.

    Attributes:
        number: The visit's number on this unit, from 1; 0 when no unit held it.
        opened_at: When it began, aware.
        closed_at: When the answer was given, aware; None while it is unfinished.
        patient: The patient's code as typed or scanned; empty when none was given.
        checklist: The answers, by question (``age``, ``diabetes``, ``symptoms``, ``treatment``), as stable words.
        flags: Catalogue keys of what the answers put a flag on, e.g. ``flag.diabetes_unknown``.
        stopped: Catalogue key of the answer that ended the visit before a picture; empty otherwise.
        eyes: Right, left, then any of unknown laterality.
        verdict: REFER, NO REFERRAL or UNGRADABLE; None for a stopped visit.
        reasons: Why, as ``decide_patient`` words it: ``referable_finding:R``, ``ungradable_after_retakes:L``, …
        score: Highest score of any gradable picture; None without one.
        advice: Catalogue key of what to do: ``advice.refer``, ``advice.refer_ungradable``, ``advice.rescreen``,
            ``advice.retake``, or ``advice.stop_…``.
        due: By when; None where the advice is to do it now.
        task: The release's screening task.
        modality: ``CFP`` or ``OCT``.
        release: The release's version.
        release_sha256: Digest of its ``release.json``, which lists the digest of every file of it.
        threshold: The operating point that was applied.
        threshold_purpose: What it was set for, e.g. ``referable``.
        threshold_split: The data it was chosen on.
        threshold_rule: How it was chosen, in the release's own words.
        camera: What took the pictures; empty when unknown.
        camera_validated: Whether this release was measured on that camera; an unknown one was not.
        technician: Short name of who held the visit; empty without a kiosk.
        unit: Name of the unit; empty when no unit held it.
        notices: What a person must be told about the visit, in English.
        research_use: What every screen and print must show.
    """

    number: int
    opened_at: datetime
    closed_at: datetime | None
    patient: str = ""
    checklist: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    stopped: str = ""
    eyes: tuple[EyeResult, ...] = ()
    verdict: Verdict | None
    reasons: tuple[str, ...] = ()
    score: float | None = None
    advice: str
    due: date | None = None
    task: str
    modality: str
    release: str
    release_sha256: str
    threshold: float
    threshold_purpose: str
    threshold_split: str = ""
    threshold_rule: str = ""
    camera: str = ""
    camera_validated: bool = False
    technician: str = ""
    unit: str = ""
    notices: tuple[str, ...] = ()
    research_use: str = RESEARCH_NOTICE
