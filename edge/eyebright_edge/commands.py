"""``eyebright edge``: enrol, update, agent, status, rollback, screen, quality, records, telemetry, engine.

A command parses, makes one call and prints. Each imports its rooms when it runs, so that screening a picture loads
neither gRPC nor TUF, and ``--help`` loads nothing at all.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, closing, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from eyebright_common.errors import EyebrightError, InputError
from eyebright_edge import engine_command, records_command, telemetry_command

if TYPE_CHECKING:
    from eyebright_edge.agent.home import UnitHome
    from eyebright_edge.agent.settings import UnitSettings
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

app.add_typer(records_command.app)
app.add_typer(telemetry_command.app)
app.add_typer(engine_command.app)

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
        str, typer.Option("--from", metavar="PLACE", help="server, a web address, or a folder such as a USB stick.")
    ] = "server",
    retry: Annotated[bool, typer.Option("--retry", help="Also try releases this unit refused or rolled back.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch, verify, prepare, prove and try the newest release; finish what waits or was interrupted."""
    from eyebright_edge.agent.home import UnitHome
    from eyebright_edge.agent.settings import read_settings
    from eyebright_edge.agent.tuf_source import open_source

    unit = UnitHome(home)
    settings = read_settings(unit)
    with open_source(unit, source, now=_now()) as releases:
        result = _agent(unit, settings, releases, quiet=as_json).update(retry=retry)
    _show_result(result, as_json=as_json)


@app.command()
def agent(
    home: Home,
    places: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="PLACE", help="server, a web address or a folder; repeatable, in order."),
    ] = None,
) -> None:
    """Keep this unit up to date for ever: the service that systemd runs; ends in good order on SIGTERM."""
    from eyebright_edge.agent.home import UnitHome
    from eyebright_edge.agent.serve import serve_unit

    serve_unit(UnitHome(home), places=tuple(places or ()), clock=_now, on_event=_print)


@app.command()
def rollback(home: Home, as_json: AsJson = False) -> None:
    """Let the previous release serve again, without the server."""
    from eyebright_edge.agent.home import UnitHome
    from eyebright_edge.agent.settings import read_settings

    unit = UnitHome(home)
    result = _agent(unit, read_settings(unit), None, quiet=as_json).roll_back()
    _show_result(result, as_json=as_json)


@app.command()
def status(home: Home, as_json: AsJson = False) -> None:
    """Show what runs, since when, how it was proven, what is next and why not yet."""
    from eyebright_edge.agent.home import UnitHome
    from eyebright_edge.reports.status_report import status_facts, status_screen

    facts = status_facts(UnitHome(home), now=_now())
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
    pdf: Annotated[Path | None, typer.Option("--pdf", metavar="FILE", help="Also write a page to print.")] = None,
    fhir: Annotated[Path | None, typer.Option("--fhir", metavar="FILE", help="Also write a FHIR R4 bundle.")] = None,
    dicom: Annotated[
        Path | None, typer.Option("--dicom", metavar="DIR", help="Also report into the pictures' DICOM study.")
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", help="Of the page: en, es, hi or ar; default the clinic's.")
    ] = None,
    patient: Annotated[str, typer.Option("--patient", metavar="CODE", help="The patient's code, for reports.")] = "",
    as_json: AsJson = False,
) -> None:
    """Screen the pictures of one patient: quality first, then each eye, then one answer.

    PICTURES… without --right or --left are sorted to the eyes by their names (right, OD, R; left, OS, L).
    """
    from eyebright_edge.reports.visit_report import visit_screen
    from eyebright_edge.screening.facts import visit_facts
    from eyebright_edge.screening.session import chosen_release, given_pictures, hold_visit

    given = given_pictures(pictures or (), right=right or (), left=left or ())
    with _visiting(home if release is None else None):
        chosen = chosen_release(home=home, folder=release)
        visit, notices = hold_visit(chosen, given, clock=_now, overlays=overlay)
    if chosen.home is not None:
        from eyebright_edge.agent.notices import unit_notices

        notices = (*notices, *unit_notices(chosen.home, now=_now()))
    if as_json:
        _print_json(visit_facts(visit, chosen.release, notices=notices))
    else:
        Console().print(visit_screen(visit, chosen.release, notices=notices))
    if pdf or fhir or dicom:
        from eyebright_edge.reports.writing import WantedReports, report_screened

        wanted = WantedReports(pdf=pdf, fhir=fhir, dicom=dicom, language=language)
        for written in report_screened(wanted, visit, chosen, given, at=_now(), patient=patient, notices=notices):
            typer.echo(f"Written: {written}", err=True)
    if chosen.home is not None:
        from eyebright_edge.agent.shadow import screen_unseen

        screen_unseen(chosen.home, given, visit.verdict)
    if visit.unreadable:
        raise typer.Exit(_SOME_PICTURES_UNREADABLE)


@app.command()
def kiosk(
    home: Home,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="In place of kiosk.json's.")] = None,
) -> None:
    """Show the technician's screen as a local web page, until interrupted; needs no network."""
    from eyebright_edge.kiosk.serve import serve_kiosk

    serve_kiosk(home, clock=_now, port=port, started=lambda address: _print(f"The kiosk is at {address}"))


@app.command()
def technician(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    home: Home,
    remove: Annotated[bool, typer.Option("--remove", help="Take NAME off this unit.")] = False,
) -> None:
    """Let somebody work at the kiosk: asks for a PIN (6 to 12 digits), which also opens the records."""
    from eyebright_edge.agent.home import UnitHome
    from eyebright_edge.kiosk.technicians import Technicians

    UnitHome(home).require()
    if remove:
        Technicians(home).remove(name)
        _print(f"{name} can no longer work here.")
        return
    Technicians(home).set_pin(name, typer.prompt("PIN", hide_input=True, confirmation_prompt=True))
    _print(f"{name} can work here.")


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


@app.command()
def bench(
    home: Home,
    pictures: Annotated[int, typer.Option("--pictures", metavar="N", help="How many to time.")] = 100,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Also write the report here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how fast this unit screens; the report is signed with the unit's key.

    Says "not measured on hardware" unless TensorRT computed on this unit's GPU.
    """
    from eyebright_common.durable import write_bytes
    from eyebright_common.trust import UnitIdentity
    from eyebright_edge.agent.home import UnitHome
    from eyebright_edge.runtime import open_runtime
    from eyebright_edge.runtime.bench import measure, report_lines, sign_report

    unit = UnitHome(home)
    unit.require()
    identity = UnitIdentity.open(unit.identity)
    serving = unit.serving()
    told = Console(stderr=True, quiet=as_json, style="dim")
    runtime = open_runtime(serving.folder, build=True, progress=lambda text: told.print(escape(text)))
    with closing(runtime):
        report = measure(runtime, serving.folder, serving.release, unit=identity.name, pictures=pictures, clock=_now)
    signed = sign_report(report, identity)
    if out is not None:
        write_bytes(out, signed.to_json())
    if as_json:
        _print_json(json.loads(signed.to_json()))
    else:
        for line in (*report_lines(report), f"signed     by {identity.name}"):
            _print(line)


def _visiting(home: Path | None) -> AbstractContextManager[None]:
    from eyebright_edge.agent.home import UnitHome

    return UnitHome(home).visiting() if home is not None else nullcontext()


def _agent(unit: UnitHome, settings: UnitSettings, source: ReleaseSource | None, *, quiet: bool) -> UpdateAgent:
    from eyebright_edge.agent.update import UpdateAgent
    from eyebright_edge.runtime import build_runtime

    progress = Console(stderr=True, quiet=quiet)

    def show(state: State, moment: Moment) -> None:
        if moment.value == "entered" and state.value != "idle":
            progress.print(f"[dim]{state} …[/dim]")

    return UpdateAgent(
        unit,
        task=settings.task,
        source=source,
        open_runtime=build_runtime,
        clock=_now,
        onlooker=show,
        trial=settings.trial,
        budget=settings.budget,
    )


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
