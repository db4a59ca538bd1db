"""What the pages "this unit" and "what leaves this unit" show.

What leaves is not described but looked up: the very report that would go to the operator next, in words and in bytes.
Both pages bring the agent and gRPC with them, so these are loaded for whoever looks and not for every kiosk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from eyebright_edge.agent.home import UnitHome
from eyebright_edge.catalogues import Words
from eyebright_edge.kiosk.health import Health

if TYPE_CHECKING:
    from eyebright_common.wire.telemetry import DayCounts, Telemetry

_GB = 1024**3


def unit_view(home: UnitHome, health: Health, words: Words, *, open_leftovers: int = 0) -> dict[str, Any]:
    """Return the rows of "this unit", each a name, a value and whether it needs attention, and what is next.

    Args:
        home: The unit's home.
        health: Of the machine.
        words: The technician's language.
        open_leftovers: How many pictures and lines of before there was a vault are not encrypted yet.
    """
    from eyebright_edge.reports.status_report import status_facts

    facts = status_facts(home)
    active = facts["active"] or {}
    damaged = facts["visits"]["damaged_lines"]
    since = active.get("activated_at")
    rows = [
        (words("unit.release"), facts["serving"] or words("unit.none"), not facts["serving"]),
        (words("unit.since"), words.day(datetime.fromisoformat(since)) if since else words("unit.unknown"), False),
        *_proof_row(active.get("proof"), words),
        (words("unit.disk"), *_disk(health, words)),
        (words("unit.memory"), *_memory(health, words)),
        (words("unit.temperature"), *_temperature(health, words)),
        (words("unit.network"), _network(health, words), False),
        (words("unit.records"), words("unit.damaged", lines=damaged) if damaged else words("unit.fine"), bool(damaged)),
        *([("", words("unit.leftovers", count=open_leftovers), True)] if open_leftovers else []),
    ]
    visits = [(words(f"verdict.{word}"), count) for word, count in facts["visits"]["verdicts"].items()]
    return {"rows": rows, "visits": visits, "next_step": str(facts["next"]), "unit_notices": facts["notices"]}


def leaves_view(home: UnitHome, words: Words, *, today: date) -> dict[str, Any]:
    """Return the next report to the operator, whole: its state as rows, its days as tables, and its very bytes.

    Args:
        home: The unit's home.
        words: The technician's language.
        today: The present day, UTC.
    """
    from eyebright_edge.agent.unit_report import next_report
    from eyebright_edge.records.telemetry import FLOOR, LEAST_PATIENTS, acknowledged_through

    report = next_report(home, today=today)
    told, shadow = report.telemetry, report.shadow
    assert told is not None
    nothing = words("leaves.nothing")
    proven = {True: words("answer.yes"), False: words("answer.no"), None: words("answer.unknown")}
    totals = {"REFER": report.verdicts.refer, "NO REFERRAL": report.verdicts.no_referral}
    totals["UNGRADABLE"] = report.verdicts.ungradable
    state = [
        (words("leaves.task"), report.task or nothing),
        (words("leaves.version"), report.active_version or nothing),
        (words("leaves.ending"), report.state),
        (words("leaves.runtime"), report.backend or nothing),
        (words("leaves.golden"), ". ".join((proven[report.golden_passed], *_proof_lines(told, words)))),
        (words("leaves.problem"), report.last_error or nothing),
        (words("leaves.shadow"), words("leaves.alike", **shadow.model_dump()) if shadow else nothing),
        (words("unit.software"), report.software),
        (
            words("unit.temperature"),
            words("unit.unknown") if told.temperature_c is None else f"{told.temperature_c} °C",
        ),
        (words("leaves.screened"), str(report.screened)),
        (words("leaves.verdicts"), ", ".join(f"{words(f'verdict.{word}')}: {count}" for word, count in totals.items())),
    ]
    through = acknowledged_through(home.root)
    acknowledged = words("leaves.acknowledged", day=words.day(through)) if through else words("leaves.unacknowledged")
    rules = [words("leaves.coarse", step=FLOOR, least=LEAST_PATIENTS), words("leaves.floor", most=FLOOR - 1)]
    return {
        "sent": state,
        "rules": [*rules, acknowledged],
        "days": [(words.day(day.day), _day_rows(day, words)) for day in told.days],
        "exact": json.dumps(report.model_dump(mode="json"), indent=1),
    }


def _proof_lines(told: Telemetry, words: Words) -> tuple[str, ...]:
    return () if told.golden_cases is None else (words("unit.proof", cases=told.golden_cases, flips=told.golden_flips),)


def _day_rows(day: DayCounts, words: Words) -> list[tuple[str, str]]:
    """Return the tables of one day in words; what is left out says so."""

    def shown(cells: Mapping[str, int | None], word_of: Callable[[str], str]) -> str:
        told = [(word_of(word), words("leaves.not_told") if n is None else str(n)) for word, n in cells.items()]
        return ", ".join(f"{word}: {count}" for word, count in told) or words("leaves.nothing")

    def took(bound: str) -> str:
        return words("leaves.up_to", seconds=f"{int(bound) / 1000:g}") if bound.isdigit() else words("leaves.longer")

    def reason(word: str) -> str:
        known = next((key for key in (f"reason.{word}", f"leaves.reason_{word}") if key in words), "")
        return words(known) if known else f"{words('reason.file')} ({word})"

    def camera(word: str) -> str:
        return words.first(f"leaves.camera_{word}", "leaves.camera", camera=word)

    return [
        (words("leaves.results"), shown(day.results, lambda w: words(f"verdict.{w.upper().replace('-', ' ')}"))),
        (words("leaves.reasons"), shown(day.reasons, reason)),
        (words("leaves.cameras"), shown(day.cameras, camera)),
        (words("leaves.milliseconds"), shown(day.milliseconds, took)),
    ]


def _proof_row(proof: dict[str, Any] | None, words: Words) -> list[tuple[str, str, bool]]:
    if not proof:
        return []
    line = words("unit.proof", cases=proof["cases"], flips=proof["decision_flips"])
    return [("", line, bool(proof["decision_flips"]))]


def _disk(health: Health, words: Words) -> tuple[str, bool]:
    if health.disk_free_bytes is None or health.disk_bytes is None:
        return words("unit.unknown"), False
    free, total = f"{health.disk_free_bytes / _GB:.0f}", f"{health.disk_bytes / _GB:.0f}"
    low = f" · {words('unit.low')}" if health.disk_low else ""
    return words("unit.free", free=free, total=total) + low, health.disk_low


def _memory(health: Health, words: Words) -> tuple[str, bool]:
    if health.memory_free_bytes is None:
        return words("unit.unknown"), False
    return words("unit.available", free=f"{health.memory_free_bytes / _GB:.1f}"), False


def _temperature(health: Health, words: Words) -> tuple[str, bool]:
    if health.celsius is None:
        return words("unit.unknown"), False
    return f"{health.celsius:.0f} °C" + (f" · {words('unit.hot')}" if health.hot else ""), health.hot


def _network(health: Health, words: Words) -> str:
    states = {True: "unit.up", False: "unit.down", None: "unit.unknown"}
    return words(states[health.network])
