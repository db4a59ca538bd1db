"""What to do next, in one sentence a technician can act on."""

from __future__ import annotations

from eyebright_common.imaging import INSTRUCTIONS
from eyebright_common.release import Eye, EyeDecision, PatientDecision, Verdict

RESCREEN_MONTHS = 12
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


def _next_picture(eye: EyeDecision) -> str:
    word = eye_word(eye.eye)
    if eye.verdict is Verdict.MISSING:
        return f"Take a picture of the {word}."
    instruction = next((INSTRUCTIONS[reason] for reason in eye.reasons if reason in INSTRUCTIONS), "")
    retake = "Say which eye each picture shows." if eye.eye is Eye.UNKNOWN else f"Take the {word} again."
    return f"{retake} {instruction}".strip()
