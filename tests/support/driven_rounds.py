"""Rounds of one plan, driven in this process over hospitals made of values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eyebright_common.plan import Plan
from eyebright_server.federation.checkpoint import Checkpoint, weights_digest
from eyebright_server.federation.records import Arrays, FederationResult
from eyebright_server.federation.rounds import RoundDriver
from eyebright_server.federation.rules import RoundRules
from eyebright_server.federation.run import averaging_for
from value_hospitals import small_arrays


def place_of(folder: Path, plan: Plan, *, first: Arrays, hospitals: int) -> Checkpoint:
    """Return where a run is kept."""
    return Checkpoint(
        folder=folder, plan_digest=plan.digest(), initial_sha256=weights_digest(first), hospitals=hospitals
    )


def driven(
    people: Any,
    folder: Path,
    plan: Plan,
    *,
    first: Arrays | None = None,
    rules: RoundRules | None = None,
    **options: Any,
) -> FederationResult:
    """Run the plan's rounds, or finish them, on a clock that stands still.

    Args:
        people: The hospitals.
        folder: Of the run.
        plan: What they are asked.
        first: The student before the first round; ``small_arrays`` when left out.
        rules: Of the server.
        options: More of the driver's fields.
    """
    start = first or small_arrays()
    driver = RoundDriver(
        plan=plan,
        hospitals=people,
        averaging=averaging_for(plan, folder),
        checkpoint=place_of(folder, plan, first=start, hospitals=len(people)),
        rules=rules or RoundRules(),
        clock=lambda: 0.0,
        **options,
    )
    return driver.run(start)
