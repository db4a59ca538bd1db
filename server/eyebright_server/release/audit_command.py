"""``eyebright audit``: can the labels of a data set be told without looking at the retina?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from eyebright_learning.audit.clues import CLUE_WORDS
from eyebright_learning.evaluation.estimates import REPLICATES
from eyebright_server.release.auditing import audit_data
from eyebright_server.release.progress import working

app = typer.Typer(add_completion=False)

_STYLES = {"class_is_source": "bold red", "strong": "bold red", "weak": "yellow", "none": "green"}


@app.command()
def audit(
    data: Annotated[Path, typer.Option(help="Manifest (CSV or JSONL), or a folder per class.")],
    task: Annotated[str | None, typer.Option(help="Task or family; by default what the labels fit.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    page: Annotated[Path | None, typer.Option(help="Write a self-contained report page, HTML.")] = None,
    replicates: Annotated[int, typer.Option(min=1, help="Resamples of patients.")] = REPLICATES,
    seed: Annotated[int, typer.Option(min=0, help="Of folds and resamples.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Pictures in work at the same time.")] = 2,
) -> None:
    """Say how well site, camera, file and image statistics alone predict the label."""
    with working("measuring") as on_progress:
        result = audit_data(
            data, task_family=task, workers=workers, replicates=replicates, seed=seed, on_progress=on_progress
        )
    if page is not None:
        # Imported here: who asks for no page needs no templates.
        from eyebright_server.release.evaluation_page import write_audit_page

        write_audit_page(result, page)
    if as_json:
        typer.echo(json.dumps(result, indent=1, allow_nan=False))
    else:
        _show(result, Console())


def _show(result: dict[str, Any], console: Console) -> None:
    verdict = result["verdict"]
    console.print(Panel("\n".join(verdict["sentences"]), title=verdict["headline"], style=_STYLES[verdict["level"]]))
    console.print(_clues(result["clues"]))
    console.print(_sites(result["sites"]))
    console.print(
        f"{result['images']} pictures of {result['groups']} patients (near-duplicates count as one); "
        f"left out {sum(result['left_out'].values())}.",
        highlight=False,
    )


def _clues(clues: dict[str, Any]) -> Table:
    table = Table("this alone", "balanced acc.", "95 % interval", "chance", "macro AUROC")
    for name, clue in clues.items():
        found = clue["balanced_accuracy"]
        if found is None:
            table.add_row(CLUE_WORDS[name], clue["why_not_measured"], style="dim")
        else:
            ends = "n/a" if found["lower"] is None else f"{found['lower']:.3f} to {found['upper']:.3f}"
            auroc = clue["macro_auroc"]["value"]
            table.add_row(
                CLUE_WORDS[name],
                f"{found['value']:.3f}",
                ends,
                f"{clue['chance']:.3f}",
                "n/a" if auroc is None else f"{auroc:.3f}",
            )
    return table


def _sites(sites: dict[str, dict[str, int]]) -> Table:
    labels = sorted({label for counts in sites.values() for label in counts})
    table = Table("site", *(label.replace("_", " ") for label in labels))
    for site, counts in sites.items():
        table.add_row(site, *(str(counts.get(label, 0)) for label in labels))
    return table
