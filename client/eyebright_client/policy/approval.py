"""A hospital's own rules, and whether one request keeps them.

* A plan is approved by its digest, in ``policy.json``, by a person: a changed learning rate is a changed plan. Or it
  keeps every bound of one of the hospital's ``approved_rules`` (``rules``).
* A round outside the plan's own rounds is refused, so an approval cannot be stretched into more training.
* Fewer training rows than ``min_rows`` is refused: an average over very few patients describes those patients.
* Work begins only within ``hours``, by the hospital's own clock; what has begun is finished.
* The caps on epochs hold whatever the plan says, approved or not.
* ``fields`` names what may leave beside the student itself and the number of pictures, without which there is no
  average: a loss that is not named is left out, counts that are not named are refused.
* With ``require_signed_plans`` only a plan signed with one of ``operator_keys`` is read at all. Without it a signature
  changes nothing: what counts is the digest a person approved.
* A plan that would go beyond ``privacy_budget``, over all plans ever, is refused (``privacy_budget``).
* How many processor threads training may use, and how far it stands back (``nice``), is the hospital's choice; equal
  threads make two runs equal bit for bit. ``cpus`` and ``gpu_share`` are enforced (``limits``).
"""

from __future__ import annotations

import re
from datetime import datetime, time
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator

from eyebright_client.policy.privacy_budget import PrivacyBudget
from eyebright_client.policy.rules import PlanRule
from eyebright_common.documents import Document, problems_of
from eyebright_common.errors import InputError, PlanRefused, TrustError
from eyebright_common.plan import Plan, Sha256
from eyebright_common.signed_plan import verify_plan

FILE_NAME = "policy.json"
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class Policy(Document):
    """The content of ``policy.json``.

    Attributes:
        approved_plans: Digests of the plans a person has approved.
        approved_rules: Bounds; a plan that keeps all of one is approved.
        min_rows: Fewest training images with which this hospital takes part.
        threads: Processor threads a round may use.
        cpus: Processors a round may use, whatever its threads; None for all.
        gpu_share: Part of the graphics card's memory a round may hold; 0 uses none.
        nice: How far the work stands back behind other programs, 0 to 19.
        hours: When work may begin, e.g. ``["20:00-06:00"]``, local time; empty means always.
        max_local_epochs: Most epochs in one round.
        max_total_epochs: Most epochs over all rounds of a plan.
        privacy_budget: What may be spent over all plans, ever; None counts and refuses nothing.
        fields: What may leave beside the student and the number of pictures.
        require_signed_plans: Whether a plan must be signed by an operator.
        operator_keys: Public keys for plans, hex, as ``eyebright server rounds key`` shows them.
    """

    approved_plans: tuple[Sha256, ...] = ()
    approved_rules: tuple[PlanRule, ...] = ()
    min_rows: int = Field(default=1, ge=1)
    threads: int = Field(default=2, ge=1, le=256)
    cpus: int | None = Field(default=None, ge=1)
    gpu_share: float = Field(default=0.0, ge=0, le=1)
    nice: int = Field(default=0, ge=0, le=19)
    hours: tuple[str, ...] = ()
    max_local_epochs: int | None = Field(default=None, ge=1)
    max_total_epochs: int | None = Field(default=None, ge=1)
    privacy_budget: PrivacyBudget | None = None
    fields: tuple[Literal["losses", "counts", "comparison"], ...] = ("losses", "counts")
    require_signed_plans: bool = False
    operator_keys: tuple[Sha256, ...] = ()

    @field_validator("hours")
    @classmethod
    def _readable_hours(cls, hours: tuple[str, ...]) -> tuple[str, ...]:
        for span in hours:
            if _HOURS.fullmatch(span) is None:
                raise ValueError(f"{span!r} is not a span of hours such as 20:00-06:00")
        return hours

    def open_at(self, moment: datetime) -> bool:
        """Whether work may begin at ``moment``, read as local time; a span may reach over midnight."""
        return not self.hours or any(_within(span, moment.time()) for span in self.hours)


def read_policy(site: Path) -> Policy:
    """Return the policy of the site directory ``site``.

    Raises:
        InputError: the file is missing or cannot be understood. A hospital without a readable policy approves nothing.
    """
    path = site / FILE_NAME
    try:
        return Policy.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError("the hospital has no policy", value=path, fix="Write one; see client/README.md.") from None
    except ValidationError as error:
        problem = problems_of(error, whole="file")[0]
        raise InputError(f"the policy cannot be used: {problem}", value=path, fix="Correct it.") from None


def approve(policy: Policy, plan: Plan, *, round_number: int, rows: int, now: datetime | None = None) -> None:
    """Return when the hospital agrees to round ``round_number`` of ``plan`` on ``rows`` training images.

    Args:
        policy: The hospital's.
        plan: What is asked.
        round_number: From 1.
        rows: Training images here.
        now: Local time; None leaves the hours out.

    Raises:
        PlanRefused: naming the rule that was not kept.
    """
    if plan.digest() not in policy.approved_plans:
        _approve_by_rule(policy, plan)
    if not 1 <= round_number <= plan.rounds:
        raise PlanRefused("the round is outside the approved plan", value=f"{round_number} of {plan.rounds}")
    if rows < policy.min_rows:
        raise PlanRefused("too few training images to take part", value=f"{rows}, the policy asks {policy.min_rows}")
    if policy.max_local_epochs is not None and plan.local_epochs > policy.max_local_epochs:
        found = f"{plan.local_epochs}, the policy allows {policy.max_local_epochs}"
        raise PlanRefused("too many epochs in a round", value=found)
    if policy.max_total_epochs is not None and plan.local_epochs * plan.rounds > policy.max_total_epochs:
        found = f"{plan.local_epochs * plan.rounds}, the policy allows {policy.max_total_epochs}"
        raise PlanRefused("too many epochs over all rounds", value=found)
    if now is not None and not policy.open_at(now):
        raise PlanRefused("outside the hours of this hospital", value=f"{now:%H:%M}, allowed {', '.join(policy.hours)}")


def _approve_by_rule(policy: Policy, plan: Plan) -> None:
    broken = [rule.broken_by(plan) for rule in policy.approved_rules]
    if None in broken:
        return
    why = "".join(f"; rule {number} does not allow {what}" for number, what in enumerate(broken, 1))
    fix = "Read it; add its digest if you agree."
    raise PlanRefused("this plan is not approved", value=plan.digest() + why, fix=fix)


def approve_signature(policy: Policy, plan: Plan, signature: str) -> None:
    """Return when the policy asks for no signature, or this one is good.

    Raises:
        PlanRefused: it is not.
    """
    if not policy.require_signed_plans:
        return
    try:
        verify_plan(plan, signature, policy.operator_keys)
    except TrustError as error:
        raise PlanRefused(error.what, value=error.value, fix=error.fix) from error


def _within(span: str, moment: time) -> bool:
    begin, end = (time.fromisoformat(part) for part in span.split("-"))
    if begin <= end:
        return begin <= moment < end
    return moment >= begin or moment < end
