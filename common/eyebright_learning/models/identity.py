"""What a teacher's file says about itself, so that a hospital builds the teacher from the file alone.

* ``kind`` says who made the network. It is left out of the file for timm's, which came first: their files keep their
  bytes, and with them the digests that plans and caches know them by.
* ``pooling`` is ``mean`` for a vision transformer without class token whose head sees the mean of its tokens, which is
  what pre-training leaves behind. It is left out of the file where the architecture's own pooling is used.
* An ensemble's architecture names its members (``ensemble:NAME+NAME``); nothing else is needed to build it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open

from eyebright_common.documents import Document
from eyebright_common.errors import InputError

Kind = Literal["timm", "student", "hybrid", "ensemble"]


class TeacherIdentity(Document):
    """What a teacher's file says about itself.

    Attributes:
        schema_version: Of this document.
        architecture: Name that ``build_teacher`` takes.
        classes: Number of logits.
        image_size: Side of the pictures in pixels.
        kind: Who made the network.
        pooling: The architecture's own, or the mean of the tokens.
    """

    schema_version: int = 1
    architecture: str
    classes: int
    image_size: int
    kind: Kind = Field(default="timm", exclude_if=lambda kind: kind == "timm")
    pooling: Literal["own", "mean"] = Field(default="own", exclude_if=lambda pooling: pooling == "own")

    def __str__(self) -> str:
        return f"{self.architecture}, {self.classes} classes, {self.image_size} px ({self.kind})" + (
            ", mean-pooled" if self.pooling == "mean" else ""
        )


def read_identity(path: Path) -> TeacherIdentity | None:
    """Return what a file says it is; None for a safetensors file that is not a teacher of ours.

    Raises:
        InputError: the file is missing or damaged, or what it says cannot be understood.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("eyebright")
        return None if text is None else TeacherIdentity.model_validate_json(text)
    except (OSError, SafetensorError, ValidationError) as error:
        raise InputError(
            "the teacher's file cannot be read", value=path, fix="Give a .safetensors file; download it again."
        ) from error
