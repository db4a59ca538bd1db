"""A visit on the screen: per picture, per eye, and for the patient one big word and what to do."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from eyebright_common.release import Release, Verdict
from eyebright_edge.screening import ScreenedVisit, advice_for
from eyebright_edge.screening.advice import eye_word

_COLOURS = {
    Verdict.REFER: "bold white on red",
    Verdict.NO_REFERRAL: "bold white on green",
    Verdict.UNGRADABLE: "bold black on yellow",
    Verdict.MISSING: "bold black on yellow",
}
# Icon, word and colour together: none of them alone must carry the meaning.
_ICONS = {Verdict.REFER: "▲", Verdict.NO_REFERRAL: "●", Verdict.UNGRADABLE: "?", Verdict.MISSING: "-"}


def visit_screen(visit: ScreenedVisit, release: Release, *, notices: tuple[str, ...] = ()) -> RenderableType:
    """Return a whole visit for the terminal."""
    threshold = release.threshold
    limit = (
        f"Referral at a score of {threshold.value:.2f} or more ({threshold.purpose}, chosen on "
        f"{threshold.provenance.split}: {threshold.provenance.rule}). Release {release.version}, task {release.task}."
    )
    answer = Text(f" {_ICONS[visit.verdict]} {visit.verdict.value} ", style=_COLOURS[visit.verdict])
    panel = Panel(Group(answer, Text(advice_for(visit.decision))), title="Patient", title_align="left", expand=False)
    warnings = [Text(f"! {notice}", style="yellow") for notice in notices]
    return Group(_pictures(visit), _eyes(visit), panel, *warnings, Text(limit, "dim"), Text(release.notice, "bold"))


def _pictures(visit: ScreenedVisit) -> Table:
    table = _table("picture", "eye", "quality", "says", "score", "why")
    for picture in visit.pictures:
        quality = picture.quality.verdict if picture.quality else "unreadable"
        reasons = picture.decision.reasons or (picture.quality.reasons if picture.quality else ())
        why = " ".join(part for part in (", ".join(reasons).replace("_", " "), picture.fix) if part)
        # Text, because a file name may hold what rich would take for markup.
        name = Path(picture.name).name
        row = (name, eye_word(picture.eye), quality, picture.verdict.value, _score(picture.decision.score), why)
        table.add_row(*(Text(cell) for cell in row))
    return table


def _eyes(visit: ScreenedVisit) -> Table:
    table = _table("eye", "says", "pictures", "gradable", "score", "why")
    for eye in visit.decision.eyes:
        why = "no picture was given" if eye.verdict is Verdict.MISSING else ", ".join(eye.reasons).replace("_", " ")
        says = Text(f"{_ICONS[eye.verdict]} {eye.verdict.value}")
        table.add_row(eye_word(eye.eye), says, str(eye.pictures), str(eye.gradable), _score(eye.score), Text(why))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _score(score: float | None) -> str:
    return "-" if score is None else f"{score:.2f}"
