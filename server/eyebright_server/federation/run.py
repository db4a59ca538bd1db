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
from eyebright_server.federation.privacy import PrivateAveraging, noise_secret
from eyebright_server.federation.records import Arrays, FederationEvent, FederationResult
from eyebright_server.federation.rounds import Averaging, RoundDriver, over
from eyebright_server.federation.rules import RoundRules
from eyebright_server.records import Records

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
    rules: RoundRules | None = None,
    records: Records | None = None,
    signature: str = "",
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
        rules: The server's rules for its rounds.
        records: The server's records; None keeps a ledger in ``checkpoint``.
        signature: Of the plan, by the operator.

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
    kept = rules or RoundRules()
    kept.quorum_of(len(sites))
    finished: list[FederationResult] = []

    def main(hospitals: FlowerHospitals) -> None:
        driver = RoundDriver(
            plan=plan,
            hospitals=hospitals,
            averaging=averaging_for(plan, checkpoint),
            checkpoint=place,
            rules=kept,
            records=records,
            on_event=on_event or (lambda event: None),
        )
        finished.append(driver.run(start))

    app = client_app if client_app is not None else resolve_name(CLIENT_APP)(list(sites))
    if backend == "local" or _nothing_left(place, plan, kept):
        run_locally(main, client_app=app, hospitals=len(sites), deadline_s=deadline_s, signature=signature)
    else:
        run_with_ray(
            main,
            client_app=app,
            hospitals=len(sites),
            deadline_s=deadline_s,
            cpus=cpus,
            cpus_per_hospital=min(cpus, cpus_per_hospital),
            signature=signature,
        )
    if not finished:
        raise FederationError("the rounds ended without a result", fix="Run again to resume.")
    return finished[0]


def averaging_for(plan: Plan, folder: Path) -> Averaging:
    """Return how the plan's students become one; with privacy, the run's secret is kept in ``folder``."""
    if plan.privacy is not None:
        return PrivateAveraging(plan.privacy, noise_secret(folder))
    return StrategyAveraging(plan.aggregation, plan.hostile)


def _check(plan: Plan, sites: Sequence[Path], backend: str) -> None:
    if backend not in BACKENDS:
        raise InputError("unknown backend", value=backend, fix=f"Choose one of: {', '.join(BACKENDS)}.")
    least = least_hospitals(plan.aggregation, plan.hostile)
    if len(sites) < least:
        raise InputError(f"{plan.aggregation} needs {least} hospitals", value=len(sites), fix="Use fedavg.")
    missing = [site for site in sites if not Path(site).is_dir()]
    if missing:
        raise InputError("a site directory does not exist", value=missing[0], fix="Prepare every site first.")


def _nothing_left(place: Checkpoint, plan: Plan, rules: RoundRules) -> bool:
    state = place.load()
    return state is not None and over(state, plan, rules) is not None
