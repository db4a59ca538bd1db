"""The state of rollouts, read from the ledger: the last entry about a task is in force.

Each entry holds the whole rollout document, what was done, by whom and why. There is no table beside it that could say
something else, and nothing to move when the program changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from eyebright_common.release.rollout import Rollout
from eyebright_server.records.ledger import LedgerEntry

PREFIX = "rollout-"
Step = Literal["started", "promoted", "finished", "paused", "stopped", "resumed", "rolled-back", "not-signed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutState:
    """One entry about a rollout.

    Attributes:
        rollout: The document from then on.
        step: What was done.
        by: Who did it; ``watch`` when it was a stop rule.
        reason: Why.
        since: When the present ring was opened, or the rollout paused.
        seq: Number of the ledger's entry.
    """

    rollout: Rollout
    step: Step
    by: str
    reason: str
    since: datetime
    seq: int


def rollout_history(entries: Iterable[LedgerEntry], task: str) -> list[RolloutState]:
    """Return what happened to the rollouts of a task, oldest first."""
    return [
        RolloutState(
            rollout=Rollout.model_validate_json(json.dumps(entry.facts["rollout"])),
            step=entry.kind.removeprefix(PREFIX),  # type: ignore[arg-type]  # written by this package alone
            by=entry.facts["by"],
            reason=entry.facts["reason"],
            since=datetime.fromisoformat(entry.time),
            seq=entry.seq,
        )
        for entry in entries
        if entry.kind.startswith(PREFIX) and entry.facts["rollout"]["task"] == task
    ]


def current_rollout(entries: Iterable[LedgerEntry], task: str) -> RolloutState | None:
    """Return what is in force for a task; None when there never was a rollout."""
    history = rollout_history(entries, task)
    return history[-1] if history else None
