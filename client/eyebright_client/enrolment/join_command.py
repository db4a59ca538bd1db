"""``eyebright client join`` and ``leave``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from eyebright_client.enrolment.home import HospitalHome
from eyebright_client.enrolment.joining import join as join_federation
from eyebright_client.enrolment.joining import leave as leave_federation
from eyebright_client.enrolment.joining import read_invitation
from eyebright_client.enrolment.teacher import fetch_published_teacher
from eyebright_client.policy.approval import FILE_NAME as POLICY

Home = Annotated[Path, typer.Option(help="The hospital's home folder.")]
_OUT = Console(soft_wrap=True, highlight=False, markup=False)


def join(
    invitation: Annotated[str, typer.Argument(help="The line from the operator, or the file it is in.")],
    home: Home,
) -> None:
    """Join with a one-time invitation: make the keys here, register the node, fetch the teacher if there is one."""
    place = HospitalHome(home)
    membership = join_federation(place, read_invitation(invitation))
    _OUT.print(
        f"Joined as {membership.name}, hospital {membership.site_index}. Nodes connect to {membership.fleet_address}."
    )
    teacher = fetch_published_teacher(place)
    if teacher is not None:
        _OUT.print(f"The teacher is here: {teacher}.")
    _OUT.print(f"Nothing is approved yet: your rules are in {place.site / POLICY}.")
    _OUT.print(f"Next: eyebright client up --home {home}; a plan that then waits for you says how to prepare pictures.")


def leave(
    home: Home,
    without_telling: Annotated[
        bool, typer.Option("--without-telling", help="Leave although the server cannot be reached.")
    ] = False,
) -> None:
    """Withdraw from the federation: keys and membership are deleted, data and audit log stay."""
    place = HospitalHome(home)
    leave_federation(place, without_telling=without_telling)
    _OUT.print(f"Left. Data, policy and audit log are still in {place.site}.")
