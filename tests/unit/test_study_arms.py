"""The arms of an ablation: what each is made of, and what is refused."""

from __future__ import annotations

import pytest

from eyebright_common.errors import InputError
from eyebright_learning.distillation import Recipe
from eyebright_simulations.study.arms import (
    ARMS,
    WEIGHTS,
    chosen_arms,
    needs_features,
    parse_weights,
    recipe_of,
    skipped_arms,
)


def built(arm: str) -> Recipe:
    return Recipe(**recipe_of(arm, temperature=4.0, weights=WEIGHTS))


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_has_exactly_the_terms_it_names(arm: str) -> None:
    recipe = built(arm)
    terms = set(recipe.terms) | ({"multi_view"} if recipe.multi_view else set())
    assert terms == set(ARMS[arm])


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_needs_features_exactly_when_its_recipe_does(arm: str) -> None:
    assert needs_features(arm) == built(arm).needs_features


def test_the_control_is_the_supervised_recipe() -> None:
    assert built("ce") == Recipe.supervised()


def test_the_control_comes_first_and_every_arm_once() -> None:
    assert chosen_arms("dist, kd,dist") == ("ce", "dist", "kd")


@pytest.mark.parametrize("text", ["", " , ", "kd,telepathy"])
def test_unknown_or_missing_arms_are_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(InputError, match="ce, kd, dist, dkd, pca, gl, multi_view, adversarial, all"):
        chosen_arms(text)


def test_a_teacher_without_features_costs_exactly_the_arms_that_need_them() -> None:
    skipped = skipped_arms(tuple(ARMS), teacher="convnextv2_atto", has_features=False)
    assert set(skipped) == {"pca", "gl", "adversarial", "all"}
    assert all("convnextv2_atto" in reason for reason in skipped.values())
    assert skipped_arms(tuple(ARMS), teacher="vit", has_features=True) == {}


def test_given_weights_replace_the_usual_ones_where_the_arm_has_the_term() -> None:
    weights = parse_weights("ce=1, kd=0.2")
    assert recipe_of("kd", temperature=2.0, weights=weights) == {"ce": 1.0, "kd": 0.2, "dist": 0.0, "temperature": 2.0}
    assert recipe_of("ce", temperature=2.0, weights=weights)["kd"] == 0.0


@pytest.mark.parametrize("text", ["kd", "kd=", "kd=0", "kd=-1", "kd=nan", "kd=much"])
def test_a_weight_that_is_no_positive_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="TERM=NUMBER"):
        parse_weights(text)
