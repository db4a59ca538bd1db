"""``eyebright client approve``: agree to one plan, by its digest, after reading it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from eyebright_client.app.prepared_for import prepared_for
from eyebright_client.enrolment.home import HospitalHome
from eyebright_client.policy.approval import FILE_NAME, Policy, read_policy
from eyebright_client.policy.asked_plans import asked_plans
from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_common.plan import Plan

_SHORTEST = 8


def approve(
    plan: Annotated[str, typer.Argument(help="A plan file, or the first characters of a digest the server asked for.")],
    home: Annotated[Path, typer.Option(help="The hospital's home folder.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Show a plan, ask, note its digest in the policy, and fetch the teacher it names."""
    from eyebright_client.enrolment.teacher import fetch_teacher

    out, place = Console(soft_wrap=True, highlight=False, markup=False), HospitalHome(home)
    place.membership()
    found, policy = find_plan(place.site, plan), read_policy(place.site)
    table = Table("field", "value", title=f"plan {found.digest()}")
    for name, value in found.model_dump(mode="json").items():
        table.add_row(name, str(value))
    out.print(table)
    if not yes:
        typer.confirm("Approve this plan?", abort=True)
    if found.teacher_sha256 is not None:
        fetch_teacher(place, found.teacher_sha256)
        out.print(f"The teacher is here: {found.teacher_sha256}.")
    add_approval(place.site, policy, found)
    out.print(f"Approved: {found.digest()}.")
    if wanting := _not_ready(place.site, found):
        command = f"eyebright client prepare DATA --home {home} --image-size {found.image_size} --task {found.task}"
        out.print(f"Not ready yet: {wanting}. Next: {command}")


def _not_ready(site: Path, plan: Plan) -> str:
    """Return why the site's pictures cannot serve this plan; empty where they can, as far as it is written down."""
    if not (site / "train.npz").is_file():
        return "no pictures are prepared"
    noted = prepared_for(site)
    return "" if noted is None else noted.differs_from(plan)


def find_plan(site: Path, given: str) -> Plan:
    """Return the plan in the file ``given``, or the one asked for whose digest begins so.

    Raises:
        InputError: there is no such plan, or more than one.
    """
    if Path(given).is_file():
        return Plan.from_json(Path(given).read_bytes())
    fitting = [plan for digest, plan in asked_plans(site).items() if digest.startswith(given)]
    if len(given) < _SHORTEST or len(fitting) != 1:
        fix = "Name a file, or at least eight characters of a digest that `eyebright client status` shows."
        raise InputError("no plan goes by this", value=given, fix=fix)
    return fitting[0]


def add_approval(site: Path, policy: Policy, plan: Plan) -> None:
    """Note a plan's digest in the policy; the other rules stay as they are."""
    if plan.digest() not in policy.approved_plans:
        changed = policy.model_copy(update={"approved_plans": (*policy.approved_plans, plan.digest())})
        write_bytes(site / FILE_NAME, changed.to_json())
