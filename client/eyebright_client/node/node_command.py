"""``eyebright client up``, ``pause``, ``resume`` and ``status``."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from eyebright_client.enrolment.home import HospitalHome
from eyebright_client.node.running import RUNTIME_PORT
from eyebright_client.policy import pause as pause_site
from eyebright_client.policy import resume as resume_site

Home = Annotated[Path, typer.Option(help="The hospital's home folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
_OUT = Console(soft_wrap=True, highlight=False, markup=False)


def up(
    home: Home,
    runtime_port: Annotated[
        int, typer.Option(min=1, max=65535, help="The node's own interface, on loopback.")
    ] = RUNTIME_PORT,
    as_json: AsJson = False,
) -> None:
    """Take part until interrupted: keep the node connected and answer rounds by the policy."""
    from eyebright_client.node.running import run_node

    place, stopped = HospitalHome(home), threading.Event()
    membership = place.membership()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())

    def ready(pids: dict[str, int]) -> None:
        facts = {"name": membership.name, "fleet": membership.fleet_address, "processes": pids}
        text = f"{membership.name} connects to {membership.fleet_address}. Ctrl-C stops."
        _OUT.print(json.dumps(facts) if as_json else text)

    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    run_node(place, runtime_port=runtime_port, stopped=stopped, ready=ready, on_event=errors.print)


def pause(home: Home) -> None:
    """Refuse every request from now on; the node stays connected. A round in progress is finished."""
    place = HospitalHome(home)
    place.membership()
    pause_site(place.site)
    _OUT.print("Paused. `eyebright client resume` takes part again.")


def resume(home: Home) -> None:
    """Take part again after a pause."""
    place = HospitalHome(home)
    place.membership()
    resume_site(place.site)
    _OUT.print("Taking part.")


def status(home: Home, as_json: AsJson = False) -> None:
    """Say who we are, whether the node is up and the server answers, and which plans wait for an answer."""
    from eyebright_client.node.status import hospital_status

    found = hospital_status(HospitalHome(home))
    if as_json:
        _OUT.print(json.dumps(found.to_dict()))
        return
    for line in found.lines():
        _OUT.print(line)
