"""A unit on one screen: what runs, since when, proven how, what is next and why not yet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from eyebright_common import __version__
from eyebright_common.errors import EyebrightError
from eyebright_common.release import MODEL_FILE, RESEARCH_NOTICE
from eyebright_edge.agent.home import Serving, UnitHome
from eyebright_edge.agent.news import read_news, trusted_time
from eyebright_edge.agent.notices import unit_notices
from eyebright_edge.agent.progress import read_progress
from eyebright_edge.agent.receipt import Installed, Receipt, verified_receipt
from eyebright_edge.agent.service import AgentNote, read_agent_note
from eyebright_edge.agent.settings import read_settings
from eyebright_edge.agent.shadow import release_in_shadow
from eyebright_edge.agent.transitions import State
from eyebright_edge.agent.update_record import Ending, UpdateRecord, read_record
from eyebright_edge.records import VisitJournal

_LOOK = "`eyebright edge update`"


def status_facts(home: UnitHome, *, now: datetime | None = None) -> dict[str, Any]:
    """Return the state of a unit, as JSON.

    Args:
        home: The unit's home.
        now: The present time, aware; the machine's clock when left out.

    Raises:
        InputError: there is no unit's home, or it has not been enrolled.
    """
    now = now or datetime.now(UTC)
    settings = read_settings(home)
    verified, record, note = verified_receipt(home), read_record(home), read_agent_note(home)
    receipt = verified or Receipt()
    counts = VisitJournal(home.visits_file).counts()
    serving, networks, notice = _serving(home)
    notices = [line for line in (notice, *unit_notices(home, now=now)) if line]
    news = read_news(home)
    return {
        "schema": "eyebright.unit-status/2",
        "software": __version__,
        "home": str(home.root),
        "task": settings.task,
        "serving": serving,
        "networks": networks,
        "on_trial": serving is not None and record.state is State.TRY and record.version == serving,
        "receipt": "signed" if verified else "lost" if home.active_file.exists() else None,
        "active": _installed(receipt.active),
        "previous": _installed(receipt.previous),
        "trial": _installed(receipt.trial),
        "shadow": release_in_shadow(home),
        "withheld": [one.model_dump(mode="json") for one in receipt.withheld],
        "update": {
            "state": record.state.value,
            "ending": record.ending and record.ending.value,
            "version": record.version,
            "reason": record.reason,
            "waiting": record.waiting,
            "progress": read_progress(home),
            "at": _iso(record.entered_at),
        },
        "agent": note and {"failures": note.failures, "looked_at": _iso(note.looked_at), "next_at": _iso(note.next_at)},
        "news": {"signed_at": _iso(news.signed_at), "holds_until": _iso(news.holds_until)},
        "clock": {"says": _iso(now), "trusted": _iso(trusted_time(news, now))},
        "visits": {
            "verdicts": {word.value: count for word, count in counts.verdicts.items()},
            "pictures": counts.pictures,
            "unfinished": counts.unfinished,
            "damaged_lines": counts.damaged_lines,
        },
        "notices": notices,
        "next": next_step(serving, record, receipt, note),
        "research_use": RESEARCH_NOTICE,
    }


def next_step(serving: str | None, record: UpdateRecord, receipt: Receipt, note: AgentNote | None = None) -> str:
    """Return what happens next and why not yet, or what a person should do, in one or two sentences."""
    if record.waiting:
        return f"Not yet: {record.waiting}. The agent goes on by itself, or {_LOOK} does."
    if record.state is not State.IDLE:
        goes_on = " Screening goes on meanwhile." if serving else ""
        return f"An update is doing {record.state}, or stopped there; {_LOOK} takes it up again.{goes_on}"
    if record.ending is Ending.FAILED:
        return f"The last update failed ({record.reason}). {_try_again(note)}"
    if record.ending is Ending.REFUSED:
        keeps = f"release {serving} goes on serving" if serving else "no release serves"
        return f"Release {record.version} was refused ({record.reason}); {keeps}. Tell the operator."
    if serving is None:
        return f"Fetch a release with {_LOOK}."
    if receipt.active is None or receipt.active.version != serving:
        return f"Fetch a sound release with {_LOOK}."
    if note is not None:
        return f"Nothing. The agent looks for a newer release at {note.next_at:%Y-%m-%d %H:%M}."
    return f"Nothing. {_LOOK} looks for a newer release."


def status_screen(facts: Mapping[str, Any]) -> RenderableType:
    """Return the state of a unit for the terminal."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    previous = facts["previous"]
    # What serves on trial is not committed yet: its proof stands in the receipt of the trial.
    shown = facts["trial"] if facts["on_trial"] else facts["active"]
    rows = {
        "unit": f"{facts['home']}  (Eyebright {facts['software']})",
        "screens for": facts["task"],
        "runs": _runs_line(facts),
        "since": _minute(shown["activated_at"]) if shown else "-",
        "proven": _proof_line(shown["proof"] if shown else None),
        "networks": _networks_line(facts["networks"]),
        "costs": _cost_line(shown["proof"] if shown else None),
        "receipt": _RECEIPTS[facts["receipt"]],
        "can go back to": _back_line(facts, previous),
        "runs unseen": f"release {facts['shadow']}" if facts["shadow"] else "-",
        "withheld": "; ".join(f"release {w['version']}: {w['reason']}" for w in facts["withheld"]) or "-",
        "visits": _visits_line(facts["visits"]),
        "last looked": _looked_line(facts),
        "news holds": _news_line(facts["news"]),
        "next": facts["next"],
    }
    if (progress := facts["update"]["progress"]) is not None:
        rows["doing"] = f"{progress['state']}: {progress['doing']} ({100 * progress['share']:.0f} %)"
    for name, value in rows.items():
        table.add_row(name, Text(str(value)))
    notices = [Text(f"! {notice}", style="yellow") for notice in facts["notices"]]
    return Group(table, *notices, Text(str(facts["research_use"]), "bold"))


_RECEIPTS = {
    "signed": "signed by this unit, and it holds",
    "lost": "damaged; the release answers by its own digests",
    None: "-",
}


def _try_again(note: AgentNote | None) -> str:
    if note is None:
        return f"Try again with {_LOOK}."
    times = f", {note.failures} times in a row" if note.failures > 1 else ""
    return f"The agent tries again at {note.next_at:%Y-%m-%d %H:%M}{times}; {_LOOK} does at once."


def _serving(home: UnitHome) -> tuple[str | None, dict[str, dict[str, int]], str]:
    try:
        serving = home.serving()
    except EyebrightError as error:
        return None, {}, str(error) if home.active_version() else ""
    return serving.release.version, _networks(serving), serving.notice


def _networks(serving: Serving) -> dict[str, dict[str, int]]:
    """Return the bytes of each network of the release that serves: those kept here, and those not fetched."""
    listed = {"fp32": MODEL_FILE, **{one.precision: one.file for one in serving.release.variants}}
    found: dict[str, dict[str, int]] = {"kept": {}, "not_fetched": {}}
    for precision, file in listed.items():
        where = "kept" if (serving.folder / file).exists() else "not_fetched"
        found[where][precision] = serving.release.artefact(file).size_bytes
    return found


def _installed(one: Installed | None) -> dict[str, Any] | None:
    return one.model_dump(mode="json") if one else None


def _iso(when: datetime | None) -> str | None:
    return when.isoformat() if when else None


def _minute(iso: str) -> str:
    return iso[:16].replace("T", " ")


def _runs_line(facts: Mapping[str, Any]) -> str:
    if not facts["serving"]:
        return "nothing yet"
    return f"release {facts['serving']}{', on trial' if facts['on_trial'] else ''}"


def _back_line(facts: Mapping[str, Any], previous: Mapping[str, Any] | None) -> str:
    kept = facts["active"] if facts["on_trial"] else previous
    return f"release {kept['version']}" if kept else "-"


def _proof_line(proof: Mapping[str, Any] | None) -> str:
    if proof is None:
        return "-"
    return (
        f"{proof['cases']} golden cases in {proof['runtime']}, {proof['decision_flips']} decisions changed, "
        f"logits within {proof['max_abs_logit_difference']:.2g} (allowed {proof['tolerance']:.2g})"
    )


def _networks_line(networks: Mapping[str, Mapping[str, int]]) -> str:
    def told(sizes: Mapping[str, int]) -> str:
        return ", ".join(f"{precision.upper()} ({_size(size)})" for precision, size in sizes.items())

    if not networks:
        return "-"
    spared = networks["not_fetched"]
    return told(networks["kept"]) + (f"; not needed here, not fetched: {told(spared)}" if spared else "")


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.1f} kB"


def _cost_line(proof: Mapping[str, Any] | None) -> str:
    if proof is None:
        return "-"
    return f"{proof['latency_p95_ms']:.0f} ms a picture (95 of 100), {proof['peak_memory_mb']:.0f} MB"


def _looked_line(facts: Mapping[str, Any]) -> str:
    update = facts["update"]
    if update["at"] is None:
        return "never"
    came_to = (update["ending"] or update["state"]).replace("_", " ")
    return f"{_minute(update['at'])}: {came_to}"


def _news_line(news: Mapping[str, Any]) -> str:
    if news["holds_until"] is None:
        return "-"
    return f"until {_minute(news['holds_until'])} (signed {_minute(news['signed_at'])})" if news["signed_at"] else "-"


def _visits_line(visits: Mapping[str, Any]) -> str:
    words = ", ".join(f"{count} {word}" for word, count in visits["verdicts"].items())
    unfinished = f", {visits['unfinished']} unfinished" if visits["unfinished"] else ""
    damaged = f", {visits['damaged_lines']} damaged lines" if visits["damaged_lines"] else ""
    return f"{words}{unfinished}{damaged}"
