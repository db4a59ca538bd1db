"""``eyebright client audit``: what left the building, in words and bytes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from eyebright_client.audit.crossings import AuditSummary, read_audit
from eyebright_client.enrolment.home import HospitalHome
from eyebright_common.errors import InputError


def audit(
    home: Annotated[Path, typer.Option(help="The hospital's home folder.")],
    every: Annotated[bool, typer.Option("--all", help="Every message, not only the sums.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Check the border log from its first line and show what came in and what left."""
    place = HospitalHome(home)
    # Not the membership: after leaving, the log is still here and still tells what left.
    if not place.site.is_dir():
        raise InputError("this is no hospital's home", value=home, fix="Name the folder that you joined with.")
    found, out = read_audit(place.site), Console(soft_wrap=True, highlight=False, markup=False)
    if as_json:
        out.print(json.dumps({"messages": [asdict(line) for line in found.lines], "head": found.head}))
        return
    out.print(_messages(found) if every else _sums(found))
    out.print(f"{len(found.lines)} messages, unbroken; {found.bytes_by('out')} bytes have left. Head: {found.head}")


def _sums(found: AuditSummary) -> Table:
    table = Table("", "what", "messages", "bytes")
    for direction in ("out", "in"):
        for sentence, (number, size) in found.counts(direction).items():
            table.add_row(direction, sentence, str(number), str(size))
    return table


def _messages(found: AuditSummary) -> Table:
    table = Table("no.", "time", "", "round", "what", "bytes", "sha256")
    for line in found.lines:
        digest = line.sha256[:12]
        table.add_row(
            str(line.sequence),
            line.at[:19],
            line.direction,
            str(line.round),
            line.sentence,
            str(line.size_bytes),
            digest,
        )
    return table
