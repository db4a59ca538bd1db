"""Every statistic against scikit-learn or arithmetic, and every interval against resampling picture by picture."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from eyebright_common.errors import InputError
from eyebright_common.tasks import get_task
from eyebright_learning.evaluation import (
    Cases,
    Criteria,
    estimates,
    metrics,
    paired_difference,
    paired_ratio,
    quadratic_kappa,
    softmax,
)
from eyebright_learning.evaluation.estimates import group_draws
from eyebright_learning.evaluation.statistics import measure_of

FUNDUS = get_task("fundus")
CRITERIA = Criteria(threshold=0.6, graded=True)


def random_cases(count: int = 300, *, seed: int = 0, skill: float = 1.0, per_group: int = 2) -> Cases:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, count)
    logits = generator.normal(0, 1, (count, 4)).round(1)  # rounded, so that scores are tied
    logits[np.arange(count), labels] += skill
    return Cases.of(softmax(logits), labels, groups=np.arange(count) // per_group, task=FUNDUS)


def figures(cases: Cases, criteria: Criteria = CRITERIA) -> dict[str, float | None]:
    return {name: found.value for name, found in estimates({"all": cases}, criteria, replicates=0)["all"].items()}


def two_class(score: list[float], ill: list[int]) -> Cases:
    """Cases whose referable score is given: the rest of the probability is for normal."""
    p = np.zeros((len(score), 4))
    p[:, 0], p[:, 1] = 1 - np.asarray(score), score
    return Cases.of(p, ill, groups=np.arange(len(ill)), task=FUNDUS)


def test_figures_agree_with_scikit_learn() -> None:
    cases = random_cases()
    found, y, p = figures(cases), cases.labels, cases.probabilities
    answer, ill = p.argmax(1), y > 0
    assert found["accuracy"] == pytest.approx(accuracy_score(y, answer))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, answer))
    assert found["macro_f1"] == pytest.approx(f1_score(y, answer, average="macro"))
    assert found["quadratic_kappa"] == pytest.approx(cohen_kappa_score(y, answer, weights="quadratic"))
    assert found["referable.auroc"] == pytest.approx(roc_auc_score(ill, cases.score))
    recall, precision = recall_score(y, answer, average=None), precision_score(y, answer, average=None)
    for c, name in enumerate(FUNDUS.classes):
        assert found[f"recall.{name}"] == pytest.approx(recall[c])
        assert found[f"precision.{name}"] == pytest.approx(precision[c])
        assert found[f"auroc.{name}"] == pytest.approx(roc_auc_score(y == c, p[:, c]))


def test_figures_agree_with_the_dictionary_that_rounds_and_gates_use() -> None:
    cases = random_cases()
    found, usual = figures(cases), metrics(cases.probabilities, cases.labels, task=FUNDUS, threshold=0.6)
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc", "ece"):
        assert found[name] == pytest.approx(usual[name])
    for name in ("auroc", "sensitivity", "specificity"):
        assert found[f"referable.{name}"] == pytest.approx(usual["referable"][name])


def test_a_resample_is_what_one_gets_from_copying_pictures() -> None:
    cases = random_cases(120)
    counts = next(group_draws(60, replicates=5, seed=3, at_once=5))
    weighed = measure_of(cases, CRITERIA)(counts)
    for row in range(5):
        copied = cases.part(np.repeat(np.arange(120), counts[row].astype(int)[cases.groups]))
        naive = measure_of(copied, CRITERIA)(np.ones((1, 60)))
        for name, values in weighed.items():
            assert values[row] == pytest.approx(naive[name][0], nan_ok=True), name


def test_every_resample_draws_as_many_groups_as_there_are() -> None:
    parts = list(group_draws(7, replicates=25, seed=0, at_once=10))
    assert [len(part) for part in parts] == [10, 10, 5]
    assert (np.concatenate(parts).sum(axis=1) == 7).all()


def test_sensitivity_at_a_specificity_is_the_best_over_all_thresholds() -> None:
    cases = random_cases(200)
    score, ill = cases.score, cases.positive
    thresholds = np.append(np.unique(score), np.inf)
    allowed = [t for t in thresholds if (score[~ill] < t).mean() >= 0.9]
    best = max((score[ill] >= t).mean() for t in allowed)
    assert figures(cases)["referable.sensitivity_at_specificity"] == pytest.approx(best)


def test_sensitivity_at_ninety_per_cent_specificity_by_hand() -> None:
    # Ten healthy scores 0.0 … 0.9: nine of ten lie at or below 0.8, so what is above 0.8 is found.
    cases = two_class([i / 10 for i in range(10)] + [0.1, 0.8, 0.85, 0.95], [0] * 10 + [1] * 4)
    assert figures(cases)["referable.sensitivity_at_specificity"] == 2 / 4


def test_predictive_values_follow_bayes() -> None:
    # Se 3/4, Sp 1/2: at 10 % prevalence PPV = .075 / (.075 + .45), NPV = .45 / (.45 + .025).
    cases = two_class([0.9, 0.9, 0.9, 0.1, 0.9, 0.1], [1, 1, 1, 1, 0, 0])
    found = figures(cases, Criteria(threshold=0.5, prevalences=(0.1, 2 / 3)))
    assert found["referable.ppv@0.1"] == pytest.approx(0.075 / 0.525)
    assert found["referable.npv@0.1"] == pytest.approx(0.45 / 0.475)
    # At the study's own prevalence they are the counted ones.
    assert found[f"referable.ppv@{2 / 3:g}"] == pytest.approx(3 / 4)
    assert found[f"referable.npv@{2 / 3:g}"] == pytest.approx(1 / 2)


def test_a_predictive_value_of_nobody_is_not_defined() -> None:
    found = figures(two_class([0.1, 0.2], [1, 0]), Criteria(threshold=0.5, prevalences=(0.1,)))
    assert (found["referable.ppv@0.1"], found["referable.npv@0.1"]) == (None, pytest.approx(0.9))


def test_kappa_is_one_for_agreement_and_zero_for_chance() -> None:
    assert quadratic_kappa(np.diag([3.0, 4.0, 5.0])[None])[0] == 1.0
    assert quadratic_kappa(np.full((1, 3, 3), 2.0))[0] == pytest.approx(0.0)


def test_a_far_mistake_costs_kappa_four_times_a_near_one() -> None:
    near, far = np.diag([10.0, 10.0, 10.0]), np.diag([10.0, 10.0, 10.0])
    near[0, 1], near[1, 0], far[0, 2], far[2, 0] = 1.0, 1.0, 1.0, 1.0
    # Expected disagreement from the margins: (11, 11, 10) and (11, 10, 11).
    assert 1 - quadratic_kappa(near[None])[0] == pytest.approx(2 * 32 / (2 * (121 + 4 * 110 + 110)))
    assert 1 - quadratic_kappa(far[None])[0] == pytest.approx(2 * 4 * 32 / (2 * (110 + 4 * 121 + 110)))


def test_kappa_is_only_for_grades() -> None:
    assert "quadratic_kappa" not in figures(random_cases(), Criteria(threshold=0.5))


def test_without_a_threshold_rates_are_not_stated() -> None:
    assert "referable.sensitivity" not in figures(random_cases(), Criteria())


def test_what_is_not_defined_is_none_and_raises_no_warning() -> None:
    found = figures(two_class([0.9, 0.8], [1, 1]))
    assert (found["referable.auroc"], found["recall.normal"], found["referable.specificity"]) == (None, None, None)
    assert found["referable.sensitivity_at_specificity"] is None
    assert found["balanced_accuracy"] == 1.0
    assert set(figures(random_cases(0)).values()) == {None}


def test_one_group_has_figures_but_no_interval() -> None:
    one = Cases.of(random_cases(6).probabilities, random_cases(6).labels, groups=[0] * 6, task=FUNDUS)
    found = estimates({"all": one}, CRITERIA, replicates=50)["all"]["accuracy"]
    assert found.value is not None
    assert found.interval is None
    assert found.to_dict() == {"value": found.value, "lower": None, "upper": None}


def test_a_part_of_the_whole_is_measured_by_the_same_draws() -> None:
    cases = random_cases()
    first_half = cases.part(np.arange(150))
    both = estimates({"all": cases, "half": first_half}, CRITERIA, replicates=100)
    again = estimates({"half": cases.part(cases.groups < 75), "all": cases}, CRITERIA, replicates=100)
    assert both == again
    assert both["half"]["accuracy"] != both["all"]["accuracy"]


def test_the_interval_of_a_share_has_the_width_that_theory_gives() -> None:
    generator = np.random.default_rng(1)
    right = generator.random(800) < 0.8
    cases = two_class(np.where(right, 0.1, 0.9).tolist(), [0] * 800)
    interval = estimates({"all": cases}, Criteria())["all"]["accuracy"].interval
    assert interval is not None
    share = right.mean()
    assert interval.upper - interval.lower == pytest.approx(2 * 1.96 * (share * (1 - share) / 800) ** 0.5, rel=0.1)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    # Pictures of a patient are right or wrong together; the true accuracy is 0.7.
    generator, held = np.random.default_rng(5), 0
    for _ in range(100):
        right = np.repeat(generator.random(80) < 0.7, 3)
        p = np.zeros((240, 4))
        p[np.arange(240), np.where(right, 0, 1)] = 1.0
        cases = Cases.of(p, np.zeros(240, dtype=int), groups=np.arange(240) // 3, task=FUNDUS)
        interval = estimates({"all": cases}, Criteria(), replicates=200)["all"]["accuracy"].interval
        assert interval is not None
        held += interval.lower <= 0.7 <= interval.upper
    assert 88 <= held <= 100


def test_a_model_does_not_differ_from_itself() -> None:
    cases = random_cases()
    found = paired_difference("macro_auroc", cases, cases, CRITERIA, replicates=50)
    assert (found.value, found.interval.lower, found.interval.upper) == (0.0, 0.0, 0.0)
    assert not found.excludes_zero
    assert paired_ratio("macro_auroc", cases, cases, CRITERIA, replicates=50).value == 1.0


def test_a_difference_changes_sign_with_the_order() -> None:
    good, poor = random_cases(skill=1.5), random_cases(skill=0.2)
    forth = paired_difference("balanced_accuracy", good, poor, CRITERIA, replicates=100)
    back = paired_difference("balanced_accuracy", poor, good, CRITERIA, replicates=100)
    assert forth.excludes_zero
    assert forth.value == pytest.approx(-back.value)
    assert (forth.interval.lower, forth.interval.upper) == pytest.approx((-back.interval.upper, -back.interval.lower))


def test_pairing_removes_what_both_models_share() -> None:
    cases = random_cases(400)
    p = cases.probabilities.copy()
    p[:20] = np.eye(4)[cases.labels[:20]]  # the same model, but twenty answers are given away
    better = Cases.of(p, cases.labels, groups=cases.groups, task=FUNDUS)
    paired = paired_difference("accuracy", better, cases, CRITERIA).interval
    alone = estimates({"all": cases}, CRITERIA)["all"]["accuracy"].interval
    assert paired is not None
    assert alone is not None
    assert paired.upper - paired.lower < 0.6 * (alone.upper - alone.lower)
    assert paired.lower > 0


def test_models_on_other_cases_are_not_compared() -> None:
    with pytest.raises(InputError, match="the same cases"):
        paired_difference("accuracy", random_cases(seed=0), random_cases(seed=1), CRITERIA)


def test_an_unknown_statistic_is_named_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no such statistic: beauty.*balanced_accuracy"):
        paired_difference("beauty", random_cases(), random_cases(), CRITERIA, replicates=0)


@pytest.mark.parametrize("wrong", [{"prevalences": (5.0,)}, {"min_specificity": 90.0}])
def test_shares_written_as_percentages_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        Criteria(**wrong)


def test_cases_whose_parts_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="differ in number"):
        Cases.of(np.eye(4), [0, 1, 2], groups=[0, 1, 2, 3], task=FUNDUS)
    with pytest.raises(InputError, match="no class"):
        Cases.of(np.eye(4), [0, 1, 2, 4], groups=[0, 1, 2, 3], task=FUNDUS)
