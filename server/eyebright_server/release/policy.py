"""The gate's policy: every limit, which verdicts block, and which rules nobody may override. One file, versioned.

``gate_policy.json`` beside this module is the whole of it. Its version rises with every change, and a release says
which version, which profile and which digest it was held to.

* ``screening`` is the default: every floor blocks, and where data are missing the rules that a patient depends on block
  too. Small sites and small parts may answer "insufficient data": they are too small to be tested alone, and the pooled
  rules hold for them.
* ``strict`` asks for a higher lower bound, and for enough data of every site and part.
* ``rehearsal`` is for drawn pictures and for trying things out: the same numbers are measured and shown with the same
  verdicts, but floors, parts, calibration and the properties of the test data hold nothing back. What still blocks is
  whatever says that a release is broken or worse than the one before: integrity, golden cases, must-refer cases, paired
  non-inferiority, harm at a site.

Numbers: clinical reference, section 7; positives needed for a bound of 0.80 at a true 0.90: 83, of 0.85 at 0.92: 136.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import Field, ValidationError

from eyebright_common.documents import StrictDocument, problems_of
from eyebright_common.errors import InputError
from eyebright_common.release.gate_report import GateRule, GateVerdict, PolicyInForce

SCREENING = "screening"
REHEARSAL = "rehearsal"


class Limits(StrictDocument):
    """Every number of the gate; shares unless the name says otherwise."""

    parity_logit: float
    size_budget_bytes: int
    sensitivity_floor: float
    specificity_floor: float
    bound_floor: float
    least_cases_of_a_floor: int
    least_cases_of_a_bound: int
    sensitivity_margin: float
    specificity_margin: float
    discordance: float
    site_drop: float
    least_positives_of_a_site: int
    least_cases_of_a_part: int
    least_positives_of_a_part: int
    part_floor: float
    calibration_error: float
    least_calibration_slope: float
    largest_calibration_slope: float
    least_cases_of_calibration: int
    ungradable_share: float
    looks: int
    fp16_score_difference: float
    int8_mean_score_difference: float
    variant_changed_share: float
    variant_flipped_share: float


class Profile(StrictDocument):
    """One way to hold a release to the limits.

    Attributes:
        limits: Limits that differ from the policy's.
        advisory: Rules whose failure is shown and blocks nothing.
        missing_data_blocks: Rules that block when there are too few cases to say.
    """

    limits: dict[str, float | int]
    advisory: tuple[str, ...]
    missing_data_blocks: tuple[str, ...]


class PolicyFile(StrictDocument):
    """``gate_policy.json``; see the module's note."""

    schema_: Literal["eyebright.gate-policy/1"] = Field(alias="schema")
    version: int = Field(ge=1)
    limits: Limits
    never_overridden: tuple[str, ...]
    never_blocks: tuple[str, ...]
    profiles: dict[str, Profile]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePolicy:
    """One profile of the policy, ready to be applied.

    Attributes:
        in_force: What a report says of it.
        limits: The numbers.
        profile: The profile.
        never_overridden: Rules nobody may override.
        never_blocks: Rules that hold back something smaller than the release, e.g. a variant.
    """

    in_force: PolicyInForce
    limits: Limits
    profile: Profile
    never_overridden: frozenset[str]
    never_blocks: frozenset[str]

    def rule(
        self,
        name: str,
        verdict: GateVerdict,
        *,
        value: float | str | None,
        limit: float | str | None,
        n: int | None = None,
        about: str = "",
        note: str = "",
    ) -> GateRule:
        """Return a rule with whether it blocks under this policy."""
        return GateRule(
            name=name,
            about=about,
            value=value,
            limit=limit,
            verdict=verdict,
            blocks=self._blocks(name, verdict),
            n=n,
            note=note,
        )

    def check_override(self, rules: tuple[str, ...]) -> None:
        """Do nothing when these rules may be overridden.

        Raises:
            InputError: one may not.
        """
        firm = sorted(set(rules) & self.never_overridden)
        if firm:
            raise InputError(
                "this rule is never overridden", value=", ".join(firm), fix="Find out what is broken, and build again."
            )

    def _blocks(self, name: str, verdict: GateVerdict) -> bool:
        if verdict == "pass" or name in self.never_blocks:
            return False
        if verdict == "fail":
            return name not in self.profile.advisory
        return name in self.profile.missing_data_blocks


@cache
def gate_policy(profile: str = SCREENING) -> GatePolicy:
    """Return a profile of the policy in force.

    Raises:
        InputError: there is no such profile.
    """
    data = files("eyebright_server.release").joinpath("gate_policy.json").read_bytes()
    return parse_policy(data, profile)


def parse_policy(data: bytes, profile: str) -> GatePolicy:
    """Return a profile of the policy in ``data``.

    Raises:
        InputError: it is no policy, or has no such profile.
    """
    try:
        policy = PolicyFile.model_validate_json(data)
        chosen = policy.profiles.get(profile)
        limits = Limits.model_validate({**policy.limits.model_dump(), **(chosen.limits if chosen else {})})
    except ValidationError as error:
        raise InputError("the gate's policy cannot be read", value=problems_of(error, whole="policy")[0]) from None
    if chosen is None:
        raise InputError("no such profile", value=profile, fix=f"Choose one of: {', '.join(policy.profiles)}.")
    return GatePolicy(
        in_force=PolicyInForce(version=policy.version, profile=profile, sha256=hashlib.sha256(data).hexdigest()),
        limits=limits,
        profile=chosen,
        never_overridden=frozenset(policy.never_overridden),
        never_blocks=frozenset(policy.never_blocks),
    )
