"""The story that ``make federation`` tells: a server, hospitals that join by invitation, and rounds over TLS."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from eyebright_common.errors import EyebrightError
from eyebright_common.plan import Plan
from eyebright_learning.models import build_student
from eyebright_server.distribution import OperatorFolder
from eyebright_server.federation.records import FederationEvent, FederationResult
from eyebright_server.superlink.credentials import SuperLinkAccess, superlink_access
from eyebright_server.superlink.federate import federate
from eyebright_simulations.federation_demo.hospitals import demonstration_plan, open_hospital
from eyebright_simulations.federation_demo.processes import Command, free_ports, run_once

_DEADLINE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningFederation:
    """A server and hospitals that are up.

    Attributes:
        operator: The operator's folder.
        access: The SuperLink, from the operator's position.
        server: The process of ``eyebright server up``.
        hospitals: The processes of ``eyebright client up``, by name.
        homes: The hospitals' homes, by name.
        plan: What they have approved.
    """

    operator: Path
    access: SuperLinkAccess
    server: Command
    hospitals: dict[str, Command]
    homes: dict[str, Path]
    plan: Plan


@contextmanager
def running_federation(
    folder: Path, *, hospitals: int, rounds: int, rows: int = 24, console: Console | None = None
) -> Iterator[RunningFederation]:
    """Start everything in ``folder`` as processes of its own, and end every one of them afterwards.

    Raises:
        EyebrightError: a process does not come up.
    """
    say = (console or Console(quiet=True)).print
    operator, plan = folder / "operator", demonstration_plan(rounds=rounds)
    names = [f"hospital-{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"[:hospitals]]
    enrolment, distribution, fleet, superlink, *runtime = free_ports(4 + hospitals)
    ports = ["--enrolment-port", enrolment, "--distribution-port", distribution]
    run_once(["server", "init", operator, *ports, "--fleet-port", fleet, "--superlink-port", superlink])
    with ExitStack() as stack:
        server = stack.enter_context(Command(["server", "up", operator], log=folder / "server.log"))
        say(f"server up: {server.facts}")
        homes, clients = {}, {}
        for number, name in enumerate(names):
            homes[name] = folder / name
            open_hospital(operator, homes[name], name, plan=plan, rows=rows, seed=number)
            words = ["client", "up", "--home", homes[name], "--runtime-port", runtime[number]]
            clients[name] = stack.enter_context(Command(words, log=folder / f"{name}.log"))
            say(f"{name} up: {clients[name].facts}")
        with OperatorFolder.open(operator) as opened:
            access = superlink_access(opened)
        yield RunningFederation(
            operator=operator, access=access, server=server, hospitals=clients, homes=homes, plan=plan
        )


def run_rounds(running: RunningFederation, checkpoint: Path, *, console: Console | None = None) -> FederationResult:
    """Run the plan's rounds with the hospitals that are up."""
    say = (console or Console(quiet=True)).print
    student = build_student(running.plan.student, classes=len(running.plan.classes), seed=running.plan.seed)
    initial = {name: tensor.detach().cpu().numpy() for name, tensor in student.state_dict().items()}

    def tell(event: FederationEvent) -> None:
        who = "" if event.site is None else f" hospital {event.site}"
        say(f"round {event.round}: {event.kind.replace('_', ' ')}{who} {event.detail}".rstrip())

    return federate(
        access=running.access,
        plan=running.plan,
        initial=initial,
        hospitals=len(running.hospitals),
        checkpoint=checkpoint,
        on_event=tell,
        deadline_s=_DEADLINE_S,
    )


def demonstrate(folder: Path, *, hospitals: int, rounds: int, console: Console) -> FederationResult:
    """Run the whole story in ``folder``, which is emptied first.

    Raises:
        EyebrightError: something did not come up, or a round had no quorum.
    """
    begun = time.monotonic()
    if (folder / "operator").exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with running_federation(folder, hospitals=hospitals, rounds=rounds, console=console) as running:
        result = run_rounds(running, folder / "rounds", console=console)
        for name, home in running.homes.items():
            console.print(f"\nwhat left {name}:")
            console.print(run_once(["client", "audit", "--home", home]), end="")
    accepted = {record.round: list(record.accepted) for record in result.rounds}
    if any(len(sites) < hospitals for sites in accepted.values()):
        raise EyebrightError("a hospital did not count in a round", value=accepted, fix=f"Read the logs in {folder}.")
    seconds = time.monotonic() - begun
    console.print(f"\n{len(result.rounds)} rounds with {hospitals} hospitals in {seconds:.0f} s; accepted: {accepted}")
    return result
