"""The result of a visit on one printed page, for the patient: in their language, with the clinic's name and logo.

* Word, icon and colour carry the answer together; the picture of the right eye stands on the left, as a doctor faces
  the patient.
* Plain words: no class name, no score. What a doctor or an auditor needs (release, threshold, camera) is in small type.
* Scripts are shaped by HarfBuzz and laid out right to left where they are written so (``docs/adr/0024``).
* The same report gives the same bytes: nothing in the file depends on when or where it is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from eyebright_common.closing import Closing
from eyebright_common.errors import InputError
from eyebright_common.release import Eye, Verdict
from eyebright_edge.reports.clinic import Clinic
from eyebright_edge.reports.json_report import Seen, answered_at, report_id
from eyebright_edge.reports.pdf_fonts import Font, fonts_for
from eyebright_edge.screening.visit_result import EyeResult, VisitResult

if TYPE_CHECKING:
    from fpdf import FPDF

_COLOURS = {
    Verdict.REFER: (176, 0, 32),
    Verdict.NO_REFERRAL: (0, 97, 48),
    Verdict.UNGRADABLE: (122, 79, 0),
    Verdict.MISSING: (90, 90, 90),
}
_INK, _GREY = (20, 20, 20), (85, 85, 85)
_PAGE_MM, _MARGIN_MM = (210.0, 297.0), 18.0
_WIDTH_MM = _PAGE_MM[0] - 2 * _MARGIN_MM
_PICTURE_MM = 68.0
_LOGO_MM = (44.0, 20.0)
_FOOT_MM = 46.0
_LEFT_TO_RIGHT = "\u200e"


def pdf_words(language: str) -> Mapping[str, str]:
    """Return the words of a language by key.

    Raises:
        InputError: there is no catalogue for it.
    """
    catalogues = _catalogues()
    if language not in catalogues:
        fix = f"Choose one of {', '.join(catalogues)}."
        raise InputError("reports are not written in this language", value=language, fix=fix)
    return catalogues[language]


def pdf_report(
    result: VisitResult, *, clinic: Clinic | None = None, language: str | None = None, seen: Seen | None = None
) -> bytes:
    """Return the report as a PDF of one A4 page.

    Args:
        result: The visit.
        clinic: Who hands it out.
        seen: The picture of each eye to print, RGB uint8 ``[S, S, 3]``.
        language: ``en``, ``es``, ``hi`` or ``ar``; default the clinic's.

    Raises:
        InputError: no such language, no font for it on this machine, or the clinic's logo cannot be used.
    """
    place = clinic or Clinic()
    chosen = language or place.language
    with _Page(pdf_words(chosen), chosen, result=result, clinic=place, seen=seen or {}) as page:
        page.head()
        page.answer()
        page.eyes()
        page.foot()
        return page.content()


@cache
def _catalogues() -> dict[str, dict[str, str]]:
    text = files("eyebright_edge.reports").joinpath("pdf_words.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


class _Page(Closing):
    """The page while it is written; lengths in millimetres."""

    def __init__(
        self, words: Mapping[str, str], language: str, *, result: VisitResult, clinic: Clinic, seen: Seen
    ) -> None:
        self._words, self._result, self._clinic, self._seen = words, result, clinic, seen
        self._rightward = language != "ar"
        fonts = fonts_for(language)
        self._families = tuple(font.script for font in fonts)
        self._pdf = _empty_page(fonts, language)
        self._pdf.set_creation_date(answered_at(result))

    def close(self) -> None:
        from fpdf.fonts import TTFFont

        for font in self._pdf.fonts.values():
            if isinstance(font, TTFFont):
                font.ttfont.close()

    def content(self) -> bytes:
        return bytes(self._pdf.output())

    def head(self) -> None:
        result, clinic, words = self._result, self._clinic, self._words
        top = _MARGIN_MM
        if clinic.logo is not None:
            x = _MARGIN_MM if self._rightward else _PAGE_MM[0] - _MARGIN_MM - _LOGO_MM[0]
            w, h = _LOGO_MM
            self._pdf.image(_logo(clinic.logo), x=x, y=top, w=w, h=h, keep_aspect_ratio=True, alt_text=clinic.name)
            top += _LOGO_MM[1] + 2
        y = self._text(clinic.name, y=top, size=15, bold=True) if clinic.name else top
        y = self._text(words["title"], y=y + 1, size=13, colour=_GREY)
        facts = [
            (words["patient"], result.patient),
            (words["date"], answered_at(result).date().isoformat()),
            (words["unit"], result.unit),
            (words["visit"], str(result.number or "")),
        ]
        line = "   ".join(f"{name}: {self._code(value)}" for name, value in facts if value)
        self._y = self._text(line, y=y + 1, size=10) + 3

    def answer(self) -> None:
        result, words = self._result, self._words
        height = 24.0
        verdict = result.verdict or Verdict.MISSING
        self._pdf.set_fill_color(*_COLOURS[verdict])
        self._pdf.rect(_MARGIN_MM, self._y, _WIDTH_MM, height, style="F", round_corners=True, corner_radius=3)
        x = _MARGIN_MM + 16 if self._rightward else _PAGE_MM[0] - _MARGIN_MM - 16
        self._icon(verdict, x, self._y + height / 2)
        box = (_MARGIN_MM + (32 if self._rightward else 8), _WIDTH_MM - 40)
        word = words["STOPPED" if result.verdict is None else result.verdict.value]
        self._text(word, y=self._y + 5.5, size=28, bold=True, colour=(255, 255, 255), box=box)
        # Why else the checklist ended a visit is between the patient and the technician.
        advice = words.get(result.advice, words["advice.stop"])
        y = self._text(advice, y=self._y + height + 4, size=14)
        if result.due is not None:
            y = self._text(words["by"].format(date=self._code(result.due)), y=y + 1, size=14, bold=True)
        self._y = y + 5

    def eyes(self) -> None:
        columns = {Eye.RIGHT: 0, Eye.LEFT: 1}
        shown = {eye.eye: eye for eye in self._result.eyes}
        ends = [self._eye(shown[eye], column) for eye, column in columns.items() if eye in shown]
        self._y = max(ends, default=self._y)
        if Eye.UNKNOWN in shown:
            self._y = self._eye(shown[Eye.UNKNOWN], 0)

    def foot(self) -> None:
        result, words = self._result, self._words
        camera = "unknown" if not result.camera else "yes" if result.camera_validated else "no"
        y = _PAGE_MM[1] - _FOOT_MM
        self._pdf.set_draw_color(*_GREY)
        self._pdf.line(_MARGIN_MM, y, _PAGE_MM[0] - _MARGIN_MM, y)
        y = self._text(words["new_signs"], y=y + 2, size=10, bold=True)
        y = self._text(f"{words['limits']} {words['research']}", y=y + 1, size=10)
        facts = {
            "version": self._code(result.release),
            "task": self._code(result.task),
            "threshold": self._code(f"{result.threshold:.2f}"),
            "purpose": self._code(result.threshold_purpose),
        }
        small = (
            f"{words['release'].format(**facts)} {words[f'camera.{camera}'].format(camera=self._code(result.camera))}"
        )
        y = self._text(small, y=y + 1, size=8, colour=_GREY)
        self._text(str(report_id(result)), y=y, size=7, colour=_GREY)

    def _eye(self, eye: EyeResult, column: int) -> float:
        half = _WIDTH_MM / 2
        left, width = _MARGIN_MM + column * half, half - 4
        y = self._text(self._words[f"eye.{eye.eye.value}"], y=self._y, size=13, bold=True, box=(left, width))
        seen = self._seen.get(eye.eye)
        if seen is not None:
            name = self._words[f"eye.{eye.eye.value}"]
            x = left if self._rightward else left + width - _PICTURE_MM
            self._pdf.image(Image.fromarray(seen), x=x, y=y + 1, w=_PICTURE_MM, h=_PICTURE_MM, alt_text=name)
            y += _PICTURE_MM + 3
        word = self._words[eye.verdict.value]
        y = self._text(word, y=y, size=12, bold=True, colour=_COLOURS[eye.verdict], box=(left, width))
        y = self._text(self._words[f"says.{eye.verdict.value}"], y=y, size=11, box=(left, width))
        reasons = eye.quality_reasons[:3] if eye.verdict is Verdict.UNGRADABLE else ()
        for reason in dict.fromkeys(self._reason(reason) for reason in reasons):
            y = self._text(reason, y=y, size=11, box=(left, width))
        return y + 3

    def _reason(self, reason: str) -> str:
        return self._words.get(f"reason.{reason}", self._words["reason.other"])

    def _code(self, value: object) -> str:
        """Return a date, number or code so that it keeps its order inside a text that runs from right to left."""
        return str(value) if self._rightward else f"{_LEFT_TO_RIGHT}{value}{_LEFT_TO_RIGHT}"

    def _icon(self, verdict: Verdict, x: float, y: float) -> None:
        pdf, r = self._pdf, 8.0
        pdf.set_fill_color(255, 255, 255)
        if verdict is Verdict.REFER:
            pdf.polygon([(x, y - r), (x + r, y + 0.8 * r), (x - r, y + 0.8 * r)], style="F")
        elif verdict is Verdict.NO_REFERRAL:
            pdf.circle(x, y, r, style="F")
        else:
            pdf.polygon([(x, y - r), (x + r, y), (x, y + r), (x - r, y)], style="F")
        mark = {Verdict.REFER: "!", Verdict.NO_REFERRAL: "✓"}.get(verdict, "?")
        pdf.set_draw_color(*_COLOURS[verdict])
        if mark == "✓":
            pdf.set_line_width(1.6)
            pdf.polyline([(x - 4, y), (x - 1, y + 3.5), (x + 4.5, y - 3.5)])
            pdf.set_line_width(0.2)
            return
        self._text(mark, y=y - 3.6, size=20, bold=True, colour=_COLOURS[verdict], box=(x - r, 2 * r), align="C")

    def _text(
        self,
        text: str,
        *,
        y: float,
        size: float,
        bold: bool = False,
        colour: tuple[int, int, int] = _INK,
        box: tuple[float, float] = (_MARGIN_MM, _WIDTH_MM),
        align: str = "",
    ) -> float:
        """Write a paragraph into ``box`` (left, width) from ``y`` down; return where it ends."""
        pdf = self._pdf
        pdf.set_font(self._families[0], "B" if bold else "", size)
        pdf.set_text_color(*colour)
        pdf.set_xy(box[0], y)
        side = align or ("L" if self._rightward else "R")
        pdf.multi_cell(box[1], 0.5 * size, text, align=side, new_x="LMARGIN", new_y="NEXT")
        return float(pdf.get_y())


def _empty_page(fonts: tuple[Font, ...], language: str) -> FPDF:
    from fpdf import FPDF

    pdf = FPDF(format="A4")
    pdf.set_title(_catalogues()[language]["title"])
    pdf.set_lang(language)
    pdf.set_producer("Eyebright")
    pdf.set_auto_page_break(False)
    pdf.c_margin = 0
    pdf.add_page()
    for font in fonts:
        pdf.add_font(font.script, "", font.regular)
        pdf.add_font(font.script, "B", font.bold)
    pdf.set_fallback_fonts([font.script for font in fonts[1:]], exact_match=True)
    # Direction is found per run by the Unicode algorithm: codes and dates inside Arabic stay left to right.
    pdf.set_text_shaping(True, direction="rtl" if language == "ar" else None)
    return pdf


def _logo(path: Path) -> Image.Image:
    try:
        with Image.open(path) as opened:
            opened.load()
            logo = opened.convert("RGBA")
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            "the clinic's logo cannot be used",
            value=path,
            fix="Give a PNG or JPEG of it, or take it out of clinic.json.",
        ) from error
    logo.thumbnail((1200, 600))
    return logo
