"""``eyebright server key``: the signing keys of the repository, where they lie, and their replacement."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from eyebright_common.errors import InputError, TrustError
from eyebright_server.distribution import OperatorFolder
from eyebright_server.distribution.passphrase import passphrase
from eyebright_server.release.repository import utc_now
from eyebright_server.release.role_keys import ROLES
from eyebright_server.showing import show

MODELS, ONLINE = "models", "online"
app = typer.Typer(no_args_is_help=True, help="Signing keys: list, replace, revoke, say where one lies.")

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The operator's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@app.command("list")
def list_keys(folder: Folder, as_json: AsJson = False) -> None:
    """Show every key, how many of its role must sign, where it lies, and when each role's metadata ends."""
    with OperatorFolder.open(folder, passphrase=passphrase()) as operator:
        places, ends = operator.repository.key_places(), operator.repository.expiries()
    facts = [
        {"role": p.role, "key": p.keyid, "must_sign": p.threshold, "place": p.place, "here": p.here} for p in places
    ]
    table = Table("role", "key", "must sign", "here", "ends")
    for place in places:
        count = sum(other.role == place.role for other in places)
        here = "yes" if place.here else f"no{f' ({place.place})' if place.place else ''}"
        end = f"{ends[place.role]:%Y-%m-%d %H:%M}"
        table.add_row(place.role, place.keyid[:12], f"{place.threshold} of {count}", here, end)
    show(as_json, {"keys": facts, "ends": _iso(ends)}, table)


@app.command()
def rotate(
    folder: Folder,
    role: Annotated[
        str, typer.Argument(help="root, targets, students, teachers, snapshot, timestamp, online (both), or models.")
    ],
    key: Annotated[
        str | None, typer.Option(help="The key to retire; by default one that is not here, else the first.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every key of the role, also when all of them are lost.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Replace a key by a fresh one; units follow by themselves.

    Needs the root keys, or the targets keys for students and teachers.
    """
    if role not in (*ROLES, ONLINE, MODELS):
        fix = f"Choose one of: {', '.join((*ROLES, ONLINE, MODELS))}."
        raise TrustError("there is no such role", value=role, fix=fix)
    if (key is not None or every) and role in (ONLINE, MODELS):
        raise InputError("these keys are replaced without naming them", value=role, fix="Leave --key and --all out.")
    if key is not None and every:
        raise InputError("one key, or all of them?", fix="Give --key or --all.")
    with OperatorFolder.open(folder, passphrase=passphrase()) as operator:
        repository = operator.repository
        if role == ONLINE:
            fresh = list(repository.rotate_online_keys().items())
        elif every:
            fresh = [(role, made) for made in repository.rotate_role(role)]
        else:
            fresh = [(role, repository.rotate_models_key() if role == MODELS else repository.rotate_key(role, key))]
        for of, made in fresh:
            operator.records.append("key-rotated", {"role": of, "key": made}, now=utc_now())
    facts = {role: [made for _, made in fresh]} if every else dict(fresh)
    show(as_json, {"keys": facts}, *(f"{of} has a new key: {made[:12]}." for of, made in fresh))


@app.command()
def revoke(
    folder: Folder,
    key: Annotated[str, typer.Argument(help="Its id, or at least eight characters of it.")],
    as_json: AsJson = False,
) -> None:
    """Take a key out without a successor, where enough others are left."""
    with OperatorFolder.open(folder, passphrase=passphrase()) as operator:
        roles = operator.repository.revoke_key(key)
        operator.records.append("key-revoked", {"key": key, "roles": list(roles)}, now=utc_now())
    show(as_json, {"key": key, "roles": list(roles)}, f"{key[:12]} signs nothing any more: {', '.join(roles)}.")


@app.command()
def place(
    folder: Folder,
    key: Annotated[str, typer.Argument(help="Its id, or at least eight characters of it.")],
    uri: Annotated[str, typer.Argument(help="file:/ABSOLUTE/PATH or env:NAME.")],
    as_json: AsJson = False,
) -> None:
    """Say that a key lies elsewhere: on a stick, or in a variable of the environment."""
    with OperatorFolder.open(folder, passphrase=passphrase()) as operator:
        operator.repository.place_key(key, uri)
        here = any(place.here for place in operator.repository.key_places() if place.keyid.startswith(key))
    found = "" if here else " It is not there now."
    show(as_json, {"key": key, "place": uri, "here": here}, f"{key[:12]} is looked for at {uri}.{found}")


def expiry_table(ends: dict[str, datetime]) -> Table:
    """Return when the metadata of each role ends, and what renews it."""
    by = {"snapshot": "the server", "timestamp": "the server", "root": "renew --root"}
    table = Table("metadata", "ends", "renewed by")
    for role, end in ends.items():
        table.add_row(role, f"{end:%Y-%m-%d %H:%M} UTC", by.get(role, "renew --targets"))
    return table


def _iso(ends: dict[str, datetime]) -> dict[str, str]:
    return {role: end.isoformat() for role, end in ends.items()}
