"""``eyebright client``: each command lives in the room it belongs to; here they are only registered."""

from __future__ import annotations

import typer

from eyebright_client.doctor.command import doctor

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The hospital's own commands.")


@app.callback()
def client() -> None:
    """Look after a hospital's part of the network."""


app.command()(doctor)
