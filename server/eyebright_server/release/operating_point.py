"""From the threshold that was chosen to the threshold that ships, with its provenance spelt out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eyebright_common.release import REFERABLE_PURPOSE, Provenance, Threshold

if TYPE_CHECKING:
    from eyebright_learning.evaluation import Threshold as ChosenThreshold

_RULES = {
    "highest_with_sensitivity": "highest threshold with a sensitivity of at least {target:g}",
    "fallback": "no picture to be referred, so no choice was possible",
}


def shipped_threshold(chosen: ChosenThreshold, *, split: str) -> Threshold:
    """Return the release's referral threshold.

    Args:
        chosen: What ``choose_threshold`` returned.
        split: The split its counts came from. The gate lets only ``validation`` pass, so say what is true.
    """
    origin = chosen.provenance
    rule = _RULES[origin.rule].format(target=origin.min_sensitivity)
    return Threshold(
        purpose=REFERABLE_PURPOSE,
        value=chosen.value,
        provenance=Provenance(
            split=split,
            rule=f"{rule} ({origin.source})",
            images=origin.images,
            positives=origin.positives,
            sensitivity=origin.sensitivity,
            specificity=origin.specificity,
        ),
    )
