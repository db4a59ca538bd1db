"""What a unit tells the operator: its release, how the last update went, how often each answer was given.

Counts only, of finished days only, and none so small or so exact that it tells of one visit (``records.telemetry``). No
picture, no name, no score, no time of a visit; the wire's own closed message makes sure of it once more.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import date

from eyebright_common import __version__
from eyebright_common.release import Verdict
from eyebright_common.wire.report import ShadowAgreement, UnitStatus, Verdicts
from eyebright_common.wire.telemetry import Telemetry
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.receipt import read_receipt
from eyebright_edge.agent.settings import read_settings
from eyebright_edge.agent.trial import shadow_agreement
from eyebright_edge.agent.update_record import Ending, UpdateRecord, read_record
from eyebright_edge.records import VisitJournal
from eyebright_edge.records.telemetry import (
    acknowledged_through,
    machine_temperature_c,
    pending_telemetry,
    told_totals,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFacts:
    """The state of this unit in numbers and fixed words.

    Attributes:
        task: What it screens for.
        active_version: The release that serves, None without one.
        ending: What the last update came to.
        runtime: What computes.
        golden_passed: Whether the active release proved itself here; for a refused one, False.
        screened: Pictures with the active release, rounded.
        verdicts: Patients by answer since then, rounded.
        problem: Kind of the last error, e.g. ``golden-mismatch``.
        telemetry: Counts of the days that the server has not acknowledged yet.
        shadow: How often the last release that ran unseen agreed, once its trial was over.
    """

    task: str
    active_version: str | None
    ending: Ending
    runtime: str | None
    golden_passed: bool | None
    screened: int
    verdicts: dict[Verdict, int]
    problem: str | None
    telemetry: Telemetry
    shadow: ShadowAgreement | None = None


def unit_facts(home: UnitHome, record: UpdateRecord, *, task: str, today: date) -> UnitFacts:
    """Return what to report when an update has come to its end.

    Args:
        home: The unit's home.
        record: Of the update.
        task: What the unit screens for.
        today: The present day, UTC; of the days before it is told.
    """
    receipt = read_receipt(home)
    active = receipt.active
    proof = active.proof if active else None
    visits = VisitJournal(home.visits_file).visits()
    version = active.version if active else None
    totals = told_totals(visits, release=version, today=today, secret=_secret(home))
    return UnitFacts(
        task=task,
        active_version=version,
        ending=record.ending or (Ending.WAITING if record.waiting else Ending.FAILED),
        runtime=proof.runtime if proof else None,
        golden_passed=False if record.problem == "golden-mismatch" else proof.passed if proof else None,
        screened=totals["pictures"],
        verdicts={word: totals[word] for word in (Verdict.REFER, Verdict.NO_REFERRAL, Verdict.UNGRADABLE)},
        problem=record.problem,
        telemetry=unit_telemetry(home, today=today),
        shadow=shadow_agreement(home, receipt.shadow.version) if receipt.shadow else None,
    )


def unit_status(facts: UnitFacts) -> UnitStatus:
    """Return the message that carries the facts."""
    return UnitStatus(
        task=facts.task,
        active_version=facts.active_version,
        state=facts.ending.value,
        backend=facts.runtime,
        golden_passed=facts.golden_passed,
        screened=facts.screened,
        verdicts=Verdicts(
            refer=facts.verdicts[Verdict.REFER],
            no_referral=facts.verdicts[Verdict.NO_REFERRAL],
            ungradable=facts.verdicts[Verdict.UNGRADABLE],
        ),
        last_error=facts.problem,
        software=__version__,
        telemetry=facts.telemetry,
        shadow=facts.shadow,
    )


def next_report(home: UnitHome, *, today: date) -> UnitStatus:
    """Return the report as it would be sent now, to be shown before it is.

    Raises:
        InputError: this is no unit's home.
    """
    return unit_status(unit_facts(home, read_record(home), task=read_settings(home).task, today=today))


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


def _secret(home: UnitHome) -> bytes:
    """Return what only this unit can know, and what is the same after a restart; a unit without a key has no report."""
    try:
        key = (home.identity / "key.pem").read_bytes()
    except OSError:
        key = b""
    return hashlib.sha256(b"eyebright rounded totals 1\n" + key).digest()


def error_word(error: Exception) -> str:
    """Return the kind of an error as a fixed word, e.g. ``golden-mismatch``; nothing of its message."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(error).__name__).lower()
