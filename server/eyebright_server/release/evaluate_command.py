"""``eyebright evaluate``: run a release over any manifest; print its metrics and write them as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from eyebright_learning.evaluation.estimates import REPLICATES
from eyebright_learning.evaluation.strata import MIN_GROUPS
from eyebright_server.release.evaluation import evaluate_release
from eyebright_server.release.progress import working
from eyebright_server.release.reviewing import Review

app = typer.Typer(add_completion=False)

_COLUMNS = ("pictures", "balanced acc.", "macro AUROC", "referable AUROC", "sensitivity", "specificity", "ECE")


@app.command()
def evaluate(
    release: Annotated[Path, typer.Option(help="Release folder, or a run folder with one release in it.")],
    data: Annotated[Path, typer.Option(help="Manifest (CSV or JSONL), or a folder per class.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    page: Annotated[Path | None, typer.Option(help="Write a self-contained report page, HTML.")] = None,
    prevalence: Annotated[
        list[float], typer.Option(help="Share of referable disease at which PPV and NPV are stated; may be repeated.")
    ] = [0.01, 0.05, 0.10, 0.20],  # noqa: B006 - typer reads the list and never changes it
    specificity: Annotated[float, typer.Option(help="Specificity at which sensitivity is read off the curve.")] = 0.90,
    graded: Annotated[bool, typer.Option("--graded", help="The classes are grades: adds quadratic kappa.")] = False,
    min_patients: Annotated[int, typer.Option(help="Patients that a stratum needs to be measured.")] = MIN_GROUPS,
    replicates: Annotated[int, typer.Option(min=0, help="Resamples of patients; 0 leaves intervals out.")] = REPLICATES,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Pictures in work at the same time.")] = 2,
) -> None:
    """Run a release over any manifest; print its metrics and write them as a page."""
    review = Review(
        min_specificity=specificity,
        prevalences=tuple(dict.fromkeys(prevalence)),
        graded=graded,
        min_patients=min_patients,
        replicates=replicates,
        seed=seed,
    )
    with working("evaluating") as on_progress:
        result = evaluate_release(release, data, workers=workers, review=review, on_progress=on_progress)
    if page is not None:
        # Imported here: who asks for no page needs no templates.
        from eyebright_server.release.evaluation_page import write_evaluation_page

        write_evaluation_page(result, page)
    if as_json:
        typer.echo(json.dumps(result, indent=1, allow_nan=False))
    else:
        _show(result, Console())


def _show(result: dict[str, Any], console: Console) -> None:
    release = result["release"]
    console.print(f"[bold]{release['task']} release {release['version']}[/bold] on {result['data']['source']}")
    console.print(_table(result))
    console.print(_intervals(result["intervals"]))
    console.print(_per_class(result["overall"]))
    console.print(_patients(result["statistics"]))
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


def _patients(statistics: dict[str, Any]) -> str:
    found = statistics["patient_worst"]["estimates"]
    shown = [
        f"{words} {_figure(found[name]['value'])}"
        for words, name in (
            ("referable AUROC", "referable.auroc"),
            ("sensitivity", "referable.sensitivity"),
            ("specificity", "referable.specificity"),
        )
    ]
    return f"Graded patients by their worst picture: {', '.join(shown)}."


def _reasons(counts: dict[str, int]) -> str:
    return f" ({', '.join(f'{reason} {count}' for reason, count in counts.items())})" if counts else ""


def _figure(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
