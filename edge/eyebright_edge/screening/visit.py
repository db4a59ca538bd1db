"""One visit: the pictures of a patient's eyes become one answer.

Which eye a picture shows is what the person said; failing that, what the file name says (``right``, ``OD``, ``R`` or
``left``, ``OS``, ``L`` as a word of its own). It is never guessed from the pixels.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from eyebright_common.release import BOTH_EYES, Eye, ImageDecision, PatientDecision, Verdict, decide_patient
from eyebright_edge.screening.picture import ScreenedPicture
from eyebright_edge.screening.retakes import RETAKES, tries_are_over

_WORDS = {"right": Eye.RIGHT, "od": Eye.RIGHT, "r": Eye.RIGHT, "left": Eye.LEFT, "os": Eye.LEFT, "l": Eye.LEFT}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenedVisit:
    """A whole visit.

    Attributes:
        pictures: Every picture that was given, in order.
        decision: The answer, with one decision per eye.
    """

    pictures: tuple[ScreenedPicture, ...]
    decision: PatientDecision

    @property
    def verdict(self) -> Verdict:
        """The answer for the patient."""
        return self.decision.verdict

    @property
    def unreadable(self) -> tuple[ScreenedPicture, ...]:
        """Pictures that could not be read at all."""
        return tuple(picture for picture in self.pictures if picture.quality is None)


def decide_visit(
    pictures: Iterable[ScreenedPicture],
    *,
    expected: Collection[Eye] = BOTH_EYES,
    retakes: int | None = RETAKES,
) -> ScreenedVisit:
    """Return the answer for one patient.

    At a unit both eyes are expected. Pictures of unknown laterality are judged beside them, so a finding in one refers
    the patient, and without any named eye the answer can be REFER or UNGRADABLE (an eye is missing), never NO REFERRAL.
    An eye that has been tried often enough (``retakes`` pictures, fewer when the eye itself is the cause) refers too.

    Args:
        pictures: Every picture taken, unreadable ones included.
        expected: Eyes that had to be photographed; an existing collection of pictures passes ``()``.
        retakes: Pictures per eye after which an eye that is still ungradable sends the patient on.
    """
    taken = tuple(pictures)
    by_eye: dict[Eye, list[ImageDecision]] = defaultdict(list)
    for picture in taken:
        by_eye[picture.eye].append(picture.decision)
    decision = decide_patient(by_eye, expected=expected)
    if retakes is not None:
        over = [eye for eye in decision.eyes if eye.pictures and tries_are_over(by_eye[eye.eye], retakes=retakes)]
        decision = _sent_on(decision, [eye.eye for eye in over])
    return ScreenedVisit(pictures=taken, decision=decision)


def _sent_on(decision: PatientDecision, eyes: list[Eye]) -> PatientDecision:
    """Return the answer with these eyes past further tries; the reasons keep the order of ``decide_patient``."""
    if not eyes:
        return decision
    found = [reason for reason in decision.reasons if reason.startswith("referable_finding")]
    unclear = [reason for reason in decision.reasons if not reason.startswith("referable_finding")]
    over = [f"ungradable_after_retakes:{eye}" for eye in eyes]
    return replace(decision, verdict=Verdict.REFER, reasons=(*found, *over, *unclear))


def eye_in_name(name: str) -> Eye:
    """Return the eye that a file name speaks of; unknown when it speaks of none, or of both."""
    stem = name.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0].lower()
    found = {_WORDS[word] for word in re.split(r"[^a-z]+", stem) if word in _WORDS}
    return found.pop() if len(found) == 1 else Eye.UNKNOWN
