"""The site directory: all that the hospital's app may read.

::

    SITE/site.json            name and index; the name stays here
    SITE/policy.json          what the hospital agrees to
    SITE/train.npz            prepared training images
    SITE/validation.npz       prepared validation images
    SITE/prepared.json        the task and the size they were prepared for
    SITE/teacher.safetensors  the teacher, downloaded once; absent where a plan has none
    SITE/cache/               the teacher's targets, one file per teacher and plan
    SITE/audit.jsonl          what crossed the border

Images are opened when they are asked for, so that a query costs no memory.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eyebright_client.app.prepared_for import prepared_for
from eyebright_common.digests import sha256_of
from eyebright_common.errors import InputError
from eyebright_common.plan import Plan
from eyebright_learning.data import PreparedImages

_OTHER_PLAN = "the pictures do not fit the plan"


class _SiteFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    index: int = Field(ge=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One hospital's folder.

    Attributes:
        folder: The site directory.
        name: What the hospital calls itself; never part of a reply.
        index: Its number in the federation.
    """

    folder: Path
    name: str
    index: int

    @classmethod
    def open(cls, folder: Path) -> Site:
        """Return the site in ``folder``.

        Raises:
            InputError: ``site.json`` is missing or cannot be read.
        """
        try:
            facts = _SiteFile.model_validate_json((folder / "site.json").read_bytes())
        except (OSError, ValidationError) as error:
            raise InputError(f"the site cannot be opened ({error})", value=folder / "site.json") from None
        return cls(folder=folder, name=facts.name, index=facts.index)

    def rows(self, split: str) -> int:
        """Return the number of images in ``train`` or ``validation`` without reading their pixels.

        Raises:
            InputError: the file is missing or damaged.
        """
        path = self.folder / f"{split}.npz"
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return len(arrays["labels"])
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f"prepared images cannot be read ({error})", value=path, fix="Prepare them again."
            ) from None

    def images(self, split: str, plan: Plan) -> PreparedImages:
        """Return the prepared images of ``train`` or ``validation``, as large as ``plan`` asks.

        Raises:
            InputError: they were prepared for another task or at another size.
        """
        noted = prepared_for(self.folder)
        if noted is not None and (difference := noted.differs_from(plan)):
            raise InputError(_OTHER_PLAN, value=difference, fix="Prepare them again for this plan.")
        images = PreparedImages.load(self.folder / f"{split}.npz")
        if len(images) and images.size != plan.image_size:
            raise InputError(
                _OTHER_PLAN,
                value=f"{images.size} px, the plan asks {plan.image_size} px",
                fix="Prepare them again for this plan.",
            )
        if len(images) and int(images.labels.max()) >= len(plan.classes):
            raise InputError("a label is outside the plan's classes", value=int(images.labels.max()))
        return images

    def teacher_file(self, plan: Plan) -> Path:
        """Return the teacher's file after checking that it is the one the plan names.

        Raises:
            InputError: it is missing or another file.
        """
        path = self.folder / "teacher.safetensors"
        if not path.is_file():
            raise InputError("the teacher has not been downloaded", value=path, fix="Fetch it before the round.")
        digest = sha256_of(path)
        if digest != plan.teacher_sha256:
            raise InputError("the teacher is not the one the plan names", value=digest, fix="Fetch the plan's teacher.")
        return path

    def cache_file(self, plan: Plan) -> Path:
        """Where the targets of this plan's teacher are kept."""
        return self.folder / "cache" / f"{(plan.teacher_sha256 or 'none')[:16]}.targets"
