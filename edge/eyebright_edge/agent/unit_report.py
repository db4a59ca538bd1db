"""What a unit tells the operator: its release, how the last update went, how often each answer was given.

Counts only, and only since the active release began to serve. No picture, no name, no score, no time of a visit; the
wire's own closed message makes sure of it once more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from eyebright_common.release import Verdict
from eyebright_common.wire.telemetry import Telemetry
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.receipt import read_receipt
from eyebright_edge.agent.update_record import Ending, UpdateRecord
from eyebright_edge.records import VisitJournal
from eyebright_edge.records.telemetry import acknowledged_through, machine_temperature_c, pending_telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFacts:
    """The state of this unit in numbers and fixed words.

    Attributes:
        task: What it screens for.
        active_version: The release that serves, None without one.
        ending: What the last update came to.
        runtime: What computes.
        golden_passed: Whether the active release proved itself here; for a refused one, False.
        screened: Pictures since the release became active.
        verdicts: Patients by answer since then.
        problem: Kind of the last error, e.g. ``golden-mismatch``.
        telemetry: Counts of the days that the server has not acknowledged yet.
    """

    task: str
    active_version: str | None
    ending: Ending
    runtime: str | None
    golden_passed: bool | None
    screened: int
    verdicts: dict[Verdict, int]
    problem: str | None
    telemetry: Telemetry | None = None


def unit_facts(home: UnitHome, record: UpdateRecord, *, task: str, today: date | None = None) -> UnitFacts:
    """Return what to report when an update has come to its end; with the days before ``today``, if that is given."""
    active = read_receipt(home).active
    proof = active.proof if active else None
    counts = VisitJournal(home.visits_file).counts(release=active.version if active else None)
    return UnitFacts(
        task=task,
        active_version=active.version if active else None,
        ending=record.ending or (Ending.WAITING if record.waiting else Ending.FAILED),
        runtime=proof.runtime if proof else None,
        golden_passed=False if record.problem == "golden-mismatch" else proof.passed if proof else None,
        screened=counts.pictures,
        verdicts=dict(counts.verdicts),
        problem=record.problem,
        telemetry=unit_telemetry(home, today=today) if today else None,
    )


def unit_telemetry(home: UnitHome, *, today: date) -> Telemetry:
    """Return what of this unit's days goes with the next report."""
    active = read_receipt(home).active
    proof = active.proof if active else None
    return pending_telemetry(
        VisitJournal(home.visits_file).visits(),
        today=today,
        through=acknowledged_through(home.root),
        temperature_c=machine_temperature_c(),
        golden=(proof.cases, proof.decision_flips) if proof else None,
    )


def error_word(error: Exception) -> str:
    """Return the kind of an error as a fixed word, e.g. ``golden-mismatch``; nothing of its message."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(error).__name__).lower()
