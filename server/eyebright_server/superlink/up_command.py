"""``eyebright server up``: enrolment, releases, SuperLink and nginx in one command."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from eyebright_server.distribution import OperatorFolder
from eyebright_server.distribution.passphrase import passphrase


def up(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The operator's folder.")],
    host: Annotated[
        list[str] | None, typer.Option(help="Address to listen on; repeat for more. The SuperLink stays on loopback.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object when everything answers.")] = False,
) -> None:
    """Serve enrolment, releases and the federation until interrupted: SuperLink on loopback, nginx before it."""
    from eyebright_server.superlink.up import Running, serve_everything

    console, stopped = Console(soft_wrap=True, highlight=False, markup=False), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())

    def ready(running: Running) -> None:
        if as_json:
            facts = {
                "enrolment": running.addresses.enrolment,
                "distribution": running.addresses.distribution,
                "fleet": running.fleet,
                "superlink": running.superlink,
                "processes": running.pids,
            }
            console.print(json.dumps(facts))
            return
        console.print(f"Enrolment on {running.addresses.enrolment}, releases on {running.addresses.distribution}.")
        console.print(f"Hospitals' nodes on {running.fleet}; the SuperLink itself on {running.superlink} only.")
        console.print("Ctrl-C stops.")

    with OperatorFolder.open(folder, passphrase=passphrase()) as operator:
        serve_everything(
            operator,
            listen=host or ["127.0.0.1"],
            stopped=stopped,
            ready=ready,
            on_event=Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print,
        )
