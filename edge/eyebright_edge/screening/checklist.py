"""What is asked before a picture is taken, and what each answer means.

======== ======================================= ==================================================================
question answers                                 out of scope
======== ======================================= ==================================================================
consent  yes, no                                 *no* stops: no picture without it
age      whole years                             under 22 stops: nothing was measured on younger people
symptoms yes, no                                 *yes* stops: somebody with symptoms needs an examination, today
treatment yes, no                                *yes* stops: a treated eye looks different and belongs to its clinic
diabetes yes, no, unknown                        *no* and *unknown* flag: the answer is given, and the flag beside it
======== ======================================= ==================================================================

A stop ends the visit with what to do instead; it is never a negative. The first stop in the order above is the one
that is said. The limits are those of the cleared products (DEN180001, K200667), none of which Eyebright is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eyebright_common.errors import InputError

MINIMUM_AGE = 22
MAXIMUM_AGE = 120
ANSWERS: Mapping[str, tuple[str, ...]] = {
    "consent": ("yes", "no"),
    "symptoms": ("yes", "no"),
    "treatment": ("yes", "no"),
    "diabetes": ("yes", "no", "unknown"),
}
QUESTIONS = ("consent", "age", "symptoms", "treatment", "diabetes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whether a patient can be screened here.

    Attributes:
        stopped: Catalogue key of the answer that ends the visit; empty when it goes on.
        advice: Catalogue key of what to do instead; empty when it goes on.
        flags: Catalogue keys of what must stand beside the answer.
    """

    stopped: str = ""
    advice: str = ""
    flags: tuple[str, ...] = ()


def checked_answers(given: Mapping[str, str]) -> dict[str, str]:
    """Return the answers in the order they are asked, each one of the allowed words.

    Raises:
        InputError: an answer is missing or is none of them; ``value`` is the question.
    """
    answers = {}
    for question in QUESTIONS:
        word = given.get(question, "").strip()
        allowed = _age(word) if question == "age" else word in ANSWERS[question]
        if not allowed:
            raise InputError("a question has no usable answer", value=question, fix="Answer every question.")
        answers[question] = str(int(word)) if question == "age" else word
    return answers


def scope_of(answers: Mapping[str, str]) -> Scope:
    """Return what checked answers mean for the visit."""
    stops = (
        ("consent", answers["consent"] == "no"),
        ("age", int(answers["age"]) < MINIMUM_AGE),
        ("symptoms", answers["symptoms"] == "yes"),
        ("treatment", answers["treatment"] == "yes"),
    )
    for question, out_of_scope in stops:
        if out_of_scope:
            return Scope(stopped=f"stop.{question}", advice=f"advice.stop_{question}")
    diabetes = answers["diabetes"]
    return Scope(flags=() if diabetes == "yes" else (f"flag.diabetes_{diabetes}",))


def _age(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 3 and 0 < int(word) <= MAXIMUM_AGE
