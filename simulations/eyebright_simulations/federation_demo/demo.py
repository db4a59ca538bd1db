"""The story that ``make federation`` tells: a server, hospitals that join by invitation, and rounds over TLS."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from eyebright_common.errors import EyebrightError
from eyebright_common.plan import Plan
from eyebright_simulations.federation_demo.hospitals import demonstration_plan, open_hospital
from eyebright_simulations.federation_demo.processes import Command, free_ports, run_once
from eyebright_simulations.federation_demo.round_times import round_times

_DEADLINE_S = 120.0
_ROUNDS_S = 1800.0


@dataclass(slots=True, kw_only=True)
class RunningFederation:
    """A server and hospitals that are up.

    Attributes:
        operator: The operator's folder.
        server: The process of ``eyebright server up``.
        hospitals: The processes of ``eyebright client up``, by name.
        homes: The hospitals' homes, by name.
        plan: What they have approved.
        plan_file: It, written down.
    """

    operator: Path
    server: Command
    hospitals: dict[str, Command]
    homes: dict[str, Path]
    plan: Plan
    plan_file: Path

    @property
    def sites(self) -> list[Path]:
        """The hospitals' site folders, in the order of their numbers."""
        return [home / "site" for home in self.homes.values()]

    def start_server(self) -> None:
        """Start the server again; one that still runs is ended."""
        self.server.close()
        self.server = _server(self.operator)


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
        running = RunningFederation(
            operator=operator,
            server=_server(operator),
            hospitals={},
            homes={},
            plan=plan,
            plan_file=folder / "plan.json",
        )
        stack.callback(lambda: running.server.close())
        say(f"server up: {running.server.facts}")
        running.plan_file.write_text(plan.canonical_json())
        for number, name in enumerate(names):
            home = running.homes[name] = folder / name
            open_hospital(operator, home, name, plan=plan, rows=rows, seed=number)
            words = ["client", "up", "--home", home, "--runtime-port", runtime[number]]
            running.hospitals[name] = stack.enter_context(Command(words, log=folder / f"{name}.log"))
            say(f"{name} up: {running.hospitals[name].facts}")
        yield running
        for command in running.hospitals.values():
            command.ask_to_stop()


def _server(operator: Path) -> Command:
    return Command(["server", "up", operator], log=operator.parent / "server.log")


def run_rounds(running: RunningFederation, name: str, *, console: Console | None = None) -> dict[str, Any]:
    """Run the plan's rounds with the hospitals that are up, by the operator's own command; return its facts.

    Raises:
        EyebrightError: a round had no quorum.
    """
    said = (console or Console(quiet=True)).print
    words = ["server", "rounds", "start", running.operator, name, "--plan", running.plan_file]
    run_once([*words, "--deadline-s", _DEADLINE_S], told=said, timeout_s=_ROUNDS_S)
    status = json.loads(run_once(["server", "rounds", "status", running.operator, name, "--json"]))
    return dict(status["runs"][name])


def demonstrate(folder: Path, *, hospitals: int, rounds: int, console: Console) -> dict[str, Any]:
    """Run the whole story in ``folder``, which is emptied first.

    Raises:
        EyebrightError: something did not come up, or a round had no quorum.
    """
    begun = time.monotonic()
    if (folder / "operator").exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with running_federation(folder, hospitals=hospitals, rounds=rounds, console=console) as running:
        found = run_rounds(running, "demonstration", console=console)
        for name, home in running.homes.items():
            console.print(f"\nwhat left {name}:")
            console.print(run_once(["client", "audit", "--home", home]), end="")
        times = round_times(running.operator, running.sites)
    accepted = {row["round"]: row["accepted"] for row in found["rounds"]}
    if any(len(sites) < hospitals for sites in accepted.values()):
        raise EyebrightError("a hospital did not count in a round", value=accepted, fix=f"Read the logs in {folder}.")
    console.print()
    for each in times:
        console.print(f"round {each.round} over TLS: {each}")
    seconds = time.monotonic() - begun
    console.print(f"\n{len(accepted)} rounds with {hospitals} hospitals in {seconds:.0f} s; accepted: {accepted}")
    return found
