"""How often an eye is photographed again, and when trying again stops being the answer.

* Three pictures of an eye, none gradable: the patient is sent on, whatever the reasons were.
* Two of them spoilt by what the *eye* causes (a cloudy lens, a small pupil, a weak signal): sent on then, a third try
  would only tire the eye. Ungradable is a risk signal, so this is a finding and not a failure.
* What the *operator* causes (focus, flash, aim) is retaken with one instruction at a time, the worst reason first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eyebright_common.imaging import INSTRUCTIONS
from eyebright_common.release import ImageDecision, Verdict

RETAKES = 3
EYE_CAUSED_TRIES = 2
EYE_CAUSED = frozenset({"haze", "uneven_light", "weak_signal"})


def eye_caused(reasons: Sequence[str]) -> bool:
    """Return whether the eye itself may be the cause: a cataract blurs and veils, so any of its reasons is enough."""
    return not EYE_CAUSED.isdisjoint(reasons)


def tries_are_over(pictures: Iterable[ImageDecision], *, retakes: int = RETAKES) -> bool:
    """Return whether an eye with these pictures and no gradable one is sent on instead of photographed again.

    Args:
        pictures: All pictures of one eye, unreadable files included.
        retakes: Pictures after which the reasons no longer matter.
    """
    taken = tuple(pictures)
    if any(picture.verdict is not Verdict.UNGRADABLE for picture in taken):
        return False
    return len(taken) >= retakes or sum(eye_caused(picture.reasons) for picture in taken) >= EYE_CAUSED_TRIES


def instruction_key(reasons: Sequence[str]) -> str:
    """Return the catalogue key of the one instruction for the next try."""
    known = next((reason for reason in reasons if reason in INSTRUCTIONS), None)
    return f"instruction.{known}" if known else "instruction.file"
