"""One more question after the last round, so that the student's probabilities say how often it is right.

* Dividing every logit by a temperature changes no answer and no order within a picture; it makes an overconfident
  student modest. The last layer is linear: its arrays divided by the temperature are a student like any other, so
  hospitals answer an evaluation and learn no new word, and no release needs a temperature of its own.
* How a temperature moves a picture depends on all its classes together, which counts do not keep (ADR 0002).
  Therefore the hospitals are asked, for one temperature after another, and none is computed here.
* What is made small is the mean negative log-likelihood on all validation pictures together (Guo et al. 2017), a proper
  score that counts do keep. Two temperatures are compared by the hospitals that answered for both.
* Temperatures are powers of 2^(1/4). The walk starts at 1 and goes on downhill: two to six questions, as a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from eyebright_common.exchange import head_names
from eyebright_learning.evaluation import EvaluationCounts
from eyebright_server.federation.records import Arrays

FURTHEST = 8  # steps from 1, a temperature of 4 or of a quarter
FEWEST_PICTURES = 50  # below, the temperature is an accident of who is in the validation part

SiteCounts = Mapping[int, EvaluationCounts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What the hospitals' answers say.

    Attributes:
        temperature: What the logits are divided by.
        counts: Validation counts by hospital at this temperature, flattened.
        before: Mean negative log-likelihood at a temperature of 1, nats, by the hospitals in ``counts``.
        after: The same at ``temperature``.
        questions: How often the hospitals were asked.
    """

    temperature: float
    counts: dict[int, dict[str, list[int]]]
    before: float | None
    after: float | None
    questions: int


def temperature_of(step: int) -> float:
    """Return the temperature so many steps from 1."""
    return float(2.0 ** (step / 4))


def tempered(weights: Arrays, temperature: float) -> Arrays:
    """Return the student whose logits are divided by ``temperature``."""
    if temperature == 1.0:
        return weights
    head = head_names(weights)
    return {name: (a / a.dtype.type(temperature) if name in head else a) for name, a in weights.items()}


def calibrated(known: SiteCounts, ask: Callable[[float], SiteCounts]) -> Calibration:
    """Walk to the temperature that surprises least.

    Args:
        known: Counts of the student as it is, by hospital.
        ask: Returns the counts at a temperature, by hospital.
    """
    found: dict[int, SiteCounts] = {0: known}
    if sum(one.n for one in known.values()) < FEWEST_PICTURES:
        return _result(found, best=0)
    best = 0
    for direction in (1, -1):
        while abs(best + direction) <= FURTHEST:
            step = best + direction
            found[step] = ask(temperature_of(step))
            if not _better(found[step], found[best]):
                break
            best = step
        if best:
            break
    return _result(found, best=best)


def _better(new: SiteCounts, old: SiteCounts) -> bool:
    one, other = _surprises(new, old)
    return one is not None and other is not None and one < other


def _surprises(new: SiteCounts, old: SiteCounts) -> tuple[float | None, float | None]:
    """Return the surprise at both, by the hospitals that answered for both."""
    both = sorted(new.keys() & old.keys())
    return _pooled(new, both), _pooled(old, both)


def _pooled(counts: SiteCounts, sites: list[int]) -> float | None:
    known = [(counts[site].n, counts[site].surprise()) for site in sites]
    pictures = sum(n for n, _ in known)
    return sum(n * s for n, s in known if s is not None) / pictures if pictures else None


def _result(found: Mapping[int, SiteCounts], *, best: int) -> Calibration:
    after, before = _surprises(found[best], found[0])
    return Calibration(
        temperature=temperature_of(best),
        counts={site: one.to_dict() for site, one in sorted(found[best].items())},
        before=before,
        after=after,
        questions=len(found) - 1,
    )
