"""The arms of an ablation, as data: which terms each one has, and how strongly a term counts where it is there.

* ``ce`` is the control: labels alone. Every other arm is the same student with the same budget and one loss changed.
* Logit distillation first: ``kd``, then ``dist`` on top; ``dkd`` takes the place of both. The parts of
  cross-architecture distillation (``pca``, ``gl``, ``multi_view``, ``adversarial``) are each tried on top of ``dist``,
  because alone they leave the head untaught. The discriminator reads what ``gl`` projects, so it needs ``gl``.
* ``all`` has everything but ``dkd``, which counts what ``kd`` counts already.
* This module knows no torch: names are checked before anything heavy is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from eyebright_common.errors import InputError
from eyebright_common.plan import PlanRecipe

CONTROL = "ce"

_USUAL = PlanRecipe()
# The distilled mixture of a plan, and what the reference allows a projector term (learning.md, section 5).
WEIGHTS: dict[str, float] = {
    "ce": _USUAL.ce,
    "kd": _USUAL.kd,
    "dist": _USUAL.dist,
    "dkd": _USUAL.kd,
    "pca": 0.05,
    "gl": 0.05,
    "multi_view": 0.5,
    "adversarial": 0.05,
}
FEATURE_TERMS = frozenset({"pca", "gl", "adversarial"})
_LOGITS = ("ce", "kd", "dist")
ARMS: dict[str, tuple[str, ...]] = {
    CONTROL: ("ce",),
    "kd": ("ce", "kd"),
    "dist": _LOGITS,
    "dkd": ("ce", "dkd"),
    "pca": (*_LOGITS, "pca"),
    "gl": (*_LOGITS, "gl"),
    "multi_view": (*_LOGITS, "multi_view"),
    "adversarial": (*_LOGITS, "gl", "adversarial"),
    "all": (*_LOGITS, "pca", "gl", "multi_view", "adversarial"),
}


def chosen_arms(text: str) -> tuple[str, ...]:
    """Return the arms named in ``a,b,c``, the control first, each once.

    Raises:
        InputError: an arm is unknown, or none is named.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError("no arm is named", fix=f"Choose of: {', '.join(ARMS)}.")
    for name in names:
        if name not in ARMS:
            raise InputError("unknown arm", value=name, fix=f"Choose of: {', '.join(ARMS)}.")
    return tuple(dict.fromkeys((CONTROL, *names)))


def needs_features(arm: str) -> bool:
    """Whether the arm looks at more of the teacher than its logits."""
    return bool(FEATURE_TERMS.intersection(ARMS[arm]))


def skipped_arms(arms: Sequence[str], *, teacher: str, has_features: bool) -> dict[str, str]:
    """Return the arms that cannot be run with this teacher, and why."""
    reason = f"needs features, and the teacher {teacher} has none (only logits)"
    return {} if has_features else {arm: reason for arm in arms if needs_features(arm)}


def recipe_of(arm: str, *, temperature: float, weights: Mapping[str, float]) -> dict[str, float]:
    """Return the keyword arguments of the arm's ``Recipe``; what the arm has not is 0 or left at the recipe's default.

    Args:
        arm: Its name.
        temperature: Of the distillation terms.
        weights: Weight of each term where it is there.
    """
    if arm == CONTROL:
        # The control has labels only; another weight would only be another learning rate.
        return {"ce": 1.0, "kd": 0.0, "dist": 0.0}
    terms = {term: weights[term] for term in ARMS[arm]}
    return {"ce": 0.0, "kd": 0.0, "dist": 0.0, **terms, "temperature": temperature}


def parse_weights(text: str) -> dict[str, float]:
    """Return the weights, those named in ``kd=0.2,dist=0.2`` in place of the usual ones.

    Raises:
        InputError: a term is unknown, or its weight is not a number above 0.
    """
    weights = dict(WEIGHTS)
    for part in (part.strip() for part in text.split(",") if part.strip()):
        term, _, number = part.partition("=")
        if term not in WEIGHTS:
            raise InputError("unknown term in --weights", value=part, fix=f"Terms: {', '.join(WEIGHTS)}.")
        weights[term] = _positive(number, part)
    return weights


def _positive(number: str, part: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0.0):
        raise InputError("--weights wants TERM=NUMBER, above 0", value=part, fix="For example kd=0.2,dist=0.2.")
    return value
