"""Approval by rule: which plans a hospital agrees to without reading each.

* A plan that keeps every bound of one rule is approved, as if a person had written down its digest. A bound that is
  left out does not bind; a rule that binds nothing is refused, because it would approve whatever comes.
* The hospital's other rules (hours, epochs, rows, budget, signature) hold for these plans like for any other.
* A plan that needs a teacher the hospital does not have is approved and then cannot be followed: fetching is a person's
  act, by ``eyebright client approve``.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from eyebright_common.documents import Document
from eyebright_common.plan import Plan
from eyebright_common.tasks import TASKS


class PlanRule(Document):
    """Bounds on a plan.

    Attributes:
        tasks: Tasks that may be asked.
        students: Architectures that may be asked.
        max_rounds: Most rounds.
        max_local_epochs: Most epochs in a round.
        max_image_size: Largest side of a picture, pixels.
        teacher: Whether a plan must have a teacher, or must have none.
        min_noise_multiplier: Least noise; a plan without privacy has none.
        max_epsilon: Most a plan may spend.
    """

    tasks: tuple[str, ...] = ()
    students: tuple[str, ...] = ()
    max_rounds: int | None = Field(default=None, ge=1)
    max_local_epochs: int | None = Field(default=None, ge=1)
    max_image_size: int | None = Field(default=None, ge=32)
    teacher: Literal["any", "required", "none"] = "any"
    min_noise_multiplier: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    max_epsilon: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @field_validator("tasks")
    @classmethod
    def _known_tasks(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in TASKS:
                raise ValueError(f"unknown task {name}; choose one of {', '.join(TASKS)}")
        return names

    @model_validator(mode="after")
    def _binds_something(self) -> Self:
        if not self.model_dump(exclude_defaults=True):
            raise ValueError("a rule without a bound would approve every plan")
        return self

    def broken_by(self, plan: Plan) -> str | None:
        """Return the first bound that ``plan`` does not keep, in words, or None."""
        noise = plan.privacy.noise_multiplier if plan.privacy else 0.0
        epsilon = plan.privacy.max_epsilon if plan.privacy else float("inf")
        kept: dict[str, bool] = {
            f"task {plan.task}": not self.tasks or plan.task in self.tasks,
            f"student {plan.student}": not self.students or plan.student in self.students,
            f"{plan.rounds} rounds": self.max_rounds is None or plan.rounds <= self.max_rounds,
            f"{plan.local_epochs} epochs in a round": self.max_local_epochs is None
            or plan.local_epochs <= self.max_local_epochs,
            f"pictures of {plan.image_size} px": self.max_image_size is None or plan.image_size <= self.max_image_size,
            "a teacher": self.teacher != "none" or plan.teacher_sha256 is None,
            "no teacher": self.teacher != "required" or plan.teacher_sha256 is not None,
            f"noise multiplier {noise:g}": self.min_noise_multiplier is None or noise >= self.min_noise_multiplier,
            f"epsilon {epsilon:g}": self.max_epsilon is None or epsilon <= self.max_epsilon,
        }
        return next((what for what, holds in kept.items() if not holds), None)
