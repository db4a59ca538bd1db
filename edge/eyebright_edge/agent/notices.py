"""What a person at this unit must know about it, besides the answer: one sentence each, most urgent first.

Read from the disk alone, for the screens of screening and status. Nothing here stops screening.
"""

from __future__ import annotations

import os
import shutil
from datetime import datetime

from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.news import read_news, stale_notice
from eyebright_edge.agent.update_record import Ending, UpdateRecord, read_record

_LITTLE_ROOM_BYTES = 64 << 20


def unit_notices(home: UnitHome, *, now: datetime) -> tuple[str, ...]:
    """Return what is wrong with the disk, the last release, the news from the operator, or the clock.

    Args:
        home: The unit's home.
        now: The machine's clock, aware.
    """
    found = (_disk_notice(home), _release_notice(read_record(home)), stale_notice(read_news(home), now))
    return tuple(notice for notice in found if notice)


def _disk_notice(home: UnitHome) -> str:
    if not os.access(home.root, os.W_OK) or os.statvfs(home.root).f_flag & os.ST_RDONLY:
        return "The disk of this unit cannot be written: write answers down. No update is possible. Replace the disk."
    free = shutil.disk_usage(home.root).free
    if free < _LITTLE_ROOM_BYTES:
        return f"The disk of this unit is nearly full ({free / 1e6:.0f} MB left): free some space."
    return ""


def _release_notice(record: UpdateRecord) -> str:
    if record.ending is Ending.REFUSED:
        return f"Release {record.version} was refused on this unit: {record.reason}"
    if record.ending is Ending.ROLLED_BACK:
        return f"Release {record.version or 'on trial'} was taken back: {record.reason}"
    return ""
