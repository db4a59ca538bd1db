"""The study on a terminal: what is needed for a first look, and the sentences below it; ``table.md`` has the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from eyebright_simulations.report.words import percent
from eyebright_simulations.study.result_schema import MAIN, Row, StudyResult
from eyebright_simulations.study.table import gap_with_interval, with_interval

_COLOURS = {"helped": "green", "hurt": "red", "not settled": "yellow", "control": "dim"}
_LOUD = ("USELESS", "UNPROVEN", "HURT: ")


def print_study(console: Console, result: StudyResult, out: Path) -> None:
    """Print what came out of a study, and where the files are."""
    console.print(_table(result))
    print_findings(console, result.findings, loud=_LOUD)
    for file in ("table.md", "plot.svg", "result.json"):
        console.print(str(out / file), soft_wrap=True, highlight=False)
    console.print("[dim]Research use. Not for diagnosis.[/dim]")


def print_findings(console: Console, findings: Sequence[str], *, loud: Sequence[str]) -> None:
    """Print sentences, in bold red those that hold one of the ``loud`` words."""
    for finding in findings:
        style = "bold red" if any(word in finding for word in loud) else None
        console.print(escape(finding), style=style, highlight=False)


def _table(result: StudyResult) -> Table:
    table = Table(
        title="On test patients that no training step of their fold saw", title_justify="left", box=box.SIMPLE
    )
    table.add_column("")
    for heading in ("balanced accuracy", "minus ce, points", "AUROC", "ECE", ""):
        table.add_column(heading, justify="right")
    for row in result.rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: Row) -> tuple[str, ...]:
    return (
        escape(row.name) + (" (teacher)" if row.role == "teacher" else ""),
        with_interval(row.metrics[MAIN]),
        gap_with_interval(row).replace(" points", ""),
        percent(row.metrics["macro_auroc"].value),
        percent(row.metrics["ece"].value),
        f"[{_COLOURS[row.verdict]}]{row.verdict}[/]",
    )
