"""The study on a terminal: the table, and the sentences below it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from eyebright_simulations.study.result_schema import StudyResult
from eyebright_simulations.study.table import COLUMNS, gap_with_interval, with_interval

_COLOURS = {"helped": "green", "hurt": "red", "not settled": "yellow", "control": "dim"}


def print_study(console: Console, result: StudyResult, out: Path) -> None:
    """Print what came out of a study, and where the files are."""
    table = Table(title="On test patients of folds that no training step saw", title_justify="left")
    table.add_column("")
    headings = list(COLUMNS.values())
    for heading in (headings[0], "difference to ce", "kept", *headings[1:], "verdict"):
        table.add_column(heading, justify="right")
    for row in result.rows:
        cells = [with_interval(row.metrics[name]) for name in COLUMNS]
        verdict = f"[{_COLOURS[row.verdict]}]{row.verdict}[/]"
        name = escape(row.name) + (" (teacher)" if row.role == "teacher" else "")
        table.add_row(name, cells[0], gap_with_interval(row), with_interval(row.kept), *cells[1:], verdict)
    console.print(table)
    for finding in result.findings:
        loud = finding.isupper() or any(word in finding for word in ("USELESS", "UNPROVEN", "HURT: "))
        console.print(f"[bold red]{escape(finding)}[/]" if loud else escape(finding), highlight=False)
    console.print(
        f"table   {out / 'table.md'}\nplot    {out / 'plot.svg'}\nresult  {out / 'result.json'}", soft_wrap=True
    )
    console.print("[dim]Research use. Not for diagnosis.[/dim]")
