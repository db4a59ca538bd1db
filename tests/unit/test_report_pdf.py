"""The printed page: one page in every language, the right words, the scripts drawn and not boxes."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyebright_common.errors import InputError
from eyebright_common.imaging import INSTRUCTIONS
from eyebright_common.release import Eye, Verdict
from eyebright_edge.reports.clinic import Clinic, read_clinic
from eyebright_edge.reports.pdf_fonts import FONT_FOLDERS, fonts_for
from eyebright_edge.reports.pdf_report import pdf_report, pdf_words
from retina_pictures import retina
from visit_results import eye_result, visit_result

LANGUAGES = ("en", "es", "hi", "ar")
VERDICTS = (Verdict.REFER, Verdict.NO_REFERRAL, Verdict.UNGRADABLE, None)
needs_fonts = pytest.mark.skipif(
    not (FONT_FOLDERS[0] / "NotoSansDevanagari-Regular.ttf").is_file(), reason="fonts-noto-core is not installed"
)
needs_poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler-utils is not installed")
pytestmark = needs_fonts


def _text(pdf: bytes) -> str:
    done = subprocess.run(["pdftotext", "-layout", "-", "-"], input=pdf, capture_output=True, check=True)
    return re.sub(r"[\u200e\u200f\u202a-\u202e\u2066-\u2069]", "", done.stdout.decode())


def _pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type /Page\n", pdf))


@pytest.mark.parametrize(("language", "verdict"), list(zip(LANGUAGES, VERDICTS, strict=True)))
def test_any_answer_in_any_language_is_one_page(language: str, verdict: Verdict | None) -> None:
    seen = {Eye.RIGHT: retina(224), Eye.LEFT: retina(224, seed=1)}
    pdf = pdf_report(visit_result(verdict), clinic=Clinic(name="Clinic"), language=language, seen=seen)
    assert pdf.startswith(b"%PDF")
    assert _pages(pdf) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_catalogue_has_every_word(language: str) -> None:
    words = pdf_words(language)
    assert set(words) == set(pdf_words("en"))
    assert {f"reason.{reason}" for reason in INSTRUCTIONS} <= set(words)
    fields = {key: set(re.findall(r"{(\w+)}", text)) for key, text in pdf_words("en").items()}
    assert {key: set(re.findall(r"{(\w+)}", text)) for key, text in words.items()} == fields


@needs_poppler
def test_the_page_says_what_the_visit_came_to() -> None:
    shown = _text(pdf_report(visit_result(), clinic=Clinic(name="Riverside Clinic")))
    for part in (
        "Riverside Clinic",
        "P-0042-A",
        "2026-01-02",
        "clinic-7",
        "REFER",
        "Please see an eye doctor",
        "release 7",
    ):
        assert part in shown, part
    assert "0.42" in shown
    assert "Handheld 3: not validated" in shown
    assert "not a diagnosis" in shown


@needs_poppler
def test_an_ungradable_eye_has_its_reasons_and_a_missing_one_says_so() -> None:
    shown = _text(pdf_report(visit_result(Verdict.UNGRADABLE)))
    assert "NOT GRADABLE" in shown
    assert "It is hazy." in shown
    assert "No picture was taken." in shown
    assert "NO REFERRAL" not in shown


@needs_poppler
def test_no_file_name_is_printed() -> None:
    assert "Doe" not in _text(pdf_report(visit_result()))


@needs_poppler
def test_a_date_inside_arabic_keeps_its_order() -> None:
    assert "2027-01-02" in _text(pdf_report(visit_result(Verdict.NO_REFERRAL), language="ar"))


@needs_poppler
def test_arabic_starts_on_the_right(tmp_path: Path) -> None:
    ink = {}
    for language in ("ar", "en"):
        title = _drawn(tmp_path, pdf_report(visit_result(), language=language))[40:56]
        ink[language] = np.flatnonzero((title < 200).any(axis=0)) / title.shape[1]
    assert ink["en"].min() < 0.15
    assert ink["en"].max() < 0.6
    assert ink["ar"].min() > 0.4
    assert ink["ar"].max() > 0.85


@needs_poppler
@pytest.mark.parametrize("language", ["hi", "ar"])
def test_letters_are_joined_as_the_script_is_written(
    tmp_path: Path, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = _drawn(tmp_path, pdf_report(visit_result(), language=language))
    monkeypatch.setattr("fpdf.FPDF.set_text_shaping", lambda *_, **__: None)
    apart = _drawn(tmp_path, pdf_report(visit_result(), language=language))
    assert (np.abs(joined.astype(int) - apart) > 64).sum() > 500


def _drawn(folder: Path, pdf: bytes) -> np.ndarray:
    (folder / "page.pdf").write_bytes(pdf)
    command = ["pdftoppm", "-r", "60", "-png", "-gray", "-singlefile", "page.pdf", "page"]
    subprocess.run(command, cwd=folder, check=True)
    return np.asarray(Image.open(folder / "page.png").convert("L"))


def test_the_same_visit_gives_the_same_bytes() -> None:
    assert pdf_report(visit_result()) == pdf_report(visit_result())
    assert pdf_report(visit_result()) != pdf_report(visit_result(Verdict.NO_REFERRAL))


def test_nothing_runs_into_the_foot_of_the_page_with_the_longest_text(monkeypatch: pytest.MonkeyPatch) -> None:
    from eyebright_edge.reports import pdf_report as module

    ends = []
    foot = module._Page.foot
    monkeypatch.setattr(module._Page, "foot", lambda page: (ends.append(page._y), foot(page))[1])
    reasons = ("uneven_light", "reflection", "field")
    unclear = tuple(eye_result(eye, Verdict.UNGRADABLE, reasons=reasons) for eye in (Eye.RIGHT, Eye.LEFT, Eye.UNKNOWN))
    for language in LANGUAGES:
        result = replace(visit_result(Verdict.UNGRADABLE), eyes=unclear)
        pdf_report(result, clinic=Clinic(name="A clinic with a long name " * 4), language=language)
        pdf_report(visit_result(), language=language, seen={Eye.RIGHT: retina(64), Eye.LEFT: retina(64)})
    assert len(ends) == 2 * len(LANGUAGES)
    assert max(ends) < 297 - 46


def test_an_unknown_language_and_a_missing_font_are_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="Choose one of en, es, hi, ar"):
        pdf_report(visit_result(), language="fr")
    monkeypatch.setattr("eyebright_edge.reports.pdf_fonts.FONT_FOLDERS", ())
    with pytest.raises(InputError, match=r"Hindi needs a font .* fonts-noto-core"):
        fonts_for("hi", {})


def test_fonts_of_ones_own_come_first(tmp_path: Path) -> None:
    for name in ("NotoSans-Regular.ttf", "NotoSans-Bold.ttf"):
        (tmp_path / name).write_bytes((FONT_FOLDERS[0] / name).read_bytes())
    assert fonts_for("en", {"EYEBRIGHT_FONTS": str(tmp_path)})[0].regular.parent == tmp_path


def test_the_clinic_is_read_from_the_units_home(tmp_path: Path) -> None:
    Image.new("RGBA", (300, 100), (10, 90, 160, 128)).save(tmp_path / "logo.png")
    (tmp_path / "clinic.json").write_text('{"name": "Riverside", "logo": "logo.png", "language": "es"}')
    clinic = read_clinic(tmp_path)
    assert (clinic.name, clinic.logo, clinic.language) == ("Riverside", tmp_path / "logo.png", "es")
    assert b"/Image" in pdf_report(visit_result(), clinic=clinic)


@pytest.mark.parametrize(
    "content", ["not json", '{"language": "xx"}', '{"colour": "red"}'], ids=["no json", "language", "unknown field"]
)
def test_a_clinic_file_that_cannot_be_used_is_explained(tmp_path: Path, content: str) -> None:
    (tmp_path / "clinic.json").write_text(content)
    with pytest.raises(InputError, match="clinic's file cannot be used"):
        read_clinic(tmp_path)


def test_a_logo_that_is_no_picture_is_explained(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_text("hello")
    with pytest.raises(InputError, match="logo cannot be used"):
        pdf_report(visit_result(), clinic=Clinic(logo=tmp_path / "logo.png"))


@needs_poppler
@pytest.mark.parametrize(
    ("advice", "said"),
    [("advice.stop_symptoms", "eye doctor instead"), ("advice.stop_consent", "Ask the staff")],
    ids=["symptoms", "no consent"],
)
def test_a_stopped_visit_says_that_it_is_no_negative(advice: str, said: str) -> None:
    shown = " ".join(_text(pdf_report(visit_result(None, advice=advice))).split())
    assert "NO RESULT" in shown
    assert said in shown
    assert "not a negative" in shown
