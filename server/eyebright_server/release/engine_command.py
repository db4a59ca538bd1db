"""``eyebright server release engine``: what builders sent; sign it for their twins, or take it back."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from eyebright_common.errors import InputError
from eyebright_common.release.engines import EngineUpload
from eyebright_server.distribution import OperatorFolder
from eyebright_server.distribution.passphrase import passphrase
from eyebright_server.release.rollout_command import stated
from eyebright_server.showing import show

app = typer.Typer(no_args_is_help=True, help="Engines that builders sent for units like themselves.")

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The operator's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
By = Annotated[str | None, typer.Option("--operator", help="Who says so. Default: the name of this account.")]


@app.command("list")
def list_(folder: Folder, as_json: AsJson = False) -> None:
    """List the engines that wait to be signed, and those that twins can have."""
    with OperatorFolder.open(folder) as operator:
        known = operator.engines.known()
    table = Table("release", "key", "state", "builder", "board", "GPU", "TensorRT", "precision", "MB", "golden cases")
    for one in known:
        upload, machine = one.upload, one.upload.key.fingerprint
        proof = f"{upload.proof.cases} passed"
        table.add_row(
            *(f"{upload.task} {upload.version}", upload.key.digest[:12], one.state.value, upload.builder),
            *(machine.board, machine.gpu, machine.tensorrt, upload.key.precision),
            *(f"{upload.size_bytes / 1e6:.1f}", proof),
        )
    facts = [{"state": one.state.value, **_facts(one.upload)} for one in known]
    show(as_json, {"engines": facts}, table if known else "No builder has sent an engine.")


@app.command()
def sign(
    folder: Folder,
    keys: Annotated[list[str] | None, typer.Argument(metavar="KEY…", help="As listed; the beginning will do.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every engine that waits.")] = False,
    operator: By = None,
    as_json: AsJson = False,
) -> None:
    """Check engines once more and sign them: twins fetch them from now on. Needs the students' keys."""
    if bool(keys) == every:
        raise InputError("it is not clear which engines are to be signed", fix="Name their keys, or give --all.")
    with OperatorFolder.open(folder, passphrase=passphrase()) as opened:
        waiting = [one.upload.key.digest for one in opened.engines.known() if one.state == "waiting"]
        by = operator or getpass.getuser()
        signed = [opened.engines.sign(key, by=by) for key in (waiting if every else keys or ())]
    lines = [f"{_name(upload)} is signed: twins of {upload.builder} can have it." for upload in signed]
    show(as_json, {"signed": [_facts(upload) for upload in signed]}, *(lines or ["No engine waits."]))


@app.command()
def withdraw(
    folder: Folder,
    key: Annotated[str, typer.Argument(help="As listed; the beginning will do.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    operator: By = None,
    as_json: AsJson = False,
) -> None:
    """Throw an engine away, or offer it no longer; the latter needs the students' keys. Units that have it keep it."""
    with OperatorFolder.open(folder, passphrase=passphrase()) as opened:
        upload = opened.engines.withdraw(key, by=operator or getpass.getuser(), reason=stated(reason))
    show(as_json, _facts(upload), f"{_name(upload)} is withdrawn; units like {upload.builder} build their own.")


def _name(upload: EngineUpload) -> str:
    return f"Engine {upload.key.digest[:12]} of {upload.task} {upload.version}"


def _facts(upload: EngineUpload) -> dict[str, object]:
    return {"key_digest": upload.key.digest, "engine": json.loads(upload.to_json())}
