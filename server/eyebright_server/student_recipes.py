"""The two published recipes, as far as the student is concerned: of studies, of plans for hospitals and of rehearsals.

| | fundus-vit | oct-convnext (KD-OCT, arXiv 2512.09069) |
|---|---|---|
| student | MobileNetV2 | EfficientNet-B2 |
| views | mild | RandAugment's, for students |
| weight decay | 0.02 | 0.01 |
| with a teacher: labels, softened teacher, DIST | 0.3, 0.7, 1.0 | 0.3, 0.7, none |
| the same, from given weights | 1.0, 0.3, 0.3 | 1.0, 0.3, none |
| warm-up, floor of the rate | a tenth of the passes, 1 % | a twentieth, 0.1 % |

* The teacher's half is the server's own recipe of that name (``eyebright_server.teacher.recipes``).
* A student that starts from given weights gets a gentler rate, and one that knows the task already a gentler one still.
* This module knows no torch: names are checked before anything heavy is loaded.
* A plan has no floor of the rate: in rounds it is the trainer's own.
* Not taken over from KD-OCT: stopping by the validation loss (the same pictures fit the temperature), the best
  checkpoint in place of the average, mixup and label smoothing that focal loss silently turned off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from eyebright_common.errors import InputError
from eyebright_common.plan import PlanRecipe, ViewFamily

Half = TypeVar("Half")
# More views than this cost more teacher time than they bring.
MOST_VIEWS = 8
_LONG_ENOUGH = 30
# A plan's own mixture, unless it says otherwise.
_USUAL = PlanRecipe()


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentRecipe:
    """What a recipe fixes.

    Attributes:
        name: As written on the command line.
        student: Its student.
        temperature: T of the distillation terms.
        weight_decay: Of students.
        warmup: Part of the schedule over which the rate rises.
        final_rate: Rate at the end, as a part of the peak.
        view_family: The family of the views that students see and the teacher's targets are of.
        relational: Whether the correlation terms (DIST) are among its losses.
        rate: Peak rate from random weights.
        rate_from_weights: Peak rate from given weights.
        rate_from_student: Peak rate in rounds that begin with a student of the task (ADR 0029).
    """

    name: str
    student: str
    temperature: float = 4.0
    weight_decay: float = 0.02
    warmup: float = 0.1
    final_rate: float = 0.01
    view_family: ViewFamily = "views-1"
    relational: bool = True
    rate: float = 1e-3
    rate_from_weights: float = 5e-4
    rate_from_student: float = 1e-4

    def views(self, passes: int) -> ViewFamily:
        """Return the family of views for so many passes: a short training has no room for strong ones.

        Rehearsed on drawn scans with labels alone, eighteen passes, MobileNetV2, one seed: best balanced accuracy on
        validation 39 % under strong views, 43 % under mild ones.

        Args:
            passes: Over all rounds.
        """
        return self.view_family if passes >= _LONG_ENOUGH else "views-1"

    def rate_in_rounds(self, *, from_weights: bool, from_student: bool) -> float:
        """Return the peak rate of rounds.

        Args:
            from_weights: Whether they begin with given weights.
            from_student: Whether they begin with a student of the task.
        """
        if from_student:
            return self.rate_from_student
        return self.rate_from_weights if from_weights else self.rate

    def losses(self, *, from_weights: bool) -> dict[str, float]:
        """Return the weights of the terms with a teacher, and the softening, as a plan's ``recipe`` has them.

        A student that starts from given weights is led by its labels: its teacher knows little more than it does, and
        on real photographs heavier logit terms cost it two points (docs/results/fundus-ablation-96px).

        Args:
            from_weights: Whether the student starts from given weights.
        """
        ce, kd, dist = (1.0, 0.3, 0.3) if from_weights else (_USUAL.ce, _USUAL.kd, _USUAL.dist)
        return {"ce": ce, "kd": kd, "dist": dist if self.relational else 0.0, "temperature": self.temperature}


RECIPES: dict[str, StudentRecipe] = {
    recipe.name: recipe
    for recipe in (
        StudentRecipe(name="fundus-vit", student="mobilenet_v2"),
        StudentRecipe(
            name="oct-convnext",
            student="efficientnet_b2",
            weight_decay=0.01,
            warmup=5 / 100,
            final_rate=1e-3,
            view_family="rand-augment-2-7-1",
            relational=False,
        ),
    )
}


def get_recipe(name: str | None, *, modality: str = "CFP") -> StudentRecipe:
    """Return the recipe called ``name``; without a name, the one for this kind of pictures.

    Raises:
        InputError: no recipe has that name.
    """
    return chosen(RECIPES, name, modality=modality)


def chosen(recipes: Mapping[str, Half], name: str | None, *, modality: str) -> Half:
    """Return the half of a recipe called ``name``; without a name, that for this kind of pictures.

    Raises:
        InputError: no recipe has that name.
    """
    wanted = name or ("oct-convnext" if modality == "OCT" else "fundus-vit")
    if wanted not in recipes:
        raise InputError("unknown recipe", value=wanted, fix=f"Choose one of: {', '.join(recipes)}.")
    return recipes[wanted]
