"""``eyebright server release`` ring by ring: promote, pause, resume, watch, status, sync."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from eyebright_common.errors import InputError
from eyebright_server.distribution import OperatorFolder
from eyebright_server.distribution.passphrase import passphrase
from eyebright_server.showing import show

if TYPE_CHECKING:
    from eyebright_common.release.rollout import Rollout
    from eyebright_server.fleet import Fleet, Observation, RolloutState

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The operator's folder.")]
Task = Annotated[str, typer.Argument(help="The screening task, e.g. fundus.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
By = Annotated[str | None, typer.Option("--operator", help="Who says so. Default: the name of this account.")]


def promote(
    folder: Folder,
    task: Task,
    operator: By = None,
    insist: Annotated[str | None, typer.Option(help="Open the next ring although a rule holds it; says why.")] = None,
    as_json: AsJson = False,
) -> None:
    """Open the next ring; after the last one the release is for every unit. Needs the offline keys."""
    with _fleet(folder) as fleet:
        state = fleet.promote(task, by=_by(operator), insist=stated(insist) if insist is not None else None)
    _show_state(as_json, state)


def pause(
    folder: Folder,
    task: Task,
    reason: Annotated[str, typer.Option(help="Why.")],
    operator: By = None,
    as_json: AsJson = False,
) -> None:
    """Stop the rollout where it is; units that have the release keep it."""
    with _fleet(folder) as fleet:
        state, signed = fleet.pause(task, by=_by(operator), reason=stated(reason))
    _show_state(as_json, state, *([] if signed else [_UNSIGNED]))


def resume(
    folder: Folder,
    task: Task,
    reason: Annotated[str, typer.Option(help="Why.")],
    operator: By = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a paused rollout. Needs the offline keys."""
    with _fleet(folder) as fleet:
        state = fleet.resume(task, by=_by(operator), reason=stated(reason))
    _show_state(as_json, state)


def watch(folder: Folder, task: Task, as_json: AsJson = False) -> None:
    """Look at what units report; a rate outside its limits stops the rollout (exit 1)."""
    with _fleet(folder) as fleet:
        seen, stopped = fleet.watch(task)
        signed = fleet.is_signed(task)
    words = [f"{seen.running} of {seen.units} units run it.", *_shadow_words(seen)]
    if seen.outside:
        done = "The rollout is stopped." if stopped else "The rollout is not open."
        words.append(f"Outside its limits: {', '.join(rate.name for rate in seen.outside)}. {done}")
    facts = {**_observed(seen), "stopped": stopped is not None, "signed": signed}
    show(as_json, facts, _rates(seen), *words, *([] if signed else [_UNSIGNED]))
    if seen.outside:
        raise typer.Exit(1)


def status(folder: Folder, task: Task, as_json: AsJson = False) -> None:
    """Show the rollout: rings, what units report, what holds the next ring, what happened so far. Changes nothing."""
    with _fleet(folder) as fleet:
        state, seen = fleet.required(task), fleet.observe(task)
        held, signed, history = fleet.held(task), fleet.is_signed(task), fleet.history(task)
    past = [{"step": one.step, "by": one.by, "reason": one.reason, "time": one.since.isoformat()} for one in history]
    rollout = state.rollout
    facts = {"signed": signed, "held": list(held), **_observed(seen), "history": past}
    words = [f"{seen.running} of {seen.units} units of open rings run it; {seen.patients} patients."]
    words += _shadow_words(seen)
    if held:
        words.append(f"The next ring stays closed: {'; '.join(held)}.")
    unsigned = [] if signed else [_UNSIGNED]
    _show_state(as_json, state, _rings(rollout), _rates(seen), *words, _past(history), *unsigned, facts=facts)


def sync(folder: Folder, task: Task, as_json: AsJson = False) -> None:
    """Sign what the ledger says of a rollout and units cannot read yet, e.g. a pause without keys. Needs the keys."""
    with _fleet(folder) as fleet:
        done = fleet.sync(task)
        state = fleet.required(task)
    words = "It is signed now; units hear of it with their next poll." if done else "It was signed already."
    _show_state(as_json, state, words, facts={"signed_now": done})


_UNSIGNED = (
    "Not signed: no ring opens from here, but units of the open rings still take the release until they can read this. "
    "Bring the students' keys and run: eyebright server release sync DIR TASK"
)


@contextmanager
def _fleet(folder: Path) -> Iterator[Fleet]:
    from eyebright_server.fleet import Fleet

    with OperatorFolder.open(folder, passphrase=passphrase()) as operator:
        yield Fleet(operator.repository, operator.records, clock=operator.clock)


def stated(reason: str) -> str:
    """Return a reason that says something.

    Raises:
        InputError: it is empty.
    """
    if not reason.strip():
        raise InputError("a reason is missing", fix="Say why, for those who read the ledger.")
    return reason


def _by(operator: str | None) -> str:
    return operator or getpass.getuser()


def _show_state(
    as_json: bool, state: RolloutState, *more: str | Table, facts: Mapping[str, object] | None = None
) -> None:
    rollout = state.rollout
    ring = rollout.rings[rollout.opened]
    words = {
        "open": f"ring {ring.name} ({rollout.opened + 1} of {len(rollout.rings)}) is open",
        "paused": f"paused in ring {ring.name}",
        "done": "for every unit",
    }[rollout.state]
    known = {"rollout": rollout.model_dump(mode="json"), "step": state.step, "since": state.since.isoformat()}
    show(as_json, {**known, **(facts or {})}, f"{rollout.task} {rollout.version}: {words}.", *more)


def _rings(rollout: Rollout) -> Table:
    table = Table("ring", "units", "what they do", "watched for", "until they have seen", "now")
    for index, ring in enumerate(rollout.rings):
        does = "run it unseen" if ring.kind == "shadow" else "screen with it"
        patients = f"{ring.least_patients} patients" if ring.least_patients else "-"
        now = "open" if index <= rollout.opened else "closed"
        table.add_row(ring.name, f"{ring.share:.0%}", does, f"{ring.wait_hours:g} h", patients, now)
    return table


def _past(history: list[RolloutState]) -> Table:
    table = Table("when", "what", "release", "by", "why")
    for one in history:
        table.add_row(f"{one.since:%Y-%m-%d %H:%M}", one.step, one.rollout.version, one.by, one.reason)
    return table


def _observed(seen: Observation) -> dict[str, object]:
    rates = [
        {"name": r.name, "value": r.value, "n": r.n, "lower": r.lower, "upper": r.upper, "verdict": r.verdict}
        for r in seen.rates
    ]
    shadow = {"units": seen.shadow.units, "compared": seen.shadow.compared, "agreed": seen.shadow.agreed}
    return {
        "units": seen.units,
        "running": seen.running,
        "patients": seen.patients,
        "rates": rates,
        "shadow": shadow,
    }


def _shadow_words(seen: Observation) -> tuple[str, ...]:
    told = seen.shadow
    if not told.compared:
        return ()
    share = told.agreed / told.compared
    return (f"Unseen: the same word on {told.agreed} of {told.compared} visits ({share:.1%}), {told.units} units.",)


def _rates(seen: Observation) -> Table:
    table = Table("what", "found", "n", "from", "to", "verdict")
    for rate in seen.rates:
        figures = ["-" if value is None else f"{value:.3f}" for value in (rate.value, rate.lower, rate.upper)]
        table.add_row(rate.name, figures[0], str(rate.n), *figures[1:], rate.verdict)
    return table
