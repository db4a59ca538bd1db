"""``eyebright client``: each command lives in the room it belongs to; here they are only registered."""

from __future__ import annotations

import typer

from eyebright_client.audit.audit_command import audit
from eyebright_client.doctor.command import doctor
from eyebright_client.enrolment.join_command import join, leave
from eyebright_client.node.node_command import pause, resume, status, up
from eyebright_client.node.prepare_command import prepare
from eyebright_client.policy.approve_command import approve

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The hospital's own commands.")


@app.callback()
def client() -> None:
    """Look after a hospital's part of the network."""


for command in (doctor, join, prepare, up, pause, resume, status, leave, approve, audit):
    app.command()(command)
