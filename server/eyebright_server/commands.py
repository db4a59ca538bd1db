"""``eyebright server``: the operator's folder, invitations, releases, the ledger; and the teacher."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_common.trust import Role
from eyebright_server.distribution import DistributionServer, OperatorFolder, ServerAddresses, serve_until_stopped
from eyebright_server.distribution.operator_folder import (
    DISTRIBUTION_PORT,
    ENROLMENT_PORT,
    FLEET_PORT,
    SUPERLINK_PORT,
)
from eyebright_server.distribution.passphrase import passphrase
from eyebright_server.first_student.command import first_student
from eyebright_server.key_commands import app as key_app
from eyebright_server.key_commands import expiry_table
from eyebright_server.release.release_command import app as release_app
from eyebright_server.release.release_command import publish
from eyebright_server.release.repository import utc_now
from eyebright_server.rounds_command import app as rounds_app
from eyebright_server.showing import show
from eyebright_server.superlink.teacher_command import publish_teacher
from eyebright_server.superlink.up_command import up
from eyebright_server.teacher.commands import app as teacher_app

app = typer.Typer(no_args_is_help=True, help="Central server: serve releases, invite units, look after the repository.")
app.add_typer(key_app, name="key")
app.add_typer(teacher_app, name="teacher")
app.add_typer(rounds_app, name="rounds")
app.add_typer(release_app, name="release")
app.command()(publish)
app.command()(up)
app.command()(publish_teacher)
app.command()(first_student)

_LONGEST_INVITATION_H = 24 * 366

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The operator's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@app.command()
def init(
    folder: Folder,
    host: Annotated[
        list[str] | None,
        typer.Option(help="Name or address under which units reach this server; repeat for more, the main one first."),
    ] = None,
    enrolment_port: Annotated[int, typer.Option(min=1, max=65535)] = ENROLMENT_PORT,
    distribution_port: Annotated[int, typer.Option(min=1, max=65535)] = DISTRIBUTION_PORT,
    fleet_port: Annotated[int, typer.Option(min=1, max=65535, help="Of nginx, for hospitals.")] = FLEET_PORT,
    superlink_port: Annotated[int, typer.Option(min=1, max=65535, help="On loopback only.")] = SUPERLINK_PORT,
    records_url: Annotated[str | None, typer.Option(help="PostgreSQL for the records, instead of a file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make the authority, the signing keys, an empty signed repository and the records.

    The offline keys are encrypted when EYEBRIGHT_KEY_PASSPHRASE is set.
    """
    operator = OperatorFolder.create(
        folder,
        hosts=host or ("127.0.0.1", "localhost"),
        enrolment_port=enrolment_port,
        distribution_port=distribution_port,
        fleet_port=fleet_port,
        superlink_port=superlink_port,
        records_url=records_url,
        passphrase=passphrase(),
    )
    operator.close()
    offline = folder / "keys" / "offline"
    facts = {"folder": str(folder), "hosts": list(operator.settings.hosts), "offline_keys": str(offline)}
    show(
        as_json,
        facts,
        f"Operator's folder made: {folder}",
        f"Move {offline} to a safe place; only publishing needs it.",
        f"Next: eyebright server up {folder}; where there are only units: eyebright server serve {folder}",
    )


@app.command()
def invite(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="Name of the new unit, hospital, builder or console.")],
    valid_hours: Annotated[float, typer.Option(help="How long the invitation can be used.")] = 72.0,
    role: Annotated[Role, typer.Option(help="What is invited.")] = Role.UNIT,
    out: Annotated[Path | None, typer.Option(help="Write the invitation to a file readable by you alone.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print a one-time invitation: one line to hand over by a safe way."""
    if role is Role.SERVER:
        raise InputError("a server is not invited", fix="Choose unit, hospital, builder or console.")
    if not 0 < valid_hours <= _LONGEST_INVITATION_H:
        fix = f"Give hours above 0, at most {_LONGEST_INVITATION_H}."
        raise InputError("an invitation must be valid for some time", value=f"{valid_hours} hours", fix=fix)
    with _opened(folder) as operator:
        invitation = operator.invite(name, role=role, validity=timedelta(hours=valid_hours))
    text = invitation.encode()
    if out is not None:
        write_bytes(out, f"{text}\n".encode(), mode=0o600)
    facts = {"name": name, "role": role.value, "expires": invitation.expires.isoformat(), "invitation": text}
    where = f"Written to {out}." if out is not None else text
    show(as_json, facts, where, f"Valid once, until {invitation.expires:%Y-%m-%d %H:%M} UTC.")


@app.command()
def serve(
    folder: Folder,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    enrolment_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Default: as configured.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Distribution port. Default: as configured.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve enrolment and releases until interrupted."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

    def ready(addresses: ServerAddresses) -> None:
        facts = {"enrolment": addresses.enrolment, "distribution": addresses.distribution}
        show(as_json, facts, f"Enrolment on {addresses.enrolment}, releases on {addresses.distribution}. Ctrl-C stops.")

    with _opened(folder) as operator:
        server = DistributionServer(operator, host=host, enrolment_port=enrolment_port, distribution_port=port)
        asyncio.run(serve_until_stopped(server, ready=ready))


@app.command()
def renew(
    folder: Folder,
    targets: Annotated[bool, typer.Option(help="The lists of releases and teachers, with the offline keys.")] = False,
    root: Annotated[bool, typer.Option(help="The root, with the root keys.")] = False,
    as_json: AsJson = False,
) -> None:
    """Sign snapshot and timestamp afresh, which `serve` does by itself, and say what ends when."""
    with _opened(folder) as operator:
        if root:
            operator.repository.renew_root()
        if targets:
            operator.repository.renew_targets()
        else:
            operator.repository.renew_online()
        ends = operator.repository.expiries()
    show(as_json, {"ends": {role: end.isoformat() for role, end in ends.items()}}, expiry_table(ends))


@app.command()
def rotate(folder: Folder, keyid: Annotated[str | None, typer.Option(help="Default: the oldest.")] = None) -> None:
    """Replace one root key; units follow by themselves."""
    with _opened(folder) as operator:
        version = operator.repository.rotate_root_key(keyid)
        operator.records.append("root-rotated", {"version": version}, now=utc_now())
    show(False, {}, f"Root metadata is now version {version}.")


@app.command()
def revoke(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="The unit or hospital to shut out.")],
    role: Annotated[Role, typer.Option(help="What it is.")] = Role.UNIT,
) -> None:
    """Shut a unit or hospital out, from its next call on."""
    with _opened(folder) as operator:
        operator.records.revoke(name, now=utc_now(), role=role)
    show(False, {}, f"{role.value} {name} is revoked.")


@app.command()
def units(folder: Folder, as_json: AsJson = False) -> None:
    """List who has enrolled, and what each unit said last."""
    with _opened(folder) as operator:
        found = []
        for row in operator.records.participants():
            last = operator.records.reports(row.name)[-1:] if row.role == Role.UNIT else []
            found.append(
                {
                    "role": row.role,
                    "name": row.name,
                    "revoked": row.revoked is not None,
                    "certificate_until": row.not_after.isoformat(),
                    "status": last[0].model_dump() if last else None,
                }
            )
    table = Table("role", "name", "in", "certificate until", "release", "state")
    for entry in found:
        status = entry["status"] if isinstance(entry["status"], dict) else {}
        release = f"{status.get('task') or '-'} {status.get('active_version') or '-'}" if status else "-"
        admitted = "revoked" if entry["revoked"] else "yes"
        until = str(entry["certificate_until"])[:16]
        table.add_row(str(entry["role"]), str(entry["name"]), admitted, until, release, str(status.get("state", "-")))
    show(as_json, {"participants": found}, table)


@app.command()
def ledger(
    folder: Folder,
    after: Annotated[int, typer.Option(help="Show entries with a higher number only.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Check the ledger from its beginning and show it."""
    with _opened(folder) as operator:
        head = operator.records.verify_ledger()
        entries = operator.records.ledger(after=after)
    table = Table("no.", "time", "what", "facts")
    for entry in entries:
        table.add_row(str(entry.seq), entry.time[:19], entry.kind, entry.payload)
    facts = {
        "entries": [{"seq": e.seq, "time": e.time, "kind": e.kind, "facts": e.facts, "hash": e.hash} for e in entries],
        "head": {"entries": head.entries, "hash": head.hash},
    }
    show(as_json, facts, table, f"{head.entries} entries, unbroken. Head: {head.hash}")


def _opened(folder: Path) -> OperatorFolder:
    return OperatorFolder.open(folder, passphrase=passphrase())
