"""One federated run from plan to best student."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np

from eyebright_common.errors import FederationError, InputError
from eyebright_common.exchange import is_counter
from eyebright_common.plan import Plan
from eyebright_server.federation.checkpoint import Checkpoint, weights_digest
from eyebright_server.federation.flower import (
    FlowerHospitals,
    StrategyAveraging,
    least_hospitals,
    run_locally,
    run_with_ray,
)
from eyebright_server.federation.records import Arrays, FederationEvent, FederationResult
from eyebright_server.federation.rounds import RoundDriver

# The hospital's app is named, as Flower names apps; the server does not import the hospital's package.
CLIENT_APP = "eyebright_client.app:make_client_app"
BACKENDS = ("local", "ray")


def run_federation(
    *,
    plan: Plan,
    initial: Mapping[str, np.ndarray],
    sites: Sequence[Path],
    backend: str = "local",
    on_event: Callable[[FederationEvent], None] | None = None,
    checkpoint: Path,
    client_app: Any | None = None,
    deadline_s: float | None = None,
    cpus: int = 2,
    cpus_per_hospital: int = 2,
) -> FederationResult:
    """Run the plan's rounds with the hospitals in ``sites``, or finish a run that was cut short.

    Args:
        plan: What every hospital is asked.
        initial: Arrays of the student before the first round; step counters are left out of what travels.
        sites: Site directories, one per hospital.
        backend: ``local`` calls hospitals in this process, one after the other; ``ray`` is Flower's simulation engine.
        on_event: Told of every step; with ``ray`` it is called from another thread.
        checkpoint: Folder of this run. A finished run there is returned without asking anybody.
        client_app: A Flower ClientApp in place of the hospital's own, e.g. one with faults.
        deadline_s: Seconds after which a question to the hospitals is closed; None waits.
        cpus: Processors Ray may plan with.
        cpus_per_hospital: Processors one hospital takes under Ray.

    Raises:
        FederationError: a round had no quorum, or the checkpoint is of another run.
        InputError: an argument cannot be used.
    """
    _check(plan, sites, backend)
    start: Arrays = {name: np.asarray(initial[name]) for name in sorted(initial) if not is_counter(name)}
    place = Checkpoint(
        folder=checkpoint,
        plan_digest=plan.digest(),
        initial_sha256=weights_digest(start),
        hospitals=len(sites),
    )
    finished: list[FederationResult] = []

    def main(hospitals: FlowerHospitals) -> None:
        driver = RoundDriver(
            plan=plan,
            hospitals=hospitals,
            averaging=StrategyAveraging(plan.aggregation),
            checkpoint=place,
            on_event=on_event or (lambda event: None),
        )
        finished.append(driver.run(start))

    app = client_app if client_app is not None else resolve_name(CLIENT_APP)(list(sites))
    if backend == "local" or _nothing_left(place, plan):
        run_locally(main, client_app=app, hospitals=len(sites), deadline_s=deadline_s)
    else:
        run_with_ray(
            main,
            client_app=app,
            hospitals=len(sites),
            deadline_s=deadline_s,
            cpus=cpus,
            cpus_per_hospital=min(cpus, cpus_per_hospital),
        )
    if not finished:
        raise FederationError("the rounds ended without a result", fix="Run again to resume.")
    return finished[0]


def _check(plan: Plan, sites: Sequence[Path], backend: str) -> None:
    if backend not in BACKENDS:
        raise InputError("unknown backend", value=backend, fix=f"Choose one of: {', '.join(BACKENDS)}.")
    least = least_hospitals(plan.aggregation, plan.hostile)
    if len(sites) < least:
        raise InputError(f"{plan.aggregation} needs {least} hospitals", value=len(sites), fix="Use fedavg.")
    missing = [site for site in sites if not Path(site).is_dir()]
    if missing:
        raise InputError("a site directory does not exist", value=missing[0], fix="Prepare every site first.")


def _nothing_left(place: Checkpoint, plan: Plan) -> bool:
    state = place.load()
    return state is not None and state.records[-1].round >= plan.rounds
