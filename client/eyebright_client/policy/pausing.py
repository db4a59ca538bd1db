"""Pausing: the hospital stays connected and answers every request with a refusal, until it resumes.

The pause is a file in the site directory, so it holds over restarts and is seen at the next request.
"""

from __future__ import annotations

from pathlib import Path

from eyebright_common.durable import sync_folder, write_bytes
from eyebright_common.errors import PlanRefused

FILE_NAME = "paused"


def pause(site: Path) -> None:
    """Take part in nothing from the next request on."""
    write_bytes(site / FILE_NAME, b"")


def resume(site: Path) -> None:
    """Take part again."""
    (site / FILE_NAME).unlink(missing_ok=True)
    sync_folder(site)


def is_paused(site: Path) -> bool:
    """Whether the hospital has paused."""
    return (site / FILE_NAME).exists()


def refuse_while_paused(site: Path) -> None:
    """Return when the hospital has not paused.

    Raises:
        PlanRefused: it has.
    """
    if is_paused(site):
        raise PlanRefused("this hospital has paused", fix="`eyebright client resume` takes part again.")
