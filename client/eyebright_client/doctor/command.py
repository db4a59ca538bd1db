"""``eyebright client doctor``: what is wrong with a hospital's pictures, before they take part."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from eyebright_client.doctor.diagnosis import Diagnosis, Options, examine, manifest_changes
from eyebright_client.doctor.local_list import write_local_list
from eyebright_client.doctor.reach import connection_to
from eyebright_client.doctor.wording import HEADLINES, LEVEL_WORDS, plain
from eyebright_common.durable import write_json
from eyebright_common.errors import InputError
from eyebright_common.manifest.importers import DataMap, read_map, write_records

_STYLES = {"ok": "green", "info": "cyan", "warn": "yellow", "stop": "bold red"}


def doctor(
    data: Annotated[Path, typer.Argument(help="Manifest (CSV, JSONL), folder, DICOM tree or DICOMDIR.")],
    map_file: Annotated[Path | None, typer.Option("--map", help="JSON: your columns, labels and layout.")] = None,
    layout: Annotated[str | None, typer.Option(help="Name of an importer, where it is not recognised.")] = None,
    task: Annotated[str | None, typer.Option(help="Task or family; by default what the labels fit.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for page, JSON, local list and kept results.")] = Path(
        "eyebright-doctor"
    ),
    write_manifest: Annotated[Path | None, typer.Option(help="Write what was read as manifest v1, CSV.")] = None,
    resplit: Annotated[bool, typer.Option(help="Deal groups to train, validation and test in that manifest.")] = False,
    sample: Annotated[int, typer.Option(min=0, help="Look at about so many pictures; 0 for all.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    capacity: Annotated[bool, typer.Option(help="Look at disk, memory and one timed training step.")] = True,
    server: Annotated[str | None, typer.Option(help="HOST:PORT, to look at connection and clock.")] = None,
    ca: Annotated[Path | None, typer.Option(help="The operator's certificate authority, PEM.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the shareable JSON instead of tables.")] = False,
) -> None:
    """Say what is wrong with a hospital's pictures, and which of them will be used.

    Exit code: 0 in order, 1 usable with warnings, 2 refused.
    """
    _check_places(data, out, write_manifest, resplit, sample)
    if server is not None:
        connection_to(server, ca=ca)  # now, not when all pictures have been looked at
    chosen = Options(
        task=task,
        mapping=_mapping(map_file, layout),
        workers=workers,
        sample=sample,
        capacity=capacity,
        server=server,
        ca=ca,
    )
    out.mkdir(parents=True, exist_ok=True)
    with _working() as on_progress:
        diagnosis = examine(data, folder=out, options=chosen, on_progress=on_progress)
    _write(diagnosis, out)
    if write_manifest is not None:
        source = diagnosis.case.source
        changes = manifest_changes(diagnosis.case, resplit=resplit)
        write_records(write_manifest, source.records, root=source.root, changed=changes)
    if as_json:
        typer.echo(json.dumps(diagnosis.shareable, indent=1, allow_nan=False))
    else:
        _show(diagnosis.shareable, out, Console())
    raise typer.Exit(diagnosis.exit_code)


def _check_places(data: Path, out: Path, manifest: Path | None, resplit: bool, sample: int) -> None:
    if data.is_dir() and out.absolute().is_relative_to(data.absolute()):
        raise InputError("the results would lie among the pictures", value=out, fix="Choose another folder with --out.")
    if out.exists() and not out.is_dir():
        raise InputError("the results need a folder", value=out, fix="Choose another folder with --out.")
    if resplit and manifest is None:
        raise InputError("--resplit changes nothing without a manifest to write", fix="Add --write-manifest PATH.")
    if resplit and sample:
        raise InputError("--resplit needs every picture", value=f"--sample {sample}", fix="Leave --sample out.")


def _mapping(map_file: Path | None, layout: str | None) -> DataMap:
    found = read_map(map_file)
    return found if layout is None else found.model_copy(update={"layout": layout})


def _write(diagnosis: Diagnosis, out: Path) -> None:
    # Imported here: a page needs templates, a check does not.
    from eyebright_client.doctor.page import write_page

    write_json(out / "preflight.json", diagnosis.shareable)
    write_page(diagnosis.shareable, out / "preflight.html")
    write_local_list(out / "preflight.local.csv", diagnosis.local)


@contextmanager
def _working() -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error, so that ``--json > file`` holds JSON alone."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("looking at pictures", total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


def _show(result: dict[str, Any], out: Path, console: Console) -> None:
    findings = Table("", "check", "what was found", show_lines=False)
    for finding in result["findings"]:
        style = _STYLES[finding["level"]]
        words = escape(finding["sentence"] + (f"\n→ {finding['fix']}" if finding["fix"] else ""))
        findings.add_row(f"[{style}]{LEVEL_WORDS[finding['level']]}[/{style}]", plain(finding["check"]), words)
    console.print(findings)
    console.print(_usage(result))
    style = _STYLES[result["level"]]
    console.print(f"[{style}]{HEADLINES[result['level']]}[/{style}] (exit code {result['exit_code']})")
    shared, local = out / "preflight.html", out / "preflight.local.csv"
    words = f"May be shared: {shared} and preflight.json. Do not share: {local}."
    console.print(escape(words), soft_wrap=True, highlight=False)


def _usage(result: dict[str, Any]) -> Table:
    """Return the table that is always printed: what will be used, what is left out, and why."""
    table = Table("", "pictures", "why", title="Will be used / left out, and why")
    table.add_row("[green]used[/green]", f"{result['used']}", "")
    for label, counts in result["used_by_class"].items():
        where = ", ".join(f"{split} {count}" for split, count in counts.items())
        table.add_row("", "", f"{plain(label)}: {where or 0}", style="dim")
    for reason, count in result["left_out"].items():
        table.add_row("left out", f"{count}", plain(reason))
    return table
