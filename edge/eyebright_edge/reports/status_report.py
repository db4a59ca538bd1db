"""A unit on one screen: what runs, since when, proven how, and what is next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from eyebright_common import __version__
from eyebright_common.errors import EyebrightError
from eyebright_common.release import RESEARCH_NOTICE
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.receipt import Installed, Receipt, read_receipt
from eyebright_edge.agent.settings import read_settings
from eyebright_edge.agent.transitions import State
from eyebright_edge.agent.update_record import Ending, UpdateRecord, read_record
from eyebright_edge.records import VisitJournal


def status_facts(home: UnitHome) -> dict[str, Any]:
    """Return the state of a unit, as JSON.

    Raises:
        InputError: there is no unit's home, or it has not been enrolled.
    """
    settings = read_settings(home)
    receipt, record = read_receipt(home), read_record(home)
    counts = VisitJournal(home.visits_file).counts()
    serving, notice = _serving(home)
    return {
        "schema": "eyebright.unit-status/1",
        "software": __version__,
        "home": str(home.root),
        "task": settings.task,
        "serving": serving,
        "active": _installed(receipt.active),
        "previous": _installed(receipt.previous),
        "withheld": [one.model_dump(mode="json") for one in receipt.withheld],
        "update": {
            "state": record.state.value,
            "ending": record.ending and record.ending.value,
            "version": record.version,
            "reason": record.reason,
            "at": record.entered_at and record.entered_at.isoformat(),
        },
        "visits": {
            "verdicts": {word.value: count for word, count in counts.verdicts.items()},
            "pictures": counts.pictures,
            "unfinished": counts.unfinished,
            "damaged_lines": counts.damaged_lines,
        },
        "notices": [notice] if notice else [],
        "next": next_step(serving, record, receipt),
        "research_use": RESEARCH_NOTICE,
    }


def next_step(serving: str | None, record: UpdateRecord, receipt: Receipt) -> str:
    """Return what a person should do next, in one or two sentences."""
    look = "`eyebright edge update`"
    if record.state is not State.IDLE:
        goes_on = " Screening goes on meanwhile." if serving else ""
        return f"An update stopped while it did {record.state}; {look} takes it up again.{goes_on}"
    if record.ending is Ending.FAILED:
        return f"The last update failed ({record.reason}). Try again with {look}."
    if record.ending is Ending.REFUSED:
        keeps = f"release {serving} goes on serving" if serving else "no release serves"
        return f"Release {record.version} was refused ({record.reason}); {keeps}. Tell the operator."
    if serving is None:
        return f"Fetch a release with {look}."
    if receipt.active is None or receipt.active.version != serving:
        return f"Fetch a sound release with {look}."
    return f"Nothing. {look} looks for a newer release."


def status_screen(facts: Mapping[str, Any]) -> RenderableType:
    """Return the state of a unit for the terminal."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    active, previous, visits = facts["active"], facts["previous"], facts["visits"]
    rows = {
        "unit": f"{facts['home']}  (Eyebright {facts['software']})",
        "screens for": facts["task"],
        "runs": f"release {facts['serving']}" if facts["serving"] else "nothing yet",
        "since": active["activated_at"] if active else "-",
        "proven": _proof_line(active["proof"] if active else None),
        "can go back to": f"release {previous['version']}" if previous else "-",
        "withheld": "; ".join(f"release {w['version']}: {w['reason']}" for w in facts["withheld"]) or "-",
        "visits": _visits_line(visits),
        "next": facts["next"],
    }
    for name, value in rows.items():
        table.add_row(name, Text(str(value)))
    notices = [Text(f"! {notice}", style="yellow") for notice in facts["notices"]]
    return Group(table, *notices, Text(str(facts["research_use"]), "bold"))


def _serving(home: UnitHome) -> tuple[str | None, str]:
    try:
        serving = home.serving()
    except EyebrightError as error:
        return None, str(error) if home.active_version() else ""
    return serving.release.version, serving.notice


def _installed(one: Installed | None) -> dict[str, Any] | None:
    return one.model_dump(mode="json") if one else None


def _proof_line(proof: Mapping[str, Any] | None) -> str:
    if proof is None:
        return "-"
    return (
        f"{proof['cases']} golden cases in {proof['runtime']}, {proof['decision_flips']} decisions changed, "
        f"logits within {proof['max_abs_logit_difference']:.2g} (allowed {proof['tolerance']:.2g})"
    )


def _visits_line(visits: Mapping[str, Any]) -> str:
    words = ", ".join(f"{count} {word}" for word, count in visits["verdicts"].items())
    unfinished = f", {visits['unfinished']} unfinished" if visits["unfinished"] else ""
    damaged = f", {visits['damaged_lines']} damaged lines" if visits["damaged_lines"] else ""
    return f"{words}{unfinished}{damaged}"
