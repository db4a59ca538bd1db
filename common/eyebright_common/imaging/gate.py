"""The numbers of the quality gate, and how measurements and numbers give a verdict.

``quality_gate.json`` holds, per modality, *rules* and optionally a *model*:

* A rule decides by itself: all of its conditions hold. Rules are for what no grading data set teaches (a face, a scan
  in place of a photograph, a lid) and stand in order of gravity. Most reject; a few only make a picture no better than
  usable, and say why.
* A model is a logistic regression on standardised, clipped measurements: ``p = P(reject)``. Above ``reject_above`` the
  picture is rejected, above ``usable_above`` it is usable. Each measurement has a reason; the reasons whose
  measurements push hardest are the ones given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

from eyebright_common.documents import Document

Features = Mapping[str, float]


class Condition(Document):
    """One comparison of one measurement."""

    feature: str
    below: float = math.inf
    above: float = -math.inf

    def holds(self, features: Features) -> bool:
        """Return whether the measurement is outside what a gradable picture shows."""
        return self.above < features[self.feature] < self.below


class Rule(Document):
    """A reason to reject, or to call usable at best, with the conditions that must all hold."""

    reason: str
    verdict: Literal["usable", "reject"] = "reject"
    all: tuple[Condition, ...]

    def holds(self, features: Features) -> bool:
        """Return whether every condition holds."""
        return all(condition.holds(features) for condition in self.all)


class Term(Document):
    """One measurement of the model; ``log_offset`` above zero takes ``log(value + log_offset)`` first."""

    feature: str
    reason: str
    mean: float
    scale: float
    weight: float
    log_offset: float = 0.0

    def push(self, features: Features) -> float:
        """Return what this measurement adds to the log-odds of rejection."""
        value = features[self.feature]
        value = math.log(max(value, 0.0) + self.log_offset) if self.log_offset else value
        # Clipped, so that a camera nobody has seen cannot drive one measurement to a certainty.
        return self.weight * min(3.0, max(-3.0, (value - self.mean) / self.scale))


class RejectionModel(Document):
    """A logistic regression of rejection."""

    intercept: float
    usable_above: float
    reject_above: float
    terms: tuple[Term, ...]

    def probability(self, features: Features) -> float:
        """Return ``P(reject)``."""
        return 1.0 / (1.0 + math.exp(-self.intercept - sum(term.push(features) for term in self.terms)))

    def reasons(self, features: Features) -> tuple[str, ...]:
        """Return the reasons that push towards rejection, hardest first; at least one."""
        pushes: dict[str, float] = {}
        for term in self.terms:
            pushes[term.reason] = pushes.get(term.reason, 0.0) + term.push(features)
        ordered = sorted(pushes, key=lambda reason: -pushes[reason])
        return tuple(reason for reason in ordered if pushes[reason] > 0.5) or (ordered[0],)


class Gate(Document):
    """The gate of one modality."""

    rules: tuple[Rule, ...]
    model: RejectionModel | None = None

    def reasons(self, features: Features, *, verdict: Literal["usable", "reject"]) -> tuple[str, ...]:
        """Return the reasons of the rules that hold and come to ``verdict``, gravest first, each once."""
        held = (rule.reason for rule in self.rules if rule.verdict == verdict and rule.holds(features))
        return tuple(dict.fromkeys(held))


class QualityGate(Document):
    """``quality_gate.json``."""

    version: int
    gates: Mapping[Literal["CFP", "OCT"], Gate]
    provenance: Mapping[str, str]


@cache
def quality_gate() -> QualityGate:
    """Return the packaged gate."""
    text = files("eyebright_common.imaging").joinpath("quality_gate.json").read_text(encoding="utf-8")
    return QualityGate.model_validate_json(text)
