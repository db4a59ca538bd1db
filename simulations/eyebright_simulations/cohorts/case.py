"""One eye to be pictured: everything its drawing depends on, so that eyes can be drawn in any order and by anyone."""

from __future__ import annotations

from dataclasses import dataclass

FAULTS = ("dark", "blurred", "overexposed", "eyelid")


@dataclass(frozen=True, slots=True, kw_only=True)
class EyeCase:
    """One eye on the day it is photographed.

    Attributes:
        site: Site name.
        patient_id: Identifier of the patient, the same for both eyes.
        eye: ``R`` or ``L``.
        label: Class name.
        severity: 0 (just visible) to 1 (advanced); 0 for a healthy eye.
        device: Which of its site's devices takes the picture, counted from 0; taken modulo their number.
        fault: One of ``FAULTS``, or empty when the picture comes out well.
        age_band: Ten-year band, e.g. ``60-69``.
        sex: ``F`` or ``M``.
        patient_entropy: Seed of what both eyes share (pigment, build of the disc).
        eye_entropy: Seed of what belongs to this eye and this picture.
    """

    site: str
    patient_id: str
    eye: str
    label: str
    severity: float
    device: int
    fault: str
    age_band: str
    sex: str
    patient_entropy: tuple[int, ...]
    eye_entropy: tuple[int, ...]
