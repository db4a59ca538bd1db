"""What the kiosk says, in every language; and the colours it says it in."""

import string
from datetime import date
from itertools import product

import pytest

from eyebright_common.errors import InputError
from eyebright_common.imaging import INSTRUCTIONS
from eyebright_common.release import Verdict
from eyebright_edge.catalogues import LANGUAGES, words_in
from eyebright_edge.kiosk.palette import COLOURS, SHAPE_PAIRS, TEXT_PAIRS, contrast, palette_css
from eyebright_edge.kiosk.views import band_key, reason_words, steps_view
from eyebright_edge.screening.checklist import ANSWERS, QUESTIONS
from eyebright_edge.screening.desk import Step

CODES = [language.code for language in LANGUAGES]
ENGLISH = words_in("en")._catalogue
# Spelt alike in Spanish, or in every language.
ALIKE = {"es": {"lock.pin", "answer.no", "reason.file"}}


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_the_four_languages_are_there_and_arabic_runs_from_right_to_left() -> None:
    assert {language.code: language.direction for language in LANGUAGES} == {
        "en": "ltr",
        "es": "ltr",
        "hi": "ltr",
        "ar": "rtl",
    }


@pytest.mark.parametrize("code", CODES)
def test_every_key_is_there_in_every_language_with_the_same_values_in_it(code: str) -> None:
    catalogue = words_in(code)._catalogue
    assert catalogue.keys() == ENGLISH.keys()
    for key, sentence in catalogue.items():
        assert sentence.strip() == sentence != "", key
        assert placeholders(sentence) == placeholders(ENGLISH[key]), key


@pytest.mark.parametrize("code", CODES[1:])
def test_nothing_was_left_in_english(code: str) -> None:
    same = {key for key, sentence in words_in(code)._catalogue.items() if sentence == ENGLISH[key]}
    assert same <= ALIKE.get(code, set())


@pytest.mark.parametrize(("code", "first", "last"), [("hi", "\u0900", "\u097f"), ("ar", "\u0600", "\u06ff")])
def test_every_sentence_is_in_the_script_of_its_language(code: str, first: str, last: str) -> None:
    for key, sentence in words_in(code)._catalogue.items():
        assert any(first <= letter <= last for letter in sentence), key


@pytest.mark.parametrize("code", CODES)
def test_every_word_of_the_core_has_its_sentence(code: str) -> None:
    words = words_in(code)
    needed = [f"check.{question}" for question in QUESTIONS]
    needed += [f"answer.{word}" for word in {word for allowed in ANSWERS.values() for word in allowed}]
    needed += [f"{kind}.{reason}" for kind, reason in product(("reason", "instruction"), (*INSTRUCTIONS, "file"))]
    needed += [f"verdict.{verdict}" for verdict in Verdict if verdict is not Verdict.MISSING]
    needed += [f"eye_says.{verdict}" for verdict in Verdict]
    needed += [f"step.{step}" for step in Step] + [f"month.{month}" for month in range(1, 13)]
    needed += [f"advice.{what}" for what in ("refer", "refer_ungradable", "rescreen", "retake")]
    needed += [f"{kind}{what}" for kind in ("stop.", "advice.stop_") for what in QUESTIONS if what != "diabetes"]
    assert [key for key in needed if key not in words] == []


def test_a_code_inside_a_sentence_is_isolated_from_its_direction() -> None:
    assert "\u2068P-17/3\u2069" in words_in("ar")("today.hello", name="P-17/3")


def test_a_date_cannot_be_misread() -> None:
    assert words_in("es").day(date(2026, 2, 3)) == "3 febrero 2026"


def test_a_language_nobody_wrote_is_named() -> None:
    with pytest.raises(InputError, match="does not speak"):
        words_in("tlh")


def test_a_reason_that_no_catalogue_knows_is_a_file_that_cannot_be_used() -> None:
    words = words_in("en")
    assert reason_words(("truncated", "pdf", "blur"), words) == (words("reason.file"), words("reason.blur"))


@pytest.mark.parametrize(
    ("score", "band"),
    [(0.1, "band.far_below"), (0.45, "band.near_below"), (0.5, "band.near_above"), (0.9, "band.far_above")],
)
def test_how_far_a_score_lies_from_the_threshold(score: float, band: str) -> None:
    assert band_key(score, 0.5) == band


def test_the_steps_say_where_a_visit_stands() -> None:
    assert [state for _, state in steps_view(Step.RIGHT)] == ["done", "done", "now", "next", "next"]


def test_contrast_is_computed_as_the_guideline_defines_it() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    assert contrast("#ffffff", "#ffffff") == 1.0


@pytest.mark.parametrize(("pairs", "least"), [(TEXT_PAIRS, 4.5), (SHAPE_PAIRS, 3.0)], ids=["text", "shapes"])
def test_every_pair_of_colours_can_be_told_apart(pairs: tuple[tuple[str, str], ...], least: float) -> None:
    for one, other in pairs:
        assert contrast(COLOURS[one], COLOURS[other]) >= least, (one, other)


def test_the_style_sheet_uses_colours_of_the_palette_alone() -> None:
    import re
    from importlib.resources import files

    sheet = files("eyebright_edge.kiosk").joinpath("static/kiosk.css").read_text(encoding="utf-8")
    assert set(re.findall(r"var\(--([a-z-]+)\)", sheet)) <= COLOURS.keys()
    # Black lies only behind pictures of an eye.
    assert set(re.findall(r"#[0-9a-fA-F]{3,6}\b", sheet)) <= {"#000"}
    assert all(f"--{name}: {colour};" in palette_css() for name, colour in COLOURS.items())
