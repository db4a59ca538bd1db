"""One federated run from plan to best student.

``run_rounds`` is the whole of it, whatever the hospitals are reached by; ``run_federation`` reaches site folders on
this machine, ``superlink.federate`` the hospitals of an operator's SuperLink.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np

from eyebright_common.errors import FederationError, InputError
from eyebright_common.exchange import is_counter
from eyebright_common.plan import Plan
from eyebright_server.federation.checkpoint import Checkpoint, weights_digest
from eyebright_server.federation.ending import finished_run
from eyebright_server.federation.flower import (
    FlowerHospitals,
    StrategyAveraging,
    least_hospitals,
    run_locally,
    run_with_ray,
)
from eyebright_server.federation.privacy import PrivateAveraging, noise_secret
from eyebright_server.federation.records import Arrays, FederationEvent, FederationResult
from eyebright_server.federation.rounds import Averaging, RoundDriver
from eyebright_server.federation.rules import RoundRules
from eyebright_server.federation.run_folder import check_sites
from eyebright_server.records import Records

# The hospital's app is named, as Flower names apps; the server does not import the hospital's package.
CLIENT_APP = "eyebright_client.app:make_client_app"
BACKENDS = ("local", "ray")
Reach = Callable[[Callable[[FlowerHospitals], None]], None]


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
    _check(sites, backend)
    app = client_app if client_app is not None else resolve_name(CLIENT_APP)(list(sites))
    transport: dict[str, Any] = {
        "client_app": app,
        "hospitals": len(sites),
        "deadline_s": deadline_s,
        "signature": signature,
    }
    if backend == "ray":
        transport |= {"cpus": cpus, "cpus_per_hospital": min(cpus, cpus_per_hospital)}
    return run_rounds(
        partial(run_with_ray if backend == "ray" else run_locally, **transport),
        plan=plan,
        initial=initial,
        hospitals=len(sites),
        checkpoint=checkpoint,
        on_event=on_event,
        rules=rules,
        records=records,
    )


def run_rounds(
    reach: Reach,
    *,
    plan: Plan,
    initial: Mapping[str, np.ndarray],
    hospitals: int,
    checkpoint: Path,
    on_event: Callable[[FederationEvent], None] | None = None,
    rules: RoundRules | None = None,
    records: Records | None = None,
) -> FederationResult:
    """Run the plan's rounds over any transport, or finish a run that was cut short.

    Args:
        reach: Calls its argument, once, with the hospitals of the run. Not called for a run that is finished.
        plan: What every hospital is asked.
        initial: Arrays of the student before the first round; step counters are left out of what travels.
        hospitals: How many there are.
        checkpoint: Folder of this run.
        on_event: Told of every step, from the thread that runs the rounds.
        rules: The server's rules for its rounds.
        records: The server's records; None keeps a ledger in ``checkpoint``.

    Raises:
        FederationError: a round had no quorum, or the checkpoint is of another run.
        InputError: there are fewer hospitals than the plan's averaging or the rules' quorum needs.
    """
    least = least_hospitals(plan.aggregation, plan.hostile)
    if hospitals < least:
        raise InputError(f"{plan.aggregation} needs {least} hospitals", value=hospitals, fix="Use fedavg.")
    kept = rules or RoundRules()
    kept.quorum_of(hospitals)
    start: Arrays = {name: np.asarray(initial[name]) for name in sorted(initial) if not is_counter(name)}
    place = Checkpoint(
        folder=checkpoint, plan_digest=plan.digest(), initial_sha256=weights_digest(start), hospitals=hospitals
    )
    finished = [done for done in [finished_run(place, plan, kept)] if done is not None]

    def main(people: FlowerHospitals) -> None:
        driver = RoundDriver(
            plan=plan,
            hospitals=people,
            averaging=averaging_for(plan, checkpoint),
            checkpoint=place,
            rules=kept,
            records=records,
            on_event=on_event or (lambda event: None),
        )
        finished.append(driver.run(start))

    if not finished:
        reach(main)
    if not finished:
        raise FederationError("the rounds ended without a result", fix="Run again to resume.")
    return finished[0]


def averaging_for(plan: Plan, folder: Path) -> Averaging:
    """Return how the plan's students become one; with privacy, the run's secret is kept in ``folder``."""
    if plan.privacy is not None:
        return PrivateAveraging(plan.privacy, noise_secret(folder))
    return StrategyAveraging(plan.aggregation, plan.hostile)


def _check(sites: Sequence[Path], backend: str) -> None:
    if backend not in BACKENDS:
        raise InputError("unknown backend", value=backend, fix=f"Choose one of: {', '.join(BACKENDS)}.")
    check_sites([Path(site) for site in sites])
