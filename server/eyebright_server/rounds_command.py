"""``eyebright server rounds``: start a run, resume it, look at it, and ask a suspended hospital again."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from eyebright_common.errors import InputError
from eyebright_server.plan_command import plan as write_plan

if TYPE_CHECKING:
    from eyebright_server.distribution.operator_folder import ServerSettings
    from eyebright_server.federation.records import FederationEvent, FederationResult
    from eyebright_server.federation.run_folder import RunFolder
    from eyebright_server.records import Records

app = typer.Typer(no_args_is_help=True, help="Rounds with hospitals: plan, start, resume, status, lift.")
app.command(name="plan")(write_plan)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The operator's folder.")]
Name = Annotated[str, typer.Argument(help="Name of the run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@app.command()
def start(
    folder: Folder,
    name: Name,
    plan: Annotated[Path, typer.Option(help="The plan, a JSON file.")],
    hospital: Annotated[
        list[str] | None, typer.Option(help="Only this hospital; repeat. Default: all that have joined.")
    ] = None,
    site: Annotated[
        list[Path] | None, typer.Option(help="Rehearse with this site folder instead of hospitals; repeat, in order.")
    ] = None,
    init: Annotated[Path | None, typer.Option(help="Begin with these weights (safetensors), e.g. ImageNet's.")] = None,
    release: Annotated[Path | None, typer.Option(help="Begin with the student of this release.")] = None,
    weights: Annotated[Path | None, typer.Option(help="With --release: student.safetensors of its run.")] = None,
    quorum: Annotated[int | None, typer.Option(help="Fewest replies to average. Default: half.")] = None,
    deadline_s: Annotated[float | None, typer.Option(help="Close each question after so many seconds.")] = None,
    attempts: Annotated[int, typer.Option(help="Tries of a round below its quorum.")] = 2,
    patience: Annotated[int, typer.Option(help="End after so many rounds without a better student; 0: never.")] = 0,
    budget: Annotated[int | None, typer.Option(help="End after so many rounds, if the plan has more.")] = None,
    smallest_count: Annotated[int, typer.Option(help="Hide table cells between 1 and below this.")] = 5,
    calibrate: Annotated[bool, typer.Option(help="Ask for the best student's temperature at the end.")] = True,
    as_json: AsJson = False,
) -> None:
    """Write a run down, sign its plan and run its rounds over the SuperLink, or with the folders in --site."""
    from eyebright_common.plan import Plan
    from eyebright_server.federation.rules import RoundRules
    from eyebright_server.federation.run_folder import RunFolder, run_named
    from eyebright_server.federation.warm_start import fresh_student, released_student

    if site and hospital:
        raise InputError("--site and --hospital do not go together", fix="Rehearse with folders, or ask hospitals.")
    if (release is None) != (weights is None):
        raise InputError("--release and --weights go together", fix="Give both, or neither.")
    if init is not None and release is not None:
        raise InputError("--init and --release do not go together", fix="Begin with weights, or with a release.")
    rules = RoundRules(
        quorum=quorum,
        attempts=attempts,
        patience=patience,
        round_budget=budget,
        smallest_count=smallest_count,
        calibrate=calibrate,
    )
    place = run_named(_operator(folder), name)
    participants = () if site else _participants(folder, hospital or ())
    rules.quorum_of(len(site or participants))
    try:
        asked = Plan.from_json(plan.read_bytes())
    except OSError as error:
        raise InputError("the plan cannot be read", value=plan, fix="Name a plan file.") from error
    if asked.batch_norm == "frozen" and init is None and release is None:
        raise InputError(
            "the plan keeps the statistics the run begins with, and a student that knows nothing has none",
            value=plan,
            fix="Give --init or --release, or write a plan without --from-student.",
        )
    begun = (
        released_student(asked, release=release, weights=weights) if release and weights else fresh_student(asked, init)
    )
    run = RunFolder.create(
        place,
        plan=asked,
        initial=begun,
        sites=tuple(site or ()),
        participants=participants,
        deadline_s=deadline_s,
        rules=rules,
    )
    _go_on(folder, run, as_json=as_json)


@app.command()
def resume(folder: Folder, name: Name, as_json: AsJson = False) -> None:
    """Go on with a run that was stopped or killed, from its ledger."""
    from eyebright_server.federation.run_folder import RunFolder, run_named

    _go_on(folder, RunFolder.open(run_named(_operator(folder), name)), as_json=as_json)


@app.command()
def status(
    folder: Folder,
    name: Annotated[str | None, typer.Argument(help="A run; all when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show runs, or one run's rounds with pooled, worst and per-hospital figures, and who is suspended."""
    from eyebright_server.federation.run_folder import RunFolder, run_named, runs_folder
    from eyebright_server.federation.status import facts_of_run

    place = runs_folder(_operator(folder))
    with _records(folder) as records:
        suspended = {str(site): since.isoformat() for site, since in records.suspended().items()}
        head = records.verify_ledger()
    names = [name] if name else sorted(path.parent.name for path in place.glob("*/run.json"))
    runs = {each: facts_of_run(RunFolder.open(run_named(folder, each))) for each in names}
    facts = {"runs": runs, "suspended": suspended, "ledger": {"entries": head.entries, "hash": head.hash}}
    console = _console()
    if as_json:
        console.print(json.dumps(facts, allow_nan=False))
        return
    for each, found in runs.items():
        _show_run(console, each, found)
    for site, since in suspended.items():
        console.print(f"Hospital {site} is suspended since {since}; eyebright server rounds lift {folder} {site}")
    console.print(f"The ledger verifies: {head.entries} entries, ends in {head.hash[:16]}.")


@app.command()
def lift(folder: Folder, hospital: Annotated[int, typer.Argument(help="The hospital's number.")]) -> None:
    """Ask a suspended hospital again, from the next round on."""
    from eyebright_server.release.repository import utc_now

    with _records(folder) as records:
        records.lift(hospital, now=utc_now())
    _console().print(f"Hospital {hospital} is asked again from the next round on.")


@app.command()
def key(folder: Folder) -> None:
    """Print the public key for plans: what a hospital writes under operator_keys in its policy."""
    from eyebright_server.federation.run_folder import plan_signer

    _console().print(plan_signer(_operator(folder)).public)


def _go_on(folder: Path, run: RunFolder, *, as_json: bool) -> None:
    from eyebright_common.durable import write_bytes
    from eyebright_server.federation import run_federation
    from eyebright_server.federation.checkpoint import to_bytes
    from eyebright_server.federation.run_folder import STUDENT, plan_signer
    from eyebright_server.superlink.credentials import superlink_access
    from eyebright_server.superlink.federate import federate

    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    settings = run.settings
    with run.locked(), _records(folder) as records:
        common: dict[str, Any] = {
            "plan": run.plan,
            "initial": run.initial(),
            "checkpoint": run.checkpoint,
            "on_event": lambda event: _tell(console, event),
            "deadline_s": settings.deadline_s,
            "rules": run.rules,
            "records": records,
            "signature": plan_signer(folder).sign(run.plan),
        }
        if settings.sites:
            result = run_federation(sites=[Path(site) for site in settings.sites], **common)
        else:
            access = superlink_access(folder, _settings(folder))
            result = federate(access=access, participants=settings.participants, **common)
    write_bytes(run.folder / STUDENT, to_bytes(result.weights))
    _show_result(run, result, as_json=as_json)


def _participants(folder: Path, names: Collection[str]) -> tuple[int, ...]:
    from eyebright_server.superlink.federate import participants_of

    with _records(folder) as records:
        return participants_of(records, names)


def _show_result(run: RunFolder, result: FederationResult, *, as_json: bool) -> None:
    from eyebright_server.federation.checkpoint import weights_digest

    facts = {
        "run": run.folder.name,
        "plan": run.plan.digest(),
        "rounds": len(result.rounds),
        "resumed_after": result.resumed_after,
        "ended": result.ended,
        "best_round": result.best_round,
        "temperature": result.temperature,
        "student_sha256": weights_digest(result.weights),
    }
    console = _console()
    if as_json:
        console.print(json.dumps(facts))
        return
    console.print(
        f"{len(result.rounds)} rounds, ended by {result.ended.replace('_', ' ')}; best is {result.best_round}."
    )
    if run.rules.calibrate:
        console.print(f"Its logits are divided by {result.temperature:.2f}, as the hospitals' answers say.")
    console.print(f"The student is in {run.folder}.")


def _tell(console: Console, event: FederationEvent) -> None:
    about = "" if event.site is None else f" hospital {event.site}"
    console.print(f"round {event.round}/{event.rounds}: {event.kind.replace('_', ' ')}{about} {event.detail}".rstrip())


def _show_run(console: Console, name: str, facts: Mapping[str, Any]) -> None:
    console.print(f"{name}: {len(facts['rounds'])} of {facts['planned']} rounds, plan {facts['plan'][:16]}")
    if not facts["rounds"]:
        return
    table = Table("round", "accepted", "set aside", "refused", "balanced accuracy", "worst hospital", "AUROC", "saved")
    for row in facts["rounds"]:
        worst = row["worst"]
        table.add_row(
            str(row["round"]),
            str(len(row["accepted"])),
            ", ".join(f"{s['site']} {s['reason']}" for s in row["set_aside"]),
            ", ".join(map(str, row["refused"])),
            _number(row["balanced_accuracy"]),
            f"{_number(worst['balanced_accuracy'])} ({worst['site']})" if worst else "-",
            _number(row["macro_auroc"]),
            f"{row['bytes_saved'] / 1e6:.1f} MB",
        )
    console.print(table)
    for row in facts["rounds"]:
        for each in row["opposed"]:
            console.print(f"Round {row['round']}, hospital {each['site']}: {each['sentence']}. A suspicion, no more.")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _operator(folder: Path) -> Path:
    """Return the folder when it is an operator's."""
    _settings(folder)
    return folder


def _settings(folder: Path) -> ServerSettings:
    from eyebright_server.distribution.operator_folder import read_settings

    return read_settings(folder)


def _records(folder: Path) -> Records:
    from eyebright_server.records import Records

    return Records.open(_settings(folder).records_url or folder / "records.sqlite")


def _console() -> Console:
    return Console(soft_wrap=True, highlight=False, markup=False)
