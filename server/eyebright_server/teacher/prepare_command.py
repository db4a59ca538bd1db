"""``eyebright server teacher prepare``: pictures, judged, prepared and split, in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from eyebright_common.errors import InputError
from eyebright_server.release.progress import working
from eyebright_server.teacher.output import check_output, clear_output


def prepare(
    data: Annotated[Path, typer.Option(help="Manifest (CSV or JSONL), or a folder per class.")],
    out: Annotated[Path, typer.Option(help="Folder for the prepared pictures.")],
    image_size: Annotated[int, typer.Option(min=32, help="Side of the prepared pictures in pixels.")],
    task: Annotated[str, typer.Option(help="fundus or oct; the labels decide which member of the family.")] = "fundus",
    validation: Annotated[float, typer.Option(help="Share for validation, which fits the temperature.")] = 0.15,
    test: Annotated[float, typer.Option(help="Share that is never looked at before the end; 0 for none.")] = 0.15,
    unlabelled: Annotated[bool, typer.Option("--unlabelled", help="A folder of pictures that nobody graded.")] = False,
    apart_from: Annotated[
        Path | None, typer.Option(help="With --unlabelled: leave copies of this folder's held-out pictures out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that decode.")] = 2,
    force: Annotated[bool, typer.Option("--force", help="Begin again in a folder in use.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Read, judge, prepare and group pictures, and split them so that no patient and no copy is in two parts."""
    # Imported here: the server's other commands need none of it.
    from eyebright_server.teacher.facts import FACTS, PARTS, part_path
    from eyebright_server.teacher.preparing import LEFT_OUT, prepare_labelled, shares_of
    from eyebright_server.teacher.unlabelled import prepare_unlabelled

    if apart_from is not None and not unlabelled:
        raise InputError("--apart-from is for --unlabelled", fix="Labelled parts are kept apart by their groups.")
    check_output(out, force=force)
    # The facts go first: a folder without them is not taken for a finished one.
    clear_output(out, (FACTS, LEFT_OUT, *(part_path(out, part).name for part in PARTS)))
    with working("preparing") as on_progress:
        if unlabelled:
            facts = prepare_unlabelled(
                data,
                out,
                task=task,
                image_size=image_size,
                apart_from=apart_from,
                workers=workers,
                on_progress=on_progress,
            )
        else:
            facts = prepare_labelled(
                data,
                out,
                task=task,
                image_size=image_size,
                shares=shares_of(validation=validation, test=test),
                seed=seed,
                workers=workers,
                on_progress=on_progress,
            )
    if as_json:
        typer.echo(facts.model_dump_json())
        return
    graded = facts.classes if any(part.labels for part in facts.parts.values()) else ()
    table = Table("part", "pictures", "patients", *graded)
    for name, part in facts.parts.items():
        table.add_row(name, str(part.pictures), str(part.patients), *(str(part.labels[label]) for label in graded))
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(f"Task {facts.task}, {facts.image_size} px, {facts.rows:,} rows and files:")
    console.print(table)
    left_out = ", ".join(f"{reason} {count:,}" for reason, count in facts.left_out.items())
    console.print(f"Left out: {sum(facts.left_out.values()):,}{f' ({left_out})' if left_out else ''}")
    console.print(
        f"{facts.groups:,} groups of patients and copies; {facts.duplicates.images:,} pictures are copies, "
        f"{facts.duplicates.across_patients:,} sets of them under different patient ids."
    )
    for note, count in facts.notes.items():
        console.print(f"Note: {note.replace('_', ' ')} {count:,}")
