"""A recipe says which losses and how strongly, and refuses what cannot mean anything."""

from __future__ import annotations

from dataclasses import fields

import pytest

from eyebright_common.errors import InputError
from eyebright_common.plan import PlanRecipe
from eyebright_learning.distillation import Recipe


@pytest.mark.parametrize(
    ("knobs", "named"),
    [
        ({"ce": -0.1}, "ce must"),
        ({"kd": float("nan")}, "kd must"),
        ({"dist": float("inf")}, "dist must"),
        ({"dkd": -1.0}, "dkd must"),
        ({"dkd_beta": float("nan")}, "dkd_beta must"),
        ({"pca": -0.05}, "pca must"),
        ({"gl": float("inf")}, "gl must"),
        ({"focal": -2.0}, "focal must"),
        ({"temperature": 0.0}, "temperature"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"multi_view": 1.1}, "multi_view is a probability"),
        ({"multi_view": float("nan")}, "multi_view is a probability"),
        ({"ce": 0.0, "kd": 0.0, "dist": 0.0}, "ce, kd, dist and dkd are all 0"),
        ({"ce": 0.0, "kd": 0.0, "dist": 0.0, "gl": 0.05}, "nothing else teaches the head"),
        ({"ce": 0.0, "label_smoothing": 0.1}, "label_smoothing without ce"),
        ({"ce": 0.0, "focal": 2.0}, "focal without ce"),
        ({"focal": 2.0, "label_smoothing": 0.1}, "label_smoothing has no meaning with focal"),
        ({"dkd": 1.0, "dkd_alpha": 0.0, "dkd_beta": 0.0}, "dkd_alpha and dkd_beta both 0"),
        ({"adversarial": 0.05}, "adversarial without gl"),
    ],
)
def test_a_senseless_recipe_is_refused_by_the_knobs_name(knobs: dict[str, float], named: str) -> None:
    with pytest.raises(InputError, match=named):
        Recipe(**knobs)


@pytest.mark.parametrize(
    ("recipe", "named"),
    [
        (Recipe(), "kd and dist"),
        (Recipe(dist=0.0), "kd"),
        (Recipe(kd=0.0), "dist"),
        (Recipe(kd=0.0, dist=0.0, dkd=1.0), "dkd"),
        (Recipe(kd=0.0, dist=0.0, gl=0.05), "gl"),
    ],
)
def test_distillation_without_a_teacher_names_the_knob(recipe: Recipe, named: str) -> None:
    with pytest.raises(InputError, match=f"recipe: {named} without teacher targets"):
        recipe.check(has_teacher=False)


def test_terms_on_features_without_features_are_named() -> None:
    recipe = Recipe(pca=0.05, gl=0.05, adversarial=0.01)
    with pytest.raises(InputError, match="pca and gl and adversarial without teacher features"):
        recipe.check(has_teacher=True, has_features=False)
    recipe.check(has_teacher=True, has_features=True)


def test_labels_alone_need_neither_teacher_nor_features() -> None:
    recipe = Recipe.supervised(focal=2.0)
    assert (recipe.needs_labels, recipe.needs_teacher, recipe.needs_features) == (True, False, False)
    recipe.check(has_teacher=False, has_features=False)


@pytest.mark.parametrize(("knob", "needed"), [("kd", False), ("dist", False), ("dkd", True)])
def test_only_decoupled_distillation_needs_labels_from_the_terms_on_the_teacher(knob: str, needed: bool) -> None:
    recipe = Recipe(**{"ce": 0.0, "kd": 0.0, "dist": 0.0, knob: 1.0})
    assert (recipe.needs_labels, recipe.needs_teacher, recipe.needs_features) == (needed, True, False)


def test_terms_are_named_as_they_are_logged() -> None:
    assert Recipe().terms == {"ce": 0.3, "kd": 0.7, "dist": 1.0}
    assert Recipe(kd=0.0, dist=0.0, focal=2.0, gl=0.05).terms == {"focal": 0.3, "gl": 0.05}


def test_a_plan_and_a_recipe_have_the_same_knobs_with_the_same_defaults() -> None:
    assert PlanRecipe().model_dump() == {field.name: field.default for field in fields(Recipe)}
