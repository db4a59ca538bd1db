"""What a page shows of a visit: values in, words and keys of words out; no request, no file, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from eyebright_common.release import Eye, Verdict
from eyebright_edge.catalogues import Words
from eyebright_edge.records import Visit
from eyebright_edge.screening.desk import Step, step_of
from eyebright_edge.screening.results import visit_result
from eyebright_edge.screening.retakes import instruction_key
from eyebright_edge.screening.visit_result import EyeResult, VisitResult

# Each answer has a word, a shape and a colour; none of them stands alone.
_TONES = {Verdict.REFER: "refer", Verdict.NO_REFERRAL: "clear", Verdict.UNGRADABLE: "unclear", Verdict.MISSING: "none"}
_NEAR = 0.1
_WHY = {
    "referable_finding": "why.found",
    "ungradable_after_retakes": "why.over",
    "ungradable": "why.ungradable",
    "missing": "why.missing",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerView:
    """The answer as a banner: tone (names colour and icon), word, what to do, by when, and why."""

    tone: str
    word: str
    advice: str
    due: str
    why: tuple[str, ...]
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EyeView:
    """One eye on the result page."""

    eye: Eye
    name: str
    tone: str
    says: str
    quality: str
    reasons: tuple[str, ...]
    sha256: str | None
    overlay: bool
    band: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitRow:
    """One visit in a list; ``tone`` is empty while it is unfinished, ``tells`` whether there is more to open."""

    number: int
    patient: str
    day: str
    time: str
    tone: str
    word: str
    step: str
    tells: bool


def answer_view(result: VisitResult, words: Words) -> AnswerView:
    """Return the banner of a visit."""
    if result.verdict is None:
        tone, word = "stopped", words("verdict.STOPPED")
    else:
        tone, word = _TONES[result.verdict], words(f"verdict.{result.verdict}")
    why = _why(result, words) if result.verdict else (words(result.stopped),)
    due = "" if result.due is None else words(_due_key(result.advice), date=words.day(result.due))
    flags = tuple(words(flag) for flag in result.flags)
    return AnswerView(tone=tone, word=word, advice=words(result.advice), due=due, why=why, flags=flags)


def eye_view(eye: EyeResult, result: VisitResult, words: Words) -> EyeView:
    """Return one eye of a visit."""
    judged = eye.verdict in (Verdict.REFER, Verdict.NO_REFERRAL)
    score = {"score": f"{eye.score:.2f}" if eye.score is not None else "-", "threshold": f"{result.threshold:.2f}"}
    band = words(band_key(eye.score, result.threshold)) if eye.score is not None else ""
    return EyeView(
        eye=eye.eye,
        name=words(f"eye.{eye.eye}"),
        tone=_TONES[eye.verdict],
        says=words(f"eye_says.{eye.verdict}"),
        quality=words("result.quality", quality=words(f"quality.{eye.quality}")) if eye.quality else "",
        reasons=() if judged else reason_words(eye.quality_reasons, words),
        sha256=eye.sha256,
        overlay=eye.overlay,
        band=words("clinician.score", band=band, **score) if band else "",
    )


def row_of(visit: Visit, words: Words) -> VisitRow:
    """Return one visit for a list."""
    opened = datetime.fromisoformat(visit.opened_at)
    patient = words("history.commanded" if visit.only_counted else "history.forgotten")
    tone, word = "", words("history.unfinished")
    if not visit.tells and visit.answer is not None:
        verdict = str(visit.answer.get("verdict", ""))
        tone = _TONES[Verdict(verdict)] if verdict else "stopped"
        word = words(f"verdict.{verdict or 'STOPPED'}")
    elif visit.tells:
        result = visit_result(visit)
        answer, patient = answer_view(result, words), result.patient
        tone, word = (answer.tone, answer.word) if visit.answer is not None else (tone, word)
    return VisitRow(
        number=visit.number,
        patient=patient,
        day=words.day(opened.astimezone().date()),
        time=words.time(opened),
        tone=tone,
        word=word,
        step=words(f"step.{step_of(visit)}"),
        tells=visit.tells,
    )


def camera_line(result: VisitResult, words: Words) -> str:
    """Return whether the camera was validated, in words."""
    if not result.camera:
        return words("camera.unknown")
    return words("camera.validated" if result.camera_validated else "camera.not_validated", camera=result.camera)


def threshold_line(result: VisitResult, words: Words) -> str:
    """Return what the threshold was set for, in words."""
    known = f"purpose.{result.threshold_purpose}"
    purpose = words(known) if known in words else result.threshold_purpose
    return words("result.set_for", purpose=purpose, split=result.threshold_split)


def last_try(visit: Visit, eye: Eye, words: Words) -> tuple[str, str] | None:
    """Return why the last picture of an eye could not be judged, and the one instruction for the next; None if none."""
    mine = [one for one in visit.pictures if one["eye"] == eye]
    if not mine or mine[-1]["verdict"] != Verdict.UNGRADABLE:
        return None
    reasons = tuple(mine[-1]["reasons"])
    return reason_words(reasons, words)[0], words(instruction_key(reasons))


def reason_words(reasons: Iterable[str], words: Words) -> tuple[str, ...]:
    """Return reasons in words, each once; what the catalogue does not know is a file that cannot be used."""
    found = [words.first(f"reason.{reason}", "reason.file") for reason in reasons]
    return tuple(dict.fromkeys(found)) or (words("reason.file"),)


def steps_view(step: Step | None) -> tuple[tuple[str, str], ...]:
    """Return the steps of a visit with where it stands: key of the word, and ``done``, ``now`` or ``next``."""
    keys = ["patient", *Step]
    now = keys.index("patient" if step is None else step)
    return tuple((f"step.{key}", "done" if at < now else "now" if at == now else "next") for at, key in enumerate(keys))


def band_key(score: float, threshold: float) -> str:
    """Return how far a score lies from the threshold, as a key of words."""
    side = "above" if score >= threshold else "below"
    return f"band.{'near' if abs(score - threshold) < _NEAR else 'far'}_{side}"


def _why(result: VisitResult, words: Words) -> tuple[str, ...]:
    lines = []
    over = {reason.partition(":")[2] for reason in result.reasons if reason.startswith("ungradable_after_retakes")}
    for reason in result.reasons:
        kind, _, eye = reason.partition(":")
        if kind == "ungradable" and eye in over:
            continue
        line = words(_WHY[kind], eye=words(f"eye.{eye}"))
        if kind.startswith("ungradable"):
            told = next(one for one in result.eyes if one.eye == eye)
            line += f" ({', '.join(reason_words(told.quality_reasons, words))})"
        lines.append(line)
    return tuple(lines) or (words("why.none"),)


def _due_key(advice: str) -> str:
    return "due.rescreen" if advice == "advice.rescreen" else "due.refer"
