"""The published recipes a study can follow: what they fix about the student before any arm differs.

| | fundus-vit | oct-convnext (KD-OCT, arXiv 2512.09069) |
|---|---|---|
| student | MobileNetV2 | EfficientNet-B2 |
| views | mild | RandAugment's, for students |
| weight decay | 0.02 | 0.01 |
| warm-up, floor of the rate | a tenth of the passes, 1 % | a twentieth, 0.1 % |

* The teacher's half is the server's own recipe of that name (``eyebright_server.teacher.recipes``).
* A student that starts from given weights gets a gentler rate.
* Not taken over from KD-OCT: stopping by the validation loss (the same pictures fit the temperature), the best
  checkpoint in place of the average, mixup and label smoothing that focal loss silently turned off.
"""

from __future__ import annotations

from dataclasses import dataclass

from eyebright_common.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRecipe:
    """What a recipe fixes.

    Attributes:
        name: As written on the command line.
        student: Its student.
        temperature: T of the distillation terms.
        weight_decay: Of students.
        warmup: Part of the schedule over which the rate rises.
        final_rate: Rate at the end, as a part of the peak.
        strong_views: Whether students see RandAugment's views instead of the mild ones.
        rate: Peak rate from random weights.
        rate_from_weights: Peak rate from given weights.
    """

    name: str
    student: str
    temperature: float = 4.0
    weight_decay: float = 0.02
    warmup: float = 0.1
    final_rate: float = 0.01
    strong_views: bool = False
    rate: float = 1e-3
    rate_from_weights: float = 5e-4


RECIPES: dict[str, StudyRecipe] = {
    recipe.name: recipe
    for recipe in (
        StudyRecipe(name="fundus-vit", student="mobilenet_v2"),
        StudyRecipe(
            name="oct-convnext",
            student="efficientnet_b2",
            weight_decay=0.01,
            warmup=5 / 100,
            final_rate=1e-3,
            strong_views=True,
        ),
    )
}


def get_recipe(name: str) -> StudyRecipe:
    """Return the recipe called ``name``.

    Raises:
        InputError: no recipe has that name.
    """
    if name not in RECIPES:
        raise InputError("unknown recipe", value=name, fix=f"Choose one of: {', '.join(RECIPES)}.")
    return RECIPES[name]
