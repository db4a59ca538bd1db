"""Eyes and patients made of pictures, and parts of a data set."""

from __future__ import annotations

import numpy as np
import pytest

from eyebright_common.errors import InputError
from eyebright_common.tasks import get_task
from eyebright_learning.evaluation import Cases, EyeRule, by_eye, by_patient, strata, worst_eye

FUNDUS = get_task("fundus")

# Patient a: right eye seen twice (0.2 and 0.8), left eye once (0.4). Patient b: one picture of an unknown eye, twice.
PATIENTS, EYES = ["a", "b", "a", "a", "b"], ["R", "U", "L", "R", "U"]
SCORES, LABELS = np.array([0.2, 0.3, 0.4, 0.8, 0.7]), np.array([0, 0, 2, 1, 0])


def pictures() -> Cases:
    p = np.stack([1 - SCORES, SCORES, 0 * SCORES, 0 * SCORES], axis=1)
    return Cases.of(p, LABELS, groups=PATIENTS, task=FUNDUS)


def test_the_worst_picture_speaks_for_an_eye() -> None:
    eyes = by_eye(pictures(), patients=PATIENTS, eyes=EYES, rule=EyeRule.WORST)
    assert eyes.cases.score.tolist() == [0.8, 0.3, 0.4, 0.7]


def test_an_eyes_pictures_can_be_averaged_but_unknown_eyes_are_not() -> None:
    eyes = by_eye(pictures(), patients=PATIENTS, eyes=EYES, rule=EyeRule.MEAN)
    assert eyes.cases.score == pytest.approx([0.5, 0.3, 0.4, 0.7])
    assert eyes.cases.probabilities.sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize(("rule", "scores"), [(EyeRule.WORST, [0.8, 0.7]), (EyeRule.MEAN, [0.5, 0.7])])
def test_a_patient_is_the_worse_eye_whichever_way_eyes_are_made(rule: EyeRule, scores: list[float]) -> None:
    patients = by_patient(pictures(), patients=PATIENTS, eyes=EYES, rule=rule)
    assert patients.cases.score == pytest.approx(scores)
    assert patients.cases.groups.tolist() == [0, 1]


def test_worst_pictures_give_the_scores_of_the_worst_eye() -> None:
    generator = np.random.default_rng(0)
    p = generator.dirichlet(np.ones(4), 200)
    patients = [f"{i:02d}" for i in generator.integers(0, 40, 200)]
    cases = Cases.of(p, generator.integers(0, 4, 200), groups=patients, task=FUNDUS)
    eyes = generator.choice(["R", "L", "U"], 200).tolist()
    found = by_patient(cases, patients=patients, eyes=eyes, rule=EyeRule.WORST).cases
    reference = worst_eye(cases.score, cases.positive, patients)
    order = np.argsort(list(dict.fromkeys(patients)))
    assert found.score[order] == pytest.approx(reference.scores)
    assert found.positive[order].tolist() == reference.positive.tolist()


def test_an_eye_with_one_sick_picture_is_sick_and_counted() -> None:
    eyes = by_eye(pictures(), patients=PATIENTS, eyes=EYES, rule=EyeRule.MEAN)
    assert eyes.cases.labels.tolist() == [1, 0, 2, 0]
    assert eyes.several_labels == 1


def test_of_two_diseases_the_more_frequent_is_a_patients_label() -> None:
    p = np.full((6, 4), 0.25)
    cases = Cases.of(p, [0, 0, 0, 3, 3, 1], groups=["a"] * 6, task=FUNDUS)
    patients = by_patient(cases, patients=["a"] * 6, eyes=["R", "L"] * 3, rule=EyeRule.WORST)
    assert (patients.cases.labels.tolist(), patients.several_labels) == ([3], 1)


def test_single_pictures_are_left_as_they_are() -> None:
    cases = Cases.of(np.eye(4), np.arange(4), groups=np.arange(4), task=FUNDUS)
    for rule in EyeRule:
        eyes = by_eye(cases, patients=["a", "b", "c", "d"], eyes=["R"] * 4, rule=rule).cases
        assert np.array_equal(eyes.probabilities, cases.probabilities)


def test_no_pictures_make_no_eyes() -> None:
    none = pictures().part(np.zeros(5, dtype=bool))
    for rule in EyeRule:
        assert len(by_patient(none, patients=[], eyes=[], rule=rule).cases) == 0


def test_a_missing_eye_column_is_refused() -> None:
    with pytest.raises(InputError, match="differ in number"):
        by_eye(pictures(), patients=PATIENTS, eyes=["R"], rule=EyeRule.MEAN)


def test_small_parts_are_named_but_not_measured() -> None:
    parts = strata({"camera": ["x"] * 5 + ["y"] * 2 + [""]}, np.array([0, 1, 2, 2, 2, 3, 4, 5]), min_groups=3)
    assert [(part.name, part.images, part.groups, part.measured) for part in parts] == [
        ("x", 5, 3, True),
        ("y", 2, 2, False),
        ("unknown", 1, 1, False),
    ]
    assert parts[1].where.tolist() == [False] * 5 + [True] * 2 + [False]


def test_a_fact_that_nobody_wrote_down_makes_no_parts() -> None:
    assert strata({"camera": ["", ""], "sex": ["F", "M"]}, np.array([0, 1]), min_groups=1)[0].by == "sex"
