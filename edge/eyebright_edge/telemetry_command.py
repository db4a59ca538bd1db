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
    """Print the report that goes to the operator next, whole; nothing else is sent of this unit."""
    from eyebright_edge.agent.home import UnitHome
    from eyebright_edge.agent.unit_report import next_report
    from eyebright_edge.records.telemetry import acknowledged_through, report_lines

    unit = UnitHome(home)
    unit.require()
    report = next_report(unit, today=datetime.now(UTC).date())
    if as_json:
        typer.echo(json.dumps(report.model_dump(mode="json")))
        return
    for line in report_lines(report, through=acknowledged_through(home)):
        typer.echo(line)
