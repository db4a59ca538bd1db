"""What a round over TLS costs beyond its slowest hospital's own work: read afterwards from both sides' own logs.

The operator's ledger says when a round was opened (for the last time, if it was repeated) and closed; a hospital's
border log says when a question came in and its answer went out. Nothing is timed in the processes themselves, so what
is measured is what ran. The border log tells time in whole seconds, so short rounds give a rough ratio.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from eyebright_client.audit.crossings import AuditLine, read_audit
from eyebright_server.records import LedgerEntry, Records

# The border log's seconds are cut off; a question that came within the second in which its round was opened is ours.
_RESOLUTION = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTime:
    """One round.

    Attributes:
        round: Its number.
        seconds: From opening to closing it.
        own_s: The work of the hospital that worked longest in it, training and evaluation.
    """

    round: int
    seconds: float
    own_s: float

    def __str__(self) -> str:
        ratio = f", {self.seconds / self.own_s:.2f} times" if self.own_s else ""
        return f"{self.seconds:.0f} s; its slowest hospital's own work: {self.own_s:.0f} s{ratio}"


def round_times(operator: Path, sites: Iterable[Path]) -> list[RoundTime]:
    """Return the times of the rounds that the operator's last run has closed.

    Args:
        operator: The operator's folder.
        sites: The hospitals' site folders.

    Raises:
        EyebrightError: a ledger or a border log does not verify.
    """
    with Records.open(operator / "records.sqlite") as records:
        records.verify_ledger()
        entries = records.ledger()
    return times_of(entries, [read_audit(site).lines for site in sites])


def times_of(entries: Sequence[LedgerEntry], hospitals: Sequence[Sequence[AuditLine]]) -> list[RoundTime]:
    """Return the times of the last run's closed rounds, from the ledger's entries and the hospitals' lines."""
    run = next((entry.facts["run"] for entry in reversed(entries) if entry.kind == "run-opened"), None)
    opened: dict[int, datetime] = {}
    found = []
    for entry in (entry for entry in entries if run is not None and entry.facts.get("run") == run):
        if entry.kind == "round-opened":
            opened[entry.facts["round"]] = datetime.fromisoformat(entry.time)
        if entry.kind == "round-closed":
            number, ended = entry.facts["round"], datetime.fromisoformat(entry.time)
            begun = opened[number]
            own = max((_work(lines, number, begun, ended) for lines in hospitals), default=0.0)
            found.append(RoundTime(round=number, seconds=(ended - begun).total_seconds(), own_s=own))
    return found


def _work(lines: Sequence[AuditLine], number: int, begun: datetime, ended: datetime) -> float:
    """Seconds between each question of a round and the answer that went out next."""
    asked: datetime | None = None
    seconds = 0.0
    for line in lines:
        at = datetime.fromisoformat(line.at)
        if line.round != number or line.kind == "query" or not begun - _RESOLUTION <= at <= ended:
            continue
        if line.direction == "in":
            asked = at
        elif asked is not None:
            seconds, asked = seconds + (at - asked).total_seconds(), None
    return seconds
