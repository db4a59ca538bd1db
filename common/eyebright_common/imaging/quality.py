"""Whether a picture can be graded, and if not, why, in words a technician can act on.

* Classical features of the field of view, compared with limits and a small logistic weighting kept in
  ``quality_gate.json`` together with where those numbers come from. No network: the gate runs before one, on anything.
* ``reject`` is a result of its own (UNGRADABLE), never a silent loss. The limits are set so that haze from a cataract,
  which is disease, is called ``usable`` with the reason ``haze`` long before it is rejected.
* Reasons are listed worst first; a ``good`` picture has none.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from eyebright_common.imaging.field import FieldOfView, field_of_view
from eyebright_common.imaging.fundus_features import fundus_features
from eyebright_common.imaging.gate import Gate, quality_gate
from eyebright_common.imaging.oct_features import oct_features
from eyebright_common.imaging.refusals import Pixels

Verdict = Literal["good", "usable", "reject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """The verdict on one picture.

    Attributes:
        verdict: ``good``, ``usable`` or ``reject``.
        score: 0 (worst) to 1 (best).
        reasons: Stable snake_case words, worst first; the keys of ``INSTRUCTIONS``.
        features: What was measured.
    """

    verdict: Verdict
    score: float
    reasons: tuple[str, ...] = ()
    features: dict[str, float] = dataclasses.field(default_factory=dict)


INSTRUCTIONS = {
    "not_a_retina": "This is not a retina picture. Re-align and take it again.",
    "too_dark": "Too dark. Raise the flash, darken the room.",
    "too_bright": "Too bright. Lower the flash.",
    "uneven_light": "Light is uneven. Move closer, centre the pupil, wait three minutes.",
    "blur": "Blurred. Refocus, ask to hold still, clean the lens.",
    "haze": "Hazy. Wipe the lens; if it stays, suspect cataract and refer.",
    "reflection": "Reflections or lashes. Ask to open the eye wide.",
    "eyelid": "A lid covers part of the picture. Ask to open the eye wide.",
    "field": "Part of the field is missing. Ask to look at the target, re-centre.",
    "not_an_oct": "This is not a B-scan. Export the scan itself.",
    "blink": "Part of the scan is empty, as after a blink. Let the patient blink, then scan again.",
    "weak_signal": "Signal too weak. Lubricate the eye, scan again.",
    "clipped": "The retina leaves the scan. Re-centre in depth and scan again.",
}


def assess_quality(image: Pixels, *, modality: str, field: FieldOfView | None = None) -> Quality:
    """Return the verdict on a picture, RGB uint8 ``[H, W, 3]``.

    Args:
        image: The decoded picture, before it is prepared.
        modality: ``CFP`` or ``OCT``.
        field: The field of view where the caller knows it already (CFP only).
    """
    if modality == "OCT":
        return _judged(oct_features(image), quality_gate().gates["OCT"])
    found = field_of_view(image) if field is None else field
    return _judged(fundus_features(image, found), quality_gate().gates["CFP"])


def _judged(features: dict[str, float], gate: Gate) -> Quality:
    broken, noted = gate.reasons(features, verdict="reject"), gate.reasons(features, verdict="usable")
    p = gate.model.probability(features) if gate.model else 0.0
    if broken:
        return Quality(verdict="reject", score=min(0.05, 1 - p), reasons=broken, features=features)
    if gate.model is None or p <= gate.model.usable_above:
        return Quality(verdict="usable" if noted else "good", score=1 - p, reasons=noted, features=features)
    verdict: Verdict = "reject" if p > gate.model.reject_above else "usable"
    reasons = tuple(dict.fromkeys((*noted, *gate.model.reasons(features))))
    return Quality(verdict=verdict, score=1 - p, reasons=reasons, features=features)
