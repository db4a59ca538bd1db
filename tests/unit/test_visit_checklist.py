"""What each answer before a visit means."""

import pytest

from eyebright_common.errors import InputError
from eyebright_edge.screening.checklist import checked_answers, scope_of
from visit_desk import IN_SCOPE


def test_an_adult_with_diabetes_and_nothing_else_is_screened_without_a_flag() -> None:
    scope = scope_of(checked_answers(IN_SCOPE))
    assert (scope.stopped, scope.advice, scope.flags) == ("", "", ())


@pytest.mark.parametrize(
    ("answer", "stopped"),
    [
        ({"consent": "no"}, "stop.consent"),
        ({"age": "21"}, "stop.age"),
        ({"symptoms": "yes"}, "stop.symptoms"),
        ({"treatment": "yes"}, "stop.treatment"),
        ({"consent": "no", "symptoms": "yes"}, "stop.consent"),
    ],
)
def test_an_answer_out_of_scope_stops_the_visit_and_says_what_to_do_instead(
    answer: dict[str, str], stopped: str
) -> None:
    scope = scope_of(checked_answers({**IN_SCOPE, **answer}))
    assert (scope.stopped, scope.advice) == (stopped, "advice." + stopped.replace(".", "_"))


@pytest.mark.parametrize("word", ["no", "unknown"])
def test_without_known_diabetes_the_answer_is_given_with_a_flag(word: str) -> None:
    scope = scope_of(checked_answers({**IN_SCOPE, "diabetes": word}))
    assert (scope.stopped, scope.flags) == ("", (f"flag.diabetes_{word}",))


def test_at_the_lowest_age_a_patient_is_screened() -> None:
    assert scope_of(checked_answers({**IN_SCOPE, "age": " 022 "})).stopped == ""


@pytest.mark.parametrize("age", ["", "0", "121", "-3", "4.5", "٥٤", "abc", "1e2"])
def test_an_age_that_is_no_whole_number_of_years_is_named(age: str) -> None:
    with pytest.raises(InputError, match="age"):
        checked_answers({**IN_SCOPE, "age": age})


@pytest.mark.parametrize("question", ["consent", "symptoms", "treatment", "diabetes"])
@pytest.mark.parametrize("word", ["", "maybe"])
def test_a_question_left_open_is_named(question: str, word: str) -> None:
    with pytest.raises(InputError, match=question):
        checked_answers({**IN_SCOPE, question: word})
