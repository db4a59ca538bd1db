"""``eyebright server release``: build, gate, publish, rollback, list, export, count; the rings: ``rollout_command``."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from eyebright_common.errors import InputError
from eyebright_server.distribution import OperatorFolder
from eyebright_server.distribution.passphrase import passphrase
from eyebright_server.release.engine_command import app as engine_app
from eyebright_server.release.rollout_command import pause, promote, resume, stated, status, sync, watch
from eyebright_server.showing import show

if TYPE_CHECKING:
    from eyebright_common.release import GateReport
    from eyebright_server.release.desk import ReleaseDesk

app = typer.Typer(no_args_is_help=True, help="From a finished run to a signed release, ring by ring.")
app.add_typer(engine_app, name="engine")

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The operator's folder.")]
Task = Annotated[str, typer.Argument(help="The screening task, e.g. fundus.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
By = Annotated[str | None, typer.Option("--operator", help="Who says so. Default: the name of this account.")]
Workers = Annotated[int, typer.Option(min=1, help="Pictures in work at the same time.")]


@app.command()
def build(
    folder: Folder,
    run: Annotated[str, typer.Argument(help="Name of a run of rounds, or a path: of its folder or a simulation's.")],
    golden: Annotated[
        Path | None, typer.Option(help="Your own pictures for golden cases and calibration. Default: drawn ones.")
    ] = None,
    min_sensitivity: Annotated[float, typer.Option(help="What the threshold has to reach on validation.")] = 0.87,
    limit: Annotated[list[str] | None, typer.Option(help="A known limit, for the card; repeat.")] = None,
    workers: Workers = 2,
    as_json: AsJson = False,
) -> None:
    """Export the best student with its variants, measure the files and put a candidate beside the releases."""
    with _desk(folder) as desk:
        place, candidate = desk.build(
            run, golden=golden, min_sensitivity=min_sensitivity, limits=limit or (), workers=workers
        )
    release = candidate.release
    facts = {
        "task": release.task,
        "version": release.version,
        "folder": str(place),
        "variants": [variant.model_dump() for variant in release.variants],
        "threshold": release.threshold.value,
    }
    table = Table("file", "bytes", "times as fast", "largest score difference", "decisions changed")
    table.add_row("model.onnx", f"{release.artefact('model.onnx').size_bytes:,}", "1.00", "0", "0")
    for one in release.variants:
        row = (one.file, f"{one.size_bytes:,}", f"{one.speed_ratio:.2f}", f"{one.max_abs_score_difference:.4f}")
        table.add_row(*row, f"{one.changed_decisions} of {one.pictures}")
    show(
        as_json,
        facts,
        table,
        f"Candidate {release.task} {release.version}: {place}",
        f"Next: eyebright server release gate {folder} {release.task} --data TEST_MANIFEST",
    )


@app.command()
def gate(
    folder: Folder,
    task: Task,
    version: Annotated[str | None, typer.Argument(help="Default: the newest candidate.")] = None,
    data: Annotated[list[Path] | None, typer.Option(help="Test data of your own; repeat.")] = None,
    unit_data: Annotated[list[Path] | None, typer.Option(help="The same from cameras of units; repeat.")] = None,
    counts: Annotated[list[Path] | None, typer.Option(help="A site's counts, from `release count`; repeat.")] = None,
    profile: Annotated[str, typer.Option(help="Of the policy: screening, strict or rehearsal.")] = "screening",
    override: Annotated[list[str] | None, typer.Option(help="A rule to override; repeat.")] = None,
    operator: By = None,
    reason: Annotated[str | None, typer.Option(help="Why a rule is overridden.")] = None,
    audit: Annotated[bool, typer.Option(help="Ask whether the data can be passed without the retina.")] = True,
    workers: Workers = 2,
    as_json: AsJson = False,
) -> None:
    """Hold a candidate to the policy; it becomes a release, or the rules that block it are named (exit 1)."""
    from eyebright_server.release.gate_words import COLUMNS, headline, rule_cells
    from eyebright_server.release.progress import working

    if override and not (operator and reason):
        raise InputError("an override needs a name and a reason", fix="Give --operator and --reason.")
    with _desk(folder) as desk, working("measuring") as on_progress:
        report, place = desk.gate(
            task,
            version,
            data=data or (),
            unit_data=unit_data or (),
            counts=counts or (),
            profile=profile,
            override=(operator or "", reason or "", tuple(override)) if override else None,
            audit=audit,
            workers=workers,
            on_progress=on_progress,
        )
    table = Table(*COLUMNS[:5])
    for rule in report.rules:
        table.add_row(*rule_cells(rule, report)[:5], style=_style(report, rule.name, rule.blocks))
    facts = {"passed": report.passed, "folder": str(place), "gate": json.loads(report.to_json())}
    show(as_json, facts, table, headline(report), f"{'Release' if report.passed else 'Report'}: {place}")
    if not report.passed:
        raise typer.Exit(1)


@app.command()
def publish(
    folder: Folder,
    release: Annotated[str, typer.Argument(help="A release's folder, or TASK/VERSION of one that passed here.")],
    staged: Annotated[bool, typer.Option("--staged", help="Ring by ring, instead of to every unit at once.")] = False,
    rings: Annotated[
        str | None, typer.Option(help="NAME:shadow|serve:SHARE:HOURS[:PATIENTS],… Default: four rings.")
    ] = None,
    operator: By = None,
    as_json: AsJson = False,
) -> None:
    """Sign a release that passed the gate and put it where units find it; needs the offline keys."""
    with _desk(folder) as desk:
        published = desk.publish(release, rings=_rings(rings) if staged or rings else None, by=_by(operator))
    made = published.release
    new = "is published" if published.new else "was published already"
    rollout = published.rollout
    ring = f" Ring {rollout.rings[rollout.opened].name} is {rollout.state}." if rollout else ""
    facts = {
        "task": made.task,
        "version": made.version,
        "sha256": made.sha256,
        "size_bytes": made.size_bytes,
        "new": published.new,
    }
    words = f"{made.task} {made.version} {new}: {len(made.files)} files, {made.size_bytes / 1e6:.1f} MB.{ring}"
    show(as_json, facts, words)


for _command in (promote, pause, resume, watch, status, sync):
    app.command()(_command)


@app.command()
def rollback(
    folder: Folder,
    task: Task,
    reason: Annotated[str, typer.Option(help="Why.")],
    to: Annotated[str | None, typer.Option(help="Version to bring back. Default: the one before the newest.")] = None,
    operator: By = None,
    as_json: AsJson = False,
) -> None:
    """Bring an older release back under a new version, for every unit at once. Needs the offline keys."""
    with _desk(folder) as desk:
        made, old = desk.roll_back(task, to=to, by=_by(operator), reason=stated(reason))
    facts = {"task": task, "version": made.version, "again": old, "sha256": made.sha256}
    show(as_json, facts, f"{task} {made.version} is published: the files of release {old}, for every unit.")


@app.command("list")
def list_(folder: Folder, as_json: AsJson = False) -> None:
    """List candidates, releases and rollouts."""
    with _desk(folder) as desk:
        rows = desk.listing()
    table = Table("task", "version", "state", "gate", "rollout")
    for row in rows:
        table.add_row(row.task, row.version, row.state, row.gate, row.rollout)
    facts = [{name: getattr(row, name) for name in ("task", "version", "state", "gate", "rollout")} for row in rows]
    show(as_json, {"releases": facts}, table)


@app.command()
def export(
    folder: Folder,
    to: Annotated[Path, typer.Option(help="New folder, or one that was exported before.")],
    as_json: AsJson = False,
) -> None:
    """Write the signed repository for a static web server or a USB stick."""
    from eyebright_server.release.exporting import export_repository

    with _desk(folder) as desk:
        made = export_repository(desk.operator.repository, to)
        ends = desk.operator.repository.expiries()["timestamp"]
    counts = {"files": made.files, "written": made.written, "size_bytes": made.size_bytes}
    facts = {"folder": str(to), **counts, "until": ends.isoformat()}
    words = f"{made.files} files, {made.size_bytes / 1e6:.1f} MB in {to}; {made.written} of them new."
    show(as_json, facts, words, f"Units take it until {ends:%Y-%m-%d %H:%M} UTC; export again after that.")


@app.command()
def count(
    candidate: Annotated[Path, typer.Argument(metavar="FOLDER", help="A candidate's or a release's folder.")],
    data: Annotated[Path, typer.Option(help="Test data that stay here.")],
    out: Annotated[Path, typer.Option(help="Where the counts go: one file for the operator.")],
    site: Annotated[str, typer.Option(help="Your site's public name.")],
    incumbent: Annotated[Path | None, typer.Option(help="Folder of the release before.")] = None,
    first: Annotated[Path | None, typer.Option(help="Folder of the first release.")] = None,
    unit_camera: Annotated[bool, typer.Option("--unit-camera", help="The pictures are from cameras of units.")] = False,
    smallest: Annotated[int, typer.Option(min=1, help="Patients that a part needs to be told.")] = 10,
    workers: Workers = 2,
    as_json: AsJson = False,
) -> None:
    """Run a candidate over a site's own data; what is written are counts, and nothing else."""
    from eyebright_server.release.looks import count_site
    from eyebright_server.release.progress import working

    with working("measuring") as on_progress:
        evidence = count_site(
            candidate,
            data,
            out,
            site=site,
            incumbent=incumbent,
            first=first,
            unit_camera=unit_camera,
            smallest=smallest,
            workers=workers,
            on_progress=on_progress,
        )
    told = evidence.outcomes
    words = (
        f"{told.n} patients: {told.positives} to be referred, {told.negatives} others, {told.ungradable} ungradable."
    )
    show(as_json, json.loads(evidence.model_dump_json()), words, f"Counts in {out}; nothing else leaves this machine.")


def _desk(folder: Path) -> ReleaseDesk:
    from eyebright_server.release.desk import ReleaseDesk

    return ReleaseDesk(OperatorFolder.open(folder, passphrase=passphrase()))


def _rings(text: str | None) -> tuple[Any, ...]:
    from eyebright_common.release.rollout import DEFAULT_RINGS, parse_rings

    return parse_rings(text) if text else DEFAULT_RINGS


def _by(operator: str | None) -> str:
    return operator or getpass.getuser()


def _style(report: GateReport, name: str, blocks: bool) -> str | None:
    forgiven = report.override is not None and name in report.override.rules
    return None if not blocks else "yellow" if forgiven else "bold red"
