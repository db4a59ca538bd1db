"""A hospital's own rules, and whether one request keeps them.

* A plan is approved by its digest, in ``policy.json``, by a person. No wildcard exists: a changed learning rate is a
  changed plan.
* A round outside the plan's own rounds is refused, so an approval cannot be stretched into more training.
* Fewer training rows than ``min_rows`` is refused: an average over very few patients describes those patients.
* How many processor threads training may use is the hospital's choice; equal numbers make two runs equal bit for bit.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from eyebright_common.documents import Document, problems_of
from eyebright_common.errors import InputError, PlanRefused
from eyebright_common.plan import Plan, Sha256

FILE_NAME = "policy.json"


class Policy(Document):
    """The content of ``policy.json``.

    Attributes:
        approved_plans: Digests of the plans a person has approved.
        min_rows: Fewest training images with which this hospital takes part.
        threads: Processor threads a round may use.
    """

    approved_plans: tuple[Sha256, ...] = ()
    min_rows: int = Field(default=1, ge=1)
    threads: int = Field(default=2, ge=1, le=256)


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


def approve(policy: Policy, plan: Plan, *, round_number: int, rows: int) -> None:
    """Return when the hospital agrees to round ``round_number`` of ``plan`` on ``rows`` training images.

    Raises:
        PlanRefused: naming the rule that was not kept.
    """
    if plan.digest() not in policy.approved_plans:
        raise PlanRefused("this plan is not approved", value=plan.digest(), fix="Read it; add its digest if you agree.")
    if not 1 <= round_number <= plan.rounds:
        raise PlanRefused("the round is outside the approved plan", value=f"{round_number} of {plan.rounds}")
    if rows < policy.min_rows:
        raise PlanRefused("too few training images to take part", value=f"{rows}, the policy asks {policy.min_rows}")
