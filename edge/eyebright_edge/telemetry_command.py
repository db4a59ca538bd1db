"""``eyebright edge telemetry``: see, in full, what the next report will tell."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="telemetry", help="What leaves this unit: counts by day, never a patient.")

Home = Annotated[Path, typer.Option("--home", envvar="EYEBRIGHT_HOME", metavar="DIR", help="The unit's home folder.")]


@app.callback()
def telemetry() -> None:
    """What leaves this unit: counts by day, never a patient."""


@app.command()
def show(
    home: Home, as_json: Annotated[bool, typer.Option("--json", help="Print what is sent, byte for byte.")] = False
) -> None:
    """Print everything that goes with the next report; nothing else is sent of this unit's days."""
    from eyebright_edge.agent.home import UnitHome
    from eyebright_edge.agent.unit_report import unit_telemetry
    from eyebright_edge.records.telemetry import acknowledged_through, telemetry_lines

    unit = UnitHome(home)
    unit.require()
    told = unit_telemetry(unit, today=datetime.now(UTC).date())
    if as_json:
        typer.echo(json.dumps(told.model_dump(mode="json")))
        return
    for line in telemetry_lines(told, through=acknowledged_through(home)):
        typer.echo(line)
