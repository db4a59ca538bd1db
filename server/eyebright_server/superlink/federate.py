"""One federated run over the operator's SuperLink, from plan to best student."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from eyebright_common.exchange import is_counter
from eyebright_common.plan import Plan
from eyebright_server.federation.checkpoint import Checkpoint, weights_digest
from eyebright_server.federation.flower import FlowerHospitals
from eyebright_server.federation.records import Arrays, FederationEvent, FederationResult
from eyebright_server.federation.rounds import RoundDriver
from eyebright_server.federation.run import averaging_for
from eyebright_server.superlink.credentials import SuperLinkAccess
from eyebright_server.superlink.rounds import run_on_superlink


def federate(
    *,
    access: SuperLinkAccess,
    plan: Plan,
    initial: Mapping[str, np.ndarray],
    hospitals: int,
    checkpoint: Path,
    on_event: Callable[[FederationEvent], None] = lambda event: None,
    deadline_s: float | None = None,
) -> FederationResult:
    """Run the plan's rounds with the connected hospitals, or finish a run that was cut short.

    Args:
        access: The operator's SuperLink.
        plan: What every hospital is asked.
        initial: Arrays of the student before the first round.
        hospitals: Number of hospitals to wait for.
        checkpoint: Folder of this run.
        on_event: Told of every step.
        deadline_s: Seconds after which a question to the hospitals is closed; None waits.

    Raises:
        FederationError: the SuperLink does not answer, hospitals are missing, a round had no quorum, or the
            checkpoint is of another run.
    """
    start: Arrays = {name: np.asarray(initial[name]) for name in sorted(initial) if not is_counter(name)}
    place = Checkpoint(
        folder=checkpoint, plan_digest=plan.digest(), initial_sha256=weights_digest(start), hospitals=hospitals
    )
    finished: list[FederationResult] = []

    def main(people: FlowerHospitals) -> None:
        driver = RoundDriver(
            plan=plan,
            hospitals=people,
            averaging=averaging_for(plan, checkpoint),
            checkpoint=place,
            on_event=on_event,
        )
        finished.append(driver.run(start))

    run_on_superlink(main, access=access, hospitals=hospitals, deadline_s=deadline_s)
    return finished[0]
