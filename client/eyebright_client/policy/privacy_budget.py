"""A hospital's privacy budget over its lifetime: a plan that would go beyond it is refused before its first round.

::

    SITE/privacy.json     rounds and noise of every plan the hospital has trained for, by digest

* With a budget, a plan without privacy is refused: what it costs cannot be counted.
* A plan is weighed as a whole, with every round it may still release, before it begins; what other plans have cost is
  what was really trained for. Costs add up as ``eyebright_common.privacy_cost`` says.
* A round is written down before its training begins. Asked for again after a kill, it costs nothing more.
* Every plan is written down, budget or not: a budget that is set later knows what was spent.
* Noise is added at the server, so this counts what plans promise. It hides that the *hospital* took part; it is no
  promise about one patient.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field, ValidationError

from eyebright_common.documents import Document, problems_of
from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError, PlanRefused
from eyebright_common.plan import Plan
from eyebright_common.privacy_cost import epsilon_at, most_releases, rho_of

FILE_NAME = "privacy.json"


class PrivacyBudget(Document):
    """What a hospital is willing to spend, ever.

    Attributes:
        epsilon: Most, over all plans.
        delta: Probability with which the promise may fail.
    """

    epsilon: float = Field(gt=0, allow_inf_nan=False)
    delta: float = Field(default=1e-5, gt=0, lt=1)


class SpentOnPlan(Document):
    """What one plan has cost.

    Attributes:
        rounds: Rounds the hospital has trained for.
        noise_multiplier: Of the plan; None where it had no privacy.
    """

    rounds: int = Field(ge=1)
    noise_multiplier: float | None = Field(default=None, gt=0)


class _Spent(Document):
    plans: dict[str, SpentOnPlan] = Field(default_factory=dict)


def spent(site: Path) -> dict[str, SpentOnPlan]:
    """Return what was spent, by plan.

    Raises:
        InputError: the file cannot be read; nothing is trained until it can.
    """
    path = site / FILE_NAME
    try:
        return _Spent.model_validate_json(path.read_bytes()).plans
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        said = problems_of(error, whole=FILE_NAME)[0] if isinstance(error, ValidationError) else error.strerror
        raise InputError(f"what was spent cannot be read: {said}", value=path, fix="Restore it.") from None


def keep_to_budget(budget: PrivacyBudget | None, plan: Plan, before: dict[str, SpentOnPlan]) -> None:
    """Return when ``plan`` as a whole stays within the budget.

    Raises:
        PlanRefused: it would not, or what it or an earlier plan costs cannot be counted.
    """
    if budget is None:
        return
    if plan.privacy is None:
        raise PlanRefused("the plan has no privacy, and this hospital has a budget", value=f"epsilon {budget.epsilon}")
    others = {digest: cost for digest, cost in before.items() if digest != plan.digest()}
    uncounted = sorted(digest for digest, cost in others.items() if cost.noise_multiplier is None)
    if uncounted:
        fix = "Take the budget out of the policy, or begin a new privacy.json knowingly."
        raise PlanRefused("a plan without privacy was trained for before", value=uncounted[0][:16], fix=fix)
    rho = rho_of(most_releases(plan), plan.privacy.noise_multiplier)
    rho += sum(rho_of(cost.rounds, cost.noise_multiplier) for cost in others.values() if cost.noise_multiplier)
    if (epsilon := epsilon_at(rho, budget.delta)) > budget.epsilon:
        raise PlanRefused(
            "the plan would exceed this hospital's privacy budget",
            value=f"epsilon {epsilon:.3g} over all plans, the policy allows {budget.epsilon:g}",
        )


def note_spent(site: Path, plan: Plan, round_number: int) -> None:
    """Write down that a round of a plan is trained for; the same round again changes nothing.

    Raises:
        InputError: what was spent before cannot be read.
    """
    with _alone(site):
        plans = spent(site)
        known = plans.get(plan.digest())
        if known is not None and known.rounds >= round_number:
            return
        noise = plan.privacy.noise_multiplier if plan.privacy else None
        plans[plan.digest()] = SpentOnPlan(rounds=round_number, noise_multiplier=noise)
        write_bytes(site / FILE_NAME, _Spent(plans=plans).to_json())


@contextmanager
def _alone(site: Path) -> Iterator[None]:
    with (site / f".{FILE_NAME}.lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
