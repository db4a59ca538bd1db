"""``eyebright edge``: enrol, update, status, rollback, screen, quality.

A command parses, makes one call and prints. Each imports its rooms when it runs, so that screening a picture loads
neither gRPC nor TUF, and ``--help`` loads nothing at all.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from eyebright_common.errors import EyebrightError, InputError

if TYPE_CHECKING:
    from eyebright_edge.agent.home import UnitHome
    from eyebright_edge.agent.source import ReleaseSource
    from eyebright_edge.agent.transitions import State
    from eyebright_edge.agent.update import Moment, UpdateAgent, UpdateResult

app = typer.Typer(
    name="edge",
    help="Screening unit: enrol, update, prove, screen. Research use. Not for diagnosis.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_SOME_PICTURES_UNREADABLE = 2

Home = Annotated[Path, typer.Option("--home", envvar="EYEBRIGHT_HOME", metavar="DIR", help="The unit's home folder.")]
OptionalHome = Annotated[
    Path | None, typer.Option("--home", envvar="EYEBRIGHT_HOME", metavar="DIR", help="The unit's home folder.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the same facts as JSON.")]


@app.command()
def enrol(
    invitation: Annotated[str, typer.Argument(metavar="INVITATION")],
    home: Home,
    task: Annotated[str, typer.Option("--task", help="What this unit will screen for.")] = "fundus",
) -> None:
    """Join the network: make a key here and have it certified.

    INVITATION is the line of text that the operator sent, or a file with it.
    """
    from eyebright_edge.agent.enrolment import enrol_unit, read_invitation
    from eyebright_edge.agent.home import UnitHome

    identity = enrol_unit(UnitHome(home), read_invitation(invitation), task=task)
    _print(f"Enrolled as {identity.name} for {task}. Next: eyebright edge update --home {home}")


@app.command()
def update(
    home: Home,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="A repository folder, e.g. on a USB stick.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Also try releases this unit refused or rolled back.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch, verify, prove and activate the newest release."""
    from eyebright_edge.agent.home import UnitHome
    from eyebright_edge.agent.settings import read_settings
    from eyebright_edge.agent.tuf_source import folder_source, server_source

    unit = UnitHome(home)
    task = read_settings(unit).task
    opened = folder_source(unit, source) if source else server_source(unit, now=_now())
    with opened as releases:
        result = _agent(unit, task, releases, quiet=as_json).update(retry=retry)
    _show_result(result, as_json=as_json)


@app.command()
def rollback(home: Home, as_json: AsJson = False) -> None:
    """Let the previous release serve again, without the server."""
    from eyebright_edge.agent.home import UnitHome
    from eyebright_edge.agent.settings import read_settings

    unit = UnitHome(home)
    result = _agent(unit, read_settings(unit).task, None, quiet=as_json).roll_back()
    _show_result(result, as_json=as_json)


@app.command()
def status(home: Home, as_json: AsJson = False) -> None:
    """Show what runs, since when, how it was proven and what is next."""
    from eyebright_edge.agent.home import UnitHome
    from eyebright_edge.reports.status_report import status_facts, status_screen

    facts = status_facts(UnitHome(home))
    if as_json:
        _print_json(facts)
    else:
        Console().print(status_screen(facts))


@app.command()
def screen(
    pictures: Annotated[list[Path] | None, typer.Argument(metavar="PICTURES…")] = None,
    right: Annotated[
        list[Path] | None, typer.Option("--right", metavar="FILE", help="A right eye; repeatable.")
    ] = None,
    left: Annotated[list[Path] | None, typer.Option("--left", metavar="FILE", help="A left eye; repeatable.")] = None,
    home: OptionalHome = None,
    release: Annotated[
        Path | None, typer.Option("--release", metavar="DIR", help="A release folder, in place of --home.")
    ] = None,
    overlay: Annotated[
        Path | None, typer.Option("--overlay", metavar="DIR", help="Also write where the network looked.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Screen the pictures of one patient: quality first, then each eye, then one answer.

    PICTURES… without --right or --left are sorted to the eyes by their names (right, OD, R; left, OS, L).
    """
    from eyebright_edge.reports.visit_report import visit_screen
    from eyebright_edge.screening.facts import visit_facts
    from eyebright_edge.screening.session import chosen_release, given_pictures, hold_visit

    given = given_pictures(pictures or (), right=right or (), left=left or ())
    chosen = chosen_release(home=home, folder=release)
    visit, notices = hold_visit(chosen, given, clock=_now, overlays=overlay)
    if as_json:
        _print_json(visit_facts(visit, chosen.release, notices=notices))
    else:
        Console().print(visit_screen(visit, chosen.release, notices=notices))
    if visit.unreadable:
        raise typer.Exit(_SOME_PICTURES_UNREADABLE)


@app.command()
def quality(
    path: Annotated[Path, typer.Argument(metavar="FILE|FOLDER")],
    modality: Annotated[str, typer.Option("--modality", help="CFP (colour fundus) or OCT (B-scan).")] = "CFP",
    as_json: AsJson = False,
) -> None:
    """Say of each picture whether it can be graded, and why not; needs no release.

    One line each: file, verdict, score from 0 (worst) to 1 (best), reasons, what was measured.
    """
    from eyebright_edge.reports.quality_report import (
        UNREADABLE,
        count_verdicts,
        pictures_at,
        quality_line,
        quality_lines,
    )

    if modality.upper() not in ("CFP", "OCT"):
        raise InputError("unknown modality", value=modality, fix="Choose CFP (colour fundus) or OCT (B-scan).")
    found, others = pictures_at(path)
    lines = []
    for line in quality_lines(found, modality=modality.upper()):
        lines.append(line)
        if not as_json:
            _print(quality_line(line))
    counts = count_verdicts(lines)
    if as_json:
        _print_json({"pictures": lines, "counts": counts, "other_files": others})
    elif len(lines) > 1:
        beside = f"; {others} files that are no pictures" if others else ""
        _print(", ".join(f"{count} {word}" for word, count in counts.items()) + beside)
    if any(line["verdict"] == UNREADABLE for line in lines):
        raise typer.Exit(_SOME_PICTURES_UNREADABLE)


def _agent(unit: UnitHome, task: str, source: ReleaseSource | None, *, quiet: bool) -> UpdateAgent:
    from eyebright_edge.agent.update import UpdateAgent
    from eyebright_edge.runtime import open_runtime

    progress = Console(stderr=True, quiet=quiet)

    def show(state: State, moment: Moment) -> None:
        if moment.value == "entered" and state.value != "idle":
            progress.print(f"[dim]{state} …[/dim]")

    return UpdateAgent(unit, task=task, source=source, open_runtime=open_runtime, clock=_now, onlooker=show)


def _show_result(result: UpdateResult, *, as_json: bool) -> None:
    if as_json:
        facts = {name: getattr(result, name) for name in ("ending", "version", "active", "reason")}
        _print_json(facts)
    else:
        serves = f"Release {result.active} serves." if result.active else "No release serves."
        concerned = f" release {result.version}" if result.version else ""
        why = f" {result.reason}" if result.reason and result.error is None else ""
        _print(f"{result.ending.replace('_', ' ').capitalize()}{concerned}. {serves}{why}")
    if result.error is not None:
        raise result.error
    if result.ending == "failed":
        raise typer.Exit(EyebrightError.exit_code)


def _now() -> datetime:
    return datetime.now(UTC)


def _print(line: str) -> None:
    typer.echo(line)


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))
