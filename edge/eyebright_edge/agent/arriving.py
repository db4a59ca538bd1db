"""What is asked of a release that arrives at a unit, and how its files come to lie in their place."""

from __future__ import annotations

import shutil
from pathlib import Path

from eyebright_common.durable import move_into_place, sync_file, sync_folder
from eyebright_common.errors import EyebrightError, ReleaseError
from eyebright_common.imaging import PREPROCESSING_ID
from eyebright_common.release import Release
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.source import Offer

# Room that an update leaves for visits.
_RESERVE_BYTES = 32 << 20


def require_room(home: UnitHome, offer: Offer) -> None:
    """Pass when the unit has room for what is offered, twice.

    Raises:
        EyebrightError: it has not.
    """
    free, needed = shutil.disk_usage(home.root).free, 2 * offer.size_bytes + _RESERVE_BYTES
    if free < needed:
        found = f"{free / 1e6:.0f} MB free, {needed / 1e6:.0f} MB needed"
        raise EyebrightError("there is no room for a new release", value=found, fix="Free some space on this unit.")


def check_suitable(release: Release, *, task: str, version: str) -> None:
    """Pass when the release is the one that was offered, and prepares pictures as this unit does.

    Raises:
        ReleaseError: it is not, or does not.
    """
    if (release.task, release.version) != (task, version):
        raise ReleaseError(
            "the release is not what was offered", value=f"{release.task} {release.version}", fix="Tell the operator."
        )
    if release.preprocessing.id != PREPROCESSING_ID:
        raise ReleaseError(
            f"the release prepares pictures by {release.preprocessing.id!r}, this unit by {PREPROCESSING_ID!r}",
            fix="Update Eyebright on this unit, then run `eyebright edge update --retry`.",
        )


def add_files(arrived: Path, staged: Path) -> None:
    """Move what ``staged`` lacks into it, each file by one rename; drop the rest."""
    for file in arrived.iterdir():
        if not (staged / file.name).exists():
            move_into_place(file, staged / file.name)
    shutil.rmtree(arrived)


def sync_files(folder: Path) -> None:
    """Write a folder's files, and then the folder, to the disk."""
    for file in folder.iterdir():
        sync_file(file)
    sync_folder(folder)
