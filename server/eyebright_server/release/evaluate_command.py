"""``eyebright evaluate``: run a release over any manifest and print its metrics, per site and overall."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from eyebright_server.release.evaluation import evaluate_release

app = typer.Typer(add_completion=False)

_COLUMNS = ("pictures", "balanced acc.", "macro AUROC", "referable AUROC", "sensitivity", "specificity", "ECE")


@app.command()
def evaluate(
    release: Annotated[Path, typer.Option(help="Release folder, or a run folder with one release in it.")],
    data: Annotated[Path, typer.Option(help="Manifest (CSV or JSONL), or a folder per class.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Pictures in work at the same time.")] = 2,
) -> None:
    """Run a release over any manifest and print its metrics, per site and overall."""
    with _progress() as on_progress:
        result = evaluate_release(release, data, workers=workers, on_progress=on_progress)
    if as_json:
        typer.echo(json.dumps(result, indent=1, allow_nan=False))
    else:
        _show(result, Console())


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    # On standard error, so that `--json > file` holds JSON alone.
    columns = (TextColumn("evaluating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("evaluating", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _show(result: dict[str, Any], console: Console) -> None:
    release = result["release"]
    console.print(f"[bold]{release['task']} release {release['version']}[/bold] on {result['data']['source']}")
    console.print(_table(result))
    console.print(_intervals(result["intervals"]))
    console.print(_per_class(result["overall"]))
    patients, pipeline = result["patients"], result["with_ungradable_as_refer"]
    console.print(
        f"With ungradable pictures referred: sensitivity {_figure(pipeline['sensitivity'])}, "
        f"specificity {_figure(pipeline['specificity'])} ({pipeline['n']} pictures)."
    )
    console.print(
        f"Patients: {patients['refer']} REFER, {patients['no_referral']} NO REFERRAL, "
        f"{patients['ungradable']} UNGRADABLE; sensitivity {_figure(patients['sensitivity'])}, "
        f"specificity {_figure(patients['specificity'])}."
    )
    console.print(f"Ungradable: {result['ungradable']}{_reasons(result['ungradable_reasons'])}")
    console.print(f"Left out: {sum(result['left_out'].values())}{_reasons(result['left_out'])}")
    if result["absent_classes"]:
        console.print(f"[yellow]No picture of: {', '.join(result['absent_classes'])}.[/yellow]")
    console.print(f"[dim]{release['notice']}[/dim]")


def _table(result: dict[str, Any]) -> Table:
    table = Table("", *_COLUMNS)
    for column in table.columns[1:]:
        column.justify = "right"
    for site, found in result["sites"].items():
        table.add_row(site, *_row(found))
    table.add_section()
    table.add_row("all", *_row(result["overall"]), style="bold")
    return table


def _row(found: dict[str, Any]) -> list[str]:
    referable = found["referable"]
    figures = (
        found["balanced_accuracy"],
        found["macro_auroc"],
        referable["auroc"],
        referable["sensitivity"],
        referable["specificity"],
        found["ece"],
    )
    return [str(found["n"]), *(_figure(value) for value in figures)]


def _intervals(intervals: dict[str, list[float] | None]) -> str:
    words = {name: name.replace("_", " ").replace("auroc", "AUROC") for name in intervals}
    shown = [f"{words[name]} {ends[0]:.3f} to {ends[1]:.3f}" for name, ends in intervals.items() if ends]
    return f"95 % intervals (patients resampled): {', '.join(shown) or 'too few patients'}."


def _per_class(overall: dict[str, Any]) -> str:
    shown = [f"{name.replace('_', ' ')} {_figure(value)}" for name, value in overall["recall"].items()]
    return f"Recall: {', '.join(shown)}."


def _reasons(counts: dict[str, int]) -> str:
    return f" ({', '.join(f'{reason} {count}' for reason, count in counts.items())})" if counts else ""


def _figure(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
