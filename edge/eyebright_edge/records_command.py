"""``eyebright edge records``: who opens the vault, what is in it, take one item out, forget the old ones.

The kiosk makes the vault with its first technician's PIN; ``create`` makes one before, with another PIN or a key file.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyebright_common.errors import EyebrightError, InputError

if TYPE_CHECKING:
    from eyebright_edge.records.vault import Vault

app = typer.Typer(name="records", help="Pictures and names at rest: encrypted, kept for a time, exported by act.")

KEEP_DAYS = 90
_WAITING_FOR_A_PERSON = EyebrightError.exit_code

Home = Annotated[Path, typer.Option("--home", envvar="EYEBRIGHT_HOME", metavar="DIR", help="The unit's home folder.")]
KeyFile = Annotated[Path | None, typer.Option("--key-file", metavar="FILE", help="A key file in place of a PIN.")]


@app.command()
def create(
    home: Home,
    name: Annotated[str, typer.Option("--name", help="Whose PIN it is, or which key file.")],
    key_file: KeyFile = None,
) -> None:
    """Make the vault of this unit. The PIN is asked for, or taken from EYEBRIGHT_PIN; a key file is made if missing."""
    from eyebright_edge.records.vault import create_vault

    create_vault(_root(home), name=name, pin=None if key_file else _pin(confirm=True), key_file=key_file)
    typer.echo("The vault is made. Without its PIN or key file nothing in it can be read: keep a second one apart.")


@app.command()
def add(
    home: Home,
    name: Annotated[str, typer.Option("--name", help="Whose new PIN it is, or which new key file.")],
    new_key_file: Annotated[Path | None, typer.Option("--new-key-file", metavar="FILE")] = None,
    key_file: KeyFile = None,
) -> None:
    """Let another PIN (asked for, or EYEBRIGHT_NEW_PIN) or key file open the vault."""
    vault = _opened(home, key_file)
    if new_key_file is not None:
        vault.add_key_file(name, new_key_file)
    else:
        vault.add_pin(name, _pin("EYEBRIGHT_NEW_PIN", "New PIN", confirm=True))
    typer.echo(f"{name} opens the vault now.")


@app.command()
def remove(
    home: Home, name: Annotated[str, typer.Option("--name", help="Whose PIN, or which key file: as `list` says.")]
) -> None:
    """Let a PIN or key file open the vault no longer; needs no PIN. The last one stays."""
    from eyebright_edge.records.vault_seals import remove_seal

    remove_seal(_root(home), name)
    typer.echo(f"{name} opens the vault no longer.")


@app.command()
def anew(home: Home) -> None:
    """Put the vault aside when nobody can open it, so that the kiosk makes another; what is in it stays unreadable."""
    from eyebright_edge.records.vault_seals import set_aside

    typer.echo(f"The vault is now {set_aside(_root(home))}; the next PIN at the kiosk makes a new one.")


@app.command("list")
def show(home: Home) -> None:
    """Say what is kept, and since when; needs no PIN."""
    from eyebright_edge.records.vault import vault_items
    from eyebright_edge.records.vault_seals import read_seals

    root = _root(home)
    names = ", ".join(f"{seal.name} ({seal.kind.replace('-', ' ')})" for seal in read_seals(root).seals)
    items = vault_items(root)
    for item in items:
        typer.echo(f"{item.day}  {item.size_bytes:>10}  {item.name}")
    typer.echo(f"{len(items)} items; opened by {names}")


@app.command()
def export(
    item: Annotated[
        str, typer.Argument(metavar="ITEM", help="As `list` names it; N-visit is what the journal says of visit N.")
    ],
    target: Annotated[Path, typer.Argument(metavar="FILE")],
    home: Home,
    by: Annotated[str, typer.Option("--by", help="Who asks for it; noted in exports.jsonl.")],
    key_file: KeyFile = None,
) -> None:
    """Write one item, in the clear, to FILE. A line in exports.jsonl says when, which and who."""
    from eyebright_edge.agent.home import UnitHome
    from eyebright_edge.records.journal import Journal
    from eyebright_edge.records.vault import vault_items
    from eyebright_edge.records.vault_store import EXPORTS_FILE, export_item

    vault = _opened(home, key_file)
    if item not in {one.name for one in vault_items(vault.root)}:
        raise InputError("the vault has no such item", value=item, fix="`eyebright edge records list` names them.")
    visits, exports = Journal(UnitHome(home).visits_file), Journal(home / EXPORTS_FILE)
    export_item(vault, item, target, visits=visits, journal=exports, by=by, clock=_now)
    typer.echo(f"Written: {target}. It is not encrypted there.")


@app.command()
def expire(
    home: Home,
    keep_days: Annotated[
        int, typer.Option("--keep-days", help="How long pictures and patients' codes are kept.")
    ] = KEEP_DAYS,
    date_is_right: Annotated[
        bool, typer.Option("--date-is-right", help="Also after a long pause, when the clock could have jumped.")
    ] = False,
) -> None:
    """Delete what was kept long enough; needs no PIN, so that a timer can do it."""
    from eyebright_edge.records.vault_retention import expire as expire_items

    done = expire_items(_root(home), today=_now().date(), keep_days=keep_days, date_confirmed=date_is_right)
    typer.echo(done.notice or f"{done.deleted} deleted, {done.kept} kept.")
    if done.notice:
        raise typer.Exit(_WAITING_FOR_A_PERSON)


def _opened(home: Path, key_file: Path | None) -> Vault:
    from eyebright_edge.records.vault import open_with_key_file, open_with_pin

    root = _root(home)
    return open_with_key_file(root, key_file) if key_file else open_with_pin(root, _pin())


def _root(home: Path) -> Path:
    from eyebright_edge.agent.home import UnitHome

    UnitHome(home).require()
    return home / "vault"


def _pin(variable: str = "EYEBRIGHT_PIN", prompt: str = "PIN", *, confirm: bool = False) -> str:
    given = os.environ.get(variable)
    return given if given is not None else str(typer.prompt(prompt, hide_input=True, confirmation_prompt=confirm))


def _now() -> datetime:
    return datetime.now(UTC)
