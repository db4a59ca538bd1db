"""From scores to an answer: pictures, eyes, patients."""

import numpy as np
import pytest

from eyebright_common.release import (
    Eye,
    ImageDecision,
    Verdict,
    decide_eye,
    decide_image,
    decide_patient,
    probabilities,
    referable_scores,
)

HIGH = decide_image(0.9, threshold=0.5)
LOW = decide_image(0.1, threshold=0.5)
BLURRED = decide_image(0.9, threshold=0.5, gradable=False, reasons=("blur",))


def test_a_score_equal_to_the_threshold_refers() -> None:
    assert decide_image(0.5, threshold=0.5).verdict is Verdict.REFER


def test_a_rejected_picture_is_ungradable_whatever_its_score() -> None:
    assert ImageDecision(verdict=Verdict.UNGRADABLE, reasons=("blur",)) == BLURRED


@pytest.mark.parametrize("score", [None, float("nan"), float("inf")])
def test_a_picture_without_a_finite_score_is_ungradable(score: float | None) -> None:
    assert decide_image(score, threshold=0.5).verdict is Verdict.UNGRADABLE


def test_an_eye_takes_the_highest_score_of_its_gradable_pictures() -> None:
    eye = decide_eye(Eye.RIGHT, [LOW, BLURRED, HIGH])
    assert (eye.verdict, eye.score, eye.pictures, eye.gradable) == (Verdict.REFER, 0.9, 3, 2)


def test_an_eye_without_a_gradable_picture_says_why_once() -> None:
    eye = decide_eye(Eye.LEFT, [BLURRED, BLURRED])
    assert (eye.verdict, eye.score, eye.reasons) == (Verdict.UNGRADABLE, None, ("blur",))


def test_an_eye_that_was_not_photographed_is_missing_not_ungradable() -> None:
    assert decide_eye(Eye.LEFT, []).verdict is Verdict.MISSING


def test_one_referable_eye_refers_the_patient() -> None:
    visit = decide_patient({Eye.RIGHT: [LOW], Eye.LEFT: [HIGH]})
    assert (visit.verdict, visit.reasons) == (Verdict.REFER, ("referable_finding:L",))


def test_two_clear_negative_eyes_mean_no_referral() -> None:
    visit = decide_patient({Eye.RIGHT: [LOW], Eye.LEFT: [LOW]})
    assert (visit.verdict, visit.reasons) == (Verdict.NO_REFERRAL, ())


def test_one_ungradable_eye_beside_a_negative_one_is_not_a_negative() -> None:
    visit = decide_patient({Eye.RIGHT: [LOW], Eye.LEFT: [BLURRED]})
    assert (visit.verdict, visit.reasons) == (Verdict.UNGRADABLE, ("ungradable:L",))


def test_one_missing_eye_beside_a_negative_one_is_not_a_negative() -> None:
    visit = decide_patient({Eye.RIGHT: [LOW]})
    assert (visit.verdict, visit.reasons) == (Verdict.UNGRADABLE, ("missing:L",))


def test_a_referable_eye_refers_even_when_the_other_is_missing() -> None:
    visit = decide_patient({Eye.RIGHT: [HIGH]})
    assert (visit.verdict, visit.reasons) == (Verdict.REFER, ("referable_finding:R", "missing:L"))


def test_an_eye_still_ungradable_after_three_pictures_sends_the_patient_on() -> None:
    visit = decide_patient({Eye.RIGHT: [BLURRED] * 3, Eye.LEFT: [LOW]}, retakes=3)
    assert visit.verdict is Verdict.REFER
    assert visit.reasons[0] == "ungradable_after_retakes:R"


def test_two_ungradable_pictures_leave_a_third_attempt() -> None:
    visit = decide_patient({Eye.RIGHT: [BLURRED] * 2, Eye.LEFT: [LOW]}, retakes=3)
    assert visit.verdict is Verdict.UNGRADABLE


def test_a_collection_of_unknown_laterality_is_judged_by_the_pictures_it_has() -> None:
    assert decide_patient({Eye.UNKNOWN: [LOW]}, expected=()).verdict is Verdict.NO_REFERRAL


def test_a_visit_without_eyes_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="expected eye or a picture"):
        decide_patient({}, expected=())


def test_probabilities_divide_the_logits_by_the_temperature() -> None:
    # e^(2/2) : e^0 = e : 1
    found = probabilities(np.array([[2.0, 0.0]]), 2.0)
    np.testing.assert_allclose(found, [[np.e / (np.e + 1), 1 / (np.e + 1)]])


def test_the_score_is_the_summed_probability_of_the_referable_classes() -> None:
    # Equal logits: a quarter each, two of four referable.
    score = referable_scores(np.zeros((1, 4)), temperature=1.0, referable=(False, True, True, False))
    assert score.tolist() == [0.5]


def test_huge_logits_stay_finite() -> None:
    score = referable_scores(np.array([[-1e30, 1e30]]), temperature=0.01, referable=(False, True))
    assert score.tolist() == [1.0]
