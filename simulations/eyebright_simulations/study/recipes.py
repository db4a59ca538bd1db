"""The published recipes a study can follow: what they fix before any arm differs.

Plain numbers, so that a table can print them. A student or a teacher that starts from given weights gets a gentler
rate.
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
        rate: Peak rate from random weights.
        rate_from_weights: Peak rate from given weights.
    """

    name: str
    student: str
    temperature: float = 4.0
    weight_decay: float = 0.02
    rate: float = 1e-3
    rate_from_weights: float = 5e-4


RECIPES: dict[str, StudyRecipe] = {
    recipe.name: recipe
    for recipe in (
        StudyRecipe(name="fundus-vit", student="mobilenet_v2"),
        StudyRecipe(name="oct-convnext", student="efficientnet_b2"),
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
