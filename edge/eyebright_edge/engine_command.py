"""``eyebright edge engine``: what a builder sends for its twins, and which engines lie on this unit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

app = typer.Typer(name="engine", help="TensorRT engines: send one for identical units, list those that are here.")

Home = Annotated[Path, typer.Option("--home", envvar="EYEBRIGHT_HOME", metavar="DIR", help="The unit's home folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the same facts as JSON.")]


@app.command()
def send(home: Home, as_json: AsJson = False) -> None:
    """Build the engine of the release that this builder has, prove it, and send it to the operator for its twins.

    Safe to repeat: what was cut goes on, what is there is not sent again.
    """
    from eyebright_edge.agent.home import UnitHome
    from eyebright_edge.agent.twin_engines import send_engine

    unit = UnitHome(home)
    unit.require()
    told = Console(stderr=True, quiet=as_json, style="dim")
    sent = send_engine(unit, on_progress=lambda text: told.print(escape(text)))
    upload, machine = sent.upload, sent.upload.key.fingerprint
    if as_json:
        typer.echo(json.dumps({"state": sent.state, "engine": json.loads(upload.to_json())}, indent=1))
        return
    typer.echo(
        f"Engine {upload.key.digest[:12]} of {upload.task} {upload.version} ({upload.key.precision}, "
        f"{upload.size_bytes / 1e6:.1f} MB) for {machine.board} with {machine.gpu}, TensorRT {machine.tensorrt}."
    )
    words = {
        "waiting": "The operator has it; twins can have it once it is signed.",
        "signed": "It is signed: twins can have it.",
    }
    typer.echo(words.get(sent.state, sent.state))


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the engines on this unit (EYEBRIGHT_ENGINES), the newest first."""
    from eyebright_edge.runtime.engine_cache import EngineCache
    from eyebright_edge.runtime.settings import settings_from_environment

    known = EngineCache(settings_from_environment().engines).all()
    if as_json:
        typer.echo(json.dumps({"engines": [json.loads(one.to_json()) for one in known]}, indent=1))
        return
    table = Table("key", "made", "precision", "MB", "TensorRT", "GPU", "golden cases")
    for one in known:
        proof = f"{one.proof.cases} passed" if one.proof else "not yet proven here"
        machine = one.key.fingerprint
        size = f"{one.size_bytes / 1e6:.1f}"
        row = (one.key.digest[:12], one.made, one.key.precision, size, machine.tensorrt, machine.gpu, proof)
        table.add_row(*map(escape, row))
    Console().print(table)
