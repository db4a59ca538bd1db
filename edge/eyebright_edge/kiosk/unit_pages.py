"""What the pages "this unit" and "what leaves this unit" show.

What leaves is not described but looked up: the very facts that the next report to the operator would be made from.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.settings import read_settings
from eyebright_edge.agent.unit_report import unit_facts
from eyebright_edge.agent.update_record import read_record
from eyebright_edge.catalogues import Words
from eyebright_edge.kiosk.health import Health
from eyebright_edge.reports.status_report import status_facts

_GB = 1024**3


def unit_view(home: UnitHome, health: Health, words: Words) -> dict[str, Any]:
    """Return the rows of "this unit", each a name, a value and whether it needs attention, and what is next."""
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
    ]
    visits = [(words(f"verdict.{word}"), count) for word, count in facts["visits"]["verdicts"].items()]
    return {"rows": rows, "visits": visits, "next_step": str(facts["next"]), "unit_notices": facts["notices"]}


def leaves_view(home: UnitHome, words: Words) -> list[tuple[str, str]]:
    """Return everything that the next report to the operator holds: a name and the value of now."""
    facts = unit_facts(home, read_record(home), task=read_settings(home).task)
    counts = ", ".join(f"{words(f'verdict.{word}')}: {count}" for word, count in facts.verdicts.items())
    nothing = words("leaves.nothing")
    proven = {True: words("answer.yes"), False: words("answer.no"), None: words("answer.unknown")}
    return [
        (words("leaves.task"), facts.task),
        (words("leaves.version"), facts.active_version or nothing),
        (words("leaves.ending"), str(facts.ending)),
        (words("leaves.runtime"), facts.runtime or nothing),
        (words("leaves.golden"), proven[facts.golden_passed]),
        (words("leaves.screened"), str(facts.screened)),
        (words("leaves.verdicts"), counts),
        (words("leaves.problem"), facts.problem or nothing),
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
