"""Training on disk, epoch by epoch: what is needed to go on as if nothing had happened.

* Two files. One of tensors; and a small document that names the file that counts and keeps the history. The first is
  complete before the second names it, so a kill at any moment leaves the last whole epoch. Files that no longer count
  are then deleted.
* A folder belongs to one training, by its key. Another one's folder is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from eyebright_common.documents import Document
from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError

Entry = TypeVar("Entry")
FINISHED = "finished.safetensors"


class Progress(Document, Generic[Entry]):
    """What the document says.

    Attributes:
        schema_version: Of this file.
        key: Of the training.
        weights: Name of the file that counts, in the same folder.
        history: One entry per whole epoch.
    """

    schema_version: int = Field(default=1, ge=1, le=1)
    key: str
    weights: str = Field(pattern=r"^(epoch-\d+|finished)\.safetensors$")
    history: tuple[Entry, ...] = Field(min_length=1)


def keep_epoch(path: Path, progress: Progress[Entry], state: Mapping[str, Tensor]) -> None:
    """Write the end of an epoch durably, then delete the files of tensors that no longer count.

    Args:
        path: The document; tensors go beside it.
        progress: What it is to say.
        state: Tensors by name.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    write_bytes(path.with_name(progress.weights), save(tensors))
    write_bytes(path, progress.to_json())
    for old in path.parent.glob("*.safetensors"):
        if old.name != progress.weights:
            old.unlink()


def read_epoch(
    path: Path, document: type[Progress[Entry]], *, key: str, what: str
) -> tuple[Progress[Entry], dict[str, Tensor]] | None:
    """Return what ``keep_epoch`` wrote; None where there is nothing yet.

    Args:
        path: The document.
        document: Its type.
        key: Of the training that asks.
        what: What it is, for messages, e.g. ``pre-training``.

    Raises:
        InputError: the folder holds another training, or its files are damaged.
    """
    if not path.exists():
        return None
    try:
        progress = document.model_validate_json(path.read_bytes())
        if progress.key != key:
            raise InputError(
                f"the checkpoint folder holds another {what}",
                value=path.parent,
                fix="Give the same configuration, pictures and start to continue it, or another folder.",
            )
        return progress, load_file(path.with_name(progress.weights))
    except (OSError, ValidationError, SafetensorError) as error:
        raise InputError(
            f"a {what} checkpoint cannot be read", value=path.parent, fix="Give an empty folder to start afresh."
        ) from error
