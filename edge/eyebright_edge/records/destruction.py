"""Deleting a file so that its bytes are gone with it, as far as the medium lets a program do that.

The blocks are overwritten in place and synced before the name goes. Flash memory and journaling file systems may keep
the old blocks elsewhere: what must not be read even then has to be encrypted from the first moment (``vault``).
"""

from __future__ import annotations

import os
from pathlib import Path

from eyebright_common.durable import sync_folder


def destroy(path: Path) -> None:
    """Overwrite and delete a file; one that is not there is deleted already.

    One that another user wrote for reading alone, as a camera's own program may, is deleted without: a picture that
    stayed would be offered to the next patient.

    Raises:
        OSError: the disk or the folder does not let it.
    """
    try:
        _overwrite(path)
    except FileNotFoundError:
        return
    except PermissionError:
        pass
    path.unlink()
    sync_folder(path.parent)


def _overwrite(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        left = os.fstat(descriptor).st_size
        while left > 0:
            left -= os.write(descriptor, os.urandom(min(left, 1 << 20)))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
