"""What to do next: as the key of a sentence in every language, and as that sentence in English for the terminal."""

from __future__ import annotations

import calendar
from datetime import date, timedelta

from eyebright_common.imaging import INSTRUCTIONS
from eyebright_common.release import Eye, EyeDecision, PatientDecision, Verdict

RESCREEN_MONTHS = 12
REFER_DAYS = 28
_EYE_WORDS = {"R": "right eye", "L": "left eye", "U": "eye not named"}


def eye_word(eye: str) -> str:
    """Return how an eye is called on screen."""
    return _EYE_WORDS[eye]


def advice_for(decision: PatientDecision, *, rescreen_months: int = RESCREEN_MONTHS) -> str:
    """Return what to do after a visit.

    Args:
        decision: The answer.
        rescreen_months: When to come again after a negative answer.
    """
    if decision.verdict is Verdict.NO_REFERRAL:
        return f"Screen again in {rescreen_months} months."
    if decision.verdict is Verdict.REFER:
        if any(reason.startswith("referable_finding") for reason in decision.reasons):
            return "Refer to an ophthalmologist."
        return "Refer to an ophthalmologist: no picture could be judged after repeated tries."
    steps = [_next_picture(eye) for eye in decision.eyes if eye.verdict in (Verdict.UNGRADABLE, Verdict.MISSING)]
    return " ".join(steps)


def advice_key(decision: PatientDecision) -> str:
    """Return the catalogue key of what to do after a visit."""
    if decision.verdict is Verdict.NO_REFERRAL:
        return "advice.rescreen"
    if decision.verdict is Verdict.REFER:
        found = any(reason.startswith("referable_finding") for reason in decision.reasons)
        return "advice.refer" if found else "advice.refer_ungradable"
    return "advice.retake"


def due_date(
    key: str, day: date, *, refer_days: int = REFER_DAYS, rescreen_months: int = RESCREEN_MONTHS
) -> date | None:
    """Return by when to follow an advice; None for what is to be done at once.

    Args:
        key: As ``advice_key`` gives it.
        day: The day of the visit.
        refer_days: How long a referral may take; the clinic's own pathway overrides it.
        rescreen_months: When to come again after a negative answer.
    """
    if key in ("advice.refer", "advice.refer_ungradable"):
        return day + timedelta(days=refer_days)
    if key != "advice.rescreen":
        return None
    years, month = divmod(day.month - 1 + rescreen_months, 12)
    last = calendar.monthrange(day.year + years, month + 1)[1]
    return date(day.year + years, month + 1, min(day.day, last))


def _next_picture(eye: EyeDecision) -> str:
    word = eye_word(eye.eye)
    if eye.verdict is Verdict.MISSING:
        return f"Take a picture of the {word}."
    instruction = next((INSTRUCTIONS[reason] for reason in eye.reasons if reason in INSTRUCTIONS), "")
    retake = "Say which eye each picture shows." if eye.eye is Eye.UNKNOWN else f"Take the {word} again."
    return f"{retake} {instruction}".strip()
