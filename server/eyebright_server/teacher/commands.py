"""``eyebright server teacher``: prepare pictures, pre-train an encoder without labels, train a teacher."""

from __future__ import annotations

import typer

from eyebright_server.teacher.prepare_command import prepare
from eyebright_server.teacher.pretrain_command import pretrain
from eyebright_server.teacher.train_command import train

app = typer.Typer(no_args_is_help=True, help="The teacher: prepare pictures, pre-train, train.")
app.command()(prepare)
app.command()(pretrain)
app.command()(train)
