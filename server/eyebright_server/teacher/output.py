"""The folder a run leaves behind: taken once, continued on demand, never written over by accident.

* A folder with anything in it is refused, unless the run is to be continued (``resume``; the run's own key then says
  whether it is the same run) or begun again (``force``).
* ``force`` deletes what a run of the same kind writes and nothing else.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from eyebright_common.errors import InputError, OutputInUse


def check_output(out: Path, *, resume: bool = False, force: bool = False) -> None:
    """Return when a run may write to ``out``.

    Raises:
        OutputInUse: the folder holds something, and neither ``resume`` nor ``force`` is set.
        InputError: both are set, or ``out`` is a file.
    """
    if resume and force:
        raise InputError("--resume continues and --force begins again", fix="Give one of them.")
    if out.exists() and not out.is_dir():
        raise InputError("--out must be a folder", value=out)
    if not (resume or force) and out.is_dir() and any(out.iterdir()):
        raise OutputInUse(
            "the output folder is in use",
            value=out,
            fix="Choose another --out, continue with --resume, or begin again with --force.",
        )


def clear_output(out: Path, names: Sequence[str]) -> None:
    """Delete the files and folders of these names in ``out``; everything else stays."""
    for name in names:
        path = out / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
