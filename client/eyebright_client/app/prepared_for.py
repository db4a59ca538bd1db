"""What the prepared pictures of a site were prepared for, so that no plan of another task is trained on them.

Two tasks can have the same number of classes: labels of one are then valid numbers in the other, and a student would
learn B-scans as photographs without anybody noticing. A site directory without this file was prepared by somebody else;
then only the size of the pictures and the largest label can be compared with the plan.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from eyebright_common.documents import Document
from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_common.plan import Plan

FILE_NAME = "prepared.json"


class PreparedFor(Document):
    """The content of ``prepared.json``.

    Attributes:
        task: Name of the task whose classes the labels count.
        image_size: Side of the pictures in pixels.
    """

    task: str
    image_size: int = Field(ge=1)

    def differs_from(self, plan: Plan) -> str:
        """Return what is wrong with these pictures for ``plan``; empty where nothing is."""
        if self.task != plan.task:
            return f"prepared for task {self.task}, the plan is for {plan.task}"
        if self.image_size != plan.image_size:
            return f"{self.image_size} px, the plan asks {plan.image_size} px"
        return ""

    def write(self, site: Path) -> None:
        """Write it into the site directory."""
        write_bytes(site / FILE_NAME, self.to_json())


def prepared_for(site: Path) -> PreparedFor | None:
    """Return what the pictures in ``site`` were prepared for; None where nobody wrote it down.

    Raises:
        InputError: the file cannot be read.
    """
    path = site / FILE_NAME
    try:
        return PreparedFor.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        fix = "Prepare the pictures again: eyebright client prepare."
        raise InputError("what the pictures were prepared for cannot be read", value=path, fix=fix) from error
