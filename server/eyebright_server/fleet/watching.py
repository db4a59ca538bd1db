"""Units' reports as rates, held against control limits (p-chart, three deviations).

* The units of the open rings are compared with all others that report. Errors and golden failures count units: a unit
  whose golden cases fail keeps its old release and would be missing among those that run the new one. Referral and
  ungradable rates count patients, of the release in question only.
* Golden cases are no matter of chance: one unit that fails them stops the rollout.
* A rate of too few cases, or without anything to compare it with, is "insufficient data": it stops nothing and proves
  nothing.
* A unit's report is its own word. A unit that lies can stop a rollout; it cannot hasten one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from eyebright_common.release.rollout import STOP_RULES, Rollout, control_limits
from eyebright_common.wire import UnitStatus

LEAST_UNITS, LEAST_PATIENTS = 3, 30
_FAILED = frozenset({"failed", "refused", "rolled_back", "rolled-back"})

RateVerdict = Literal["inside", "outside", "insufficient data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One watched rate.

    Attributes:
        name: As in ``STOP_RULES``.
        value: Among the units of the open rings; None without cases.
        n: Of how many.
        lower: Least that is inside; None without limits.
        upper: Most that is inside; None without limits.
        verdict: What follows.
    """

    name: str
    value: float | None
    n: int
    lower: float | None
    upper: float | None
    verdict: RateVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """How often the release, run unseen, gave the word that was shown; it is shown to people and stops nothing.

    Attributes:
        units: Units whose trial is over and that tell.
        compared: On how many visits.
        agreed: On how many of them both gave the same word.
    """

    units: int
    compared: int
    agreed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the reports say of a rollout.

    Attributes:
        units: Units in the open rings that have reported.
        running: Those of them that serve the release.
        patients: Patients they have seen with it.
        rates: Each watched rate.
        shadow: What units of a shadow ring tell.
    """

    units: int
    running: int
    patients: int
    rates: tuple[Rate, ...]
    shadow: Shadow

    @property
    def outside(self) -> tuple[Rate, ...]:
        """The rates that stop the rollout."""
        return tuple(rate for rate in self.rates if rate.verdict == "outside")


def observe(rollout: Rollout, reports: Mapping[str, UnitStatus]) -> Observation:
    """Return what the units' last reports say of a rollout.

    Args:
        rollout: The one in force.
        reports: The last report of each unit, by name.
    """
    inside: list[UnitStatus] = []
    others: list[UnitStatus] = []
    for name, status in sorted(reports.items()):
        if status.task not in (None, rollout.task):
            continue
        ring = rollout.ring_of(name)
        (inside if ring is not None and ring <= rollout.opened else others).append(status)
    running = [status for status in inside if status.active_version == rollout.version]
    old = [status for status in (*inside, *others) if status.active_version != rollout.version]
    rates = {
        "golden_failures": _golden(inside),
        "errors": _rate("errors", _failures(inside), _failures(others), LEAST_UNITS),
        "referral_rate": _rate("referral_rate", _share(running, _refer), _share(old, _refer), LEAST_PATIENTS),
        "ungradable_rate": _rate("ungradable_rate", _share(running, _blind), _share(old, _blind), LEAST_PATIENTS),
    }
    return Observation(
        units=len(inside),
        running=len(running),
        patients=sum(map(_patients, running)),
        rates=tuple(rates[rule.name] for rule in STOP_RULES),
        shadow=_shadow(rollout, inside),
    )


def _shadow(rollout: Rollout, units: Sequence[UnitStatus]) -> Shadow:
    told = [status.shadow for status in units if status.shadow and status.shadow.version == rollout.version]
    return Shadow(units=len(told), compared=sum(one.compared for one in told), agreed=sum(one.agreed for one in told))


def _golden(units: Sequence[UnitStatus]) -> Rate:
    tried = [status for status in units if status.golden_passed is not None]
    failed = sum(not status.golden_passed for status in tried)
    verdict: RateVerdict = "outside" if failed else "inside" if tried else "insufficient data"
    value = failed / len(tried) if tried else None
    return Rate(name="golden_failures", value=value, n=len(tried), lower=0.0, upper=0.0, verdict=verdict)


def _rate(name: str, found: tuple[int, int], before: tuple[int, int], least: int) -> Rate:
    (events, n), (known, total) = found, before
    value = events / n if n else None
    if value is None or n < least or total < least:
        return Rate(name=name, value=value, n=n, lower=None, upper=None, verdict="insufficient data")
    limits = control_limits(known, total, n)
    both_ways = next(rule.both_ways for rule in STOP_RULES if rule.name == name)
    lower = limits.lower if both_ways else 0.0
    inside = lower <= value <= limits.upper
    return Rate(name=name, value=value, n=n, lower=lower, upper=limits.upper, verdict="inside" if inside else "outside")


def _failures(units: Sequence[UnitStatus]) -> tuple[int, int]:
    return sum(status.last_error is not None or status.state in _FAILED for status in units), len(units)


def _share(units: Iterable[UnitStatus], part: Callable[[UnitStatus], int]) -> tuple[int, int]:
    told = list(units)
    return sum(map(part, told)), sum(map(_patients, told))


def _patients(status: UnitStatus) -> int:
    return status.verdicts.refer + status.verdicts.no_referral + status.verdicts.ungradable


def _refer(status: UnitStatus) -> int:
    return status.verdicts.refer


def _blind(status: UnitStatus) -> int:
    return status.verdicts.ungradable
