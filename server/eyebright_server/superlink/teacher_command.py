"""``eyebright server publish-teacher``: sign a teacher so that hospitals fetch it by digest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from eyebright_common.digests import sha256_of
from eyebright_common.errors import InputError
from eyebright_server.distribution import OperatorFolder
from eyebright_server.distribution.passphrase import passphrase
from eyebright_server.release.repository import utc_now


def publish_teacher(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The operator's folder.")],
    teacher: Annotated[Path, typer.Argument(metavar="TEACHER", help="A teacher's safetensors file.")],
) -> None:
    """Sign a teacher and put it where hospitals find it by its digest; needs the offline keys."""
    if teacher.suffix != ".safetensors" or not teacher.is_file():
        raise InputError("a teacher is a safetensors file", value=teacher, fix="Name the file that training wrote.")
    # Imported here: it loads torch, which the operator's other commands do without.
    from eyebright_learning.models.identity import read_identity

    if read_identity(teacher) is None:
        raise InputError("this file is not a teacher", value=teacher, fix="Train one: eyebright server teacher train.")
    digest = sha256_of(teacher)
    with OperatorFolder.open(folder, passphrase=passphrase()) as operator:
        operator.repository.add_target(teacher, f"teachers/{digest}.safetensors")
        operator.records.append("teacher-published", {"sha256": digest}, now=utc_now())
    Console(soft_wrap=True, highlight=False, markup=False).print(f"Published: teacher {digest}.")
