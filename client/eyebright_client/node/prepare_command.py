"""``eyebright client prepare``: the hospital's pictures, prepared for the plan, in its site directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from eyebright_client.enrolment.home import HospitalHome


def prepare(
    data: Annotated[Path, typer.Argument(help="Manifest (CSV or JSONL), or a folder per class.")],
    home: Annotated[Path, typer.Option(help="The hospital's home folder.")],
    image_size: Annotated[int, typer.Option(min=32, help="Side of the pictures in pixels, as the plan asks.")],
    task: Annotated[str, typer.Option(help="fundus or oct; the labels decide which member of the family.")] = "fundus",
    seed: Annotated[int, typer.Option(min=0, help="Of the split.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that decode.")] = 2,
) -> None:
    """Judge, prepare and split the pictures, so that no patient and no copy is in two parts."""
    # Imported here: the other commands need none of it.
    from eyebright_client.node.preparing import prepare_site

    place, out = HospitalHome(home), Console(soft_wrap=True, highlight=False, markup=False)
    place.membership()
    made = prepare_site(data, place.site, task=task, image_size=image_size, seed=seed, workers=workers)
    table = Table("what", "pictures", title=f"task {made.task}, {image_size} px")
    for part, number in made.pictures.items():
        table.add_row(part, str(number))
    for reason, number in made.left_out.items():
        table.add_row(f"left out: {reason}", str(number))
    out.print(table)
    out.print(f"Written to {place.site}. Names of what was left out stay in left_out.local.json there.")
