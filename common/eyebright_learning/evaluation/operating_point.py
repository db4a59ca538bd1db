"""The operating point: from which referable score on a picture is referred.

* The highest histogram edge whose sensitivity on validation pictures reaches the target: of all thresholds that find
  enough of the disease, the one that sends the fewest healthy people.
* The default target, 0.87, is the sensitivity of the first autonomous screening system's pivotal trial (reference:
  learning.md, section 10).
* Chosen on validation only. Where it was chosen, on how many, and what it gave there travel with the value.
* Without a picture to be referred there is nothing to choose by: the value is 0.5 and the provenance says so.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from eyebright_common.errors import InputError
from eyebright_learning.evaluation.counts import SCORE_EDGES, EvaluationCounts
from eyebright_learning.evaluation.metrics import ratio

FALLBACK = 0.5


class ThresholdProvenance(BaseModel):
    """How a threshold came to be.

    Attributes:
        rule: ``highest_with_sensitivity``, or ``fallback`` when there was no picture to be referred.
        source: Which pictures, e.g. ``pooled hospital validation``.
        min_sensitivity: The target.
        images: Pictures it was chosen on.
        positives: Those of them to be referred.
        sensitivity: What it gave there.
        specificity: What it gave there.
    """

    model_config = ConfigDict(frozen=True)

    rule: Literal["highest_with_sensitivity", "fallback"]
    source: str
    min_sensitivity: float
    images: int
    positives: int
    sensitivity: float | None
    specificity: float | None


class Threshold(BaseModel):
    """An operating point on the referable score.

    Attributes:
        value: Referred when the score is at least this.
        purpose: What it is for.
        provenance: How it came to be.
    """

    model_config = ConfigDict(frozen=True)

    value: float
    purpose: str
    provenance: ThresholdProvenance

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return self.model_dump(mode="json")


def choose_threshold(
    counts: EvaluationCounts, *, min_sensitivity: float = 0.87, source: str = "validation", purpose: str = "referral"
) -> Threshold:
    """Return the highest threshold that reaches ``min_sensitivity`` on the counted validation pictures.

    Raises:
        InputError: the target is not in (0, 1].
    """
    if not 0.0 < min_sensitivity <= 1.0:
        raise InputError("the sensitivity to reach must be in (0, 1]", value=min_sensitivity)
    positives, negatives = counts.referable_positive, counts.referable_negative
    found = np.cumsum(positives[::-1])[::-1]  # per edge: pictures to be referred at or above it
    total, others = int(positives.sum()), int(negatives.sum())
    enough = np.flatnonzero(found >= min_sensitivity * total - 1e-9)
    edge = int(enough.max()) if total else int(np.searchsorted(SCORE_EDGES, FALLBACK, side="right")) - 1
    provenance = ThresholdProvenance(
        rule="highest_with_sensitivity" if total else "fallback",
        source=source,
        min_sensitivity=min_sensitivity,
        images=total + others,
        positives=total,
        sensitivity=ratio(int(positives[edge:].sum()), total),
        specificity=ratio(int(negatives[:edge].sum()), others),
    )
    return Threshold(value=float(SCORE_EDGES[edge]) if total else FALLBACK, purpose=purpose, provenance=provenance)
