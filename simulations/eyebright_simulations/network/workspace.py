"""The output folder of a simulation: who may write there, and which stages are finished.

* ``run.json`` names the experiment; a folder that holds one is never written into unless ``--resume`` (the same
  experiment goes on) or ``--force`` (it is started anew) says so. A folder with anything else in it is left alone.
* A stage is finished when ``stages/NAME.facts.json`` exists; it is written last, atomically, with the stage's facts and
  seconds. A killed stage leaves no record and runs again; stages that checkpoint inside (rounds) go on from there.
* A lock file, held by the operating system, keeps a second simulation out of the folder.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from eyebright_common.durable import write_json
from eyebright_common.errors import InputError, OutputInUse
from eyebright_simulations.network.options import SimulationOptions

Facts = dict[str, Any]
REPORT_FILE = "report.html"


class Workspace:
    """An output folder that belongs to one experiment.

    Use as a context manager: the lock is held until the end.
    """

    def __init__(self, folder: Path, lock: TextIO) -> None:
        self.folder = folder
        self.seconds: dict[str, float] = {}
        self.resumed: list[str] = []
        self._lock = lock

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.close()

    @classmethod
    def open(cls, folder: Path, options: SimulationOptions, *, resume: bool = False, force: bool = False) -> Workspace:
        """Take possession of ``folder``.

        Raises:
            OutputInUse: the folder holds a run (and neither ``resume`` nor ``force`` was given), holds another
                experiment than the one to resume, holds files that are no run, or another process is working in it.
            InputError: ``folder`` is not a folder.
        """
        if folder.exists() and not folder.is_dir():
            raise InputError("--out is not a folder", value=folder, fix="Name a folder that does not exist yet.")
        folder.mkdir(parents=True, exist_ok=True)
        lock = _locked(folder)
        try:
            _claim(folder, options, resume=resume, force=force)
        except BaseException:
            lock.close()
            raise
        return cls(folder, lock)

    def stage(self, name: str, work: Callable[[], Mapping[str, Any]]) -> Facts:
        """Return the facts of a stage, doing its work only if no finished record of it exists."""
        record = self.folder / "stages" / f"{name}.facts.json"
        if record.exists():
            saved: Facts = json.loads(record.read_text())
            self.seconds[name] = saved["seconds"]
            self.resumed.append(name)
            return dict(saved["facts"])
        started = time.perf_counter()
        facts = dict(work())
        self.seconds[name] = round(time.perf_counter() - started, 3)
        write_json(record, {"seconds": self.seconds[name], "facts": facts})
        return facts


def _locked(folder: Path) -> TextIO:
    lock = (folder / ".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise OutputInUse(
            "another simulation is working in this folder", value=folder, fix="Wait for it, or use another --out."
        ) from None
    return lock


def _claim(folder: Path, options: SimulationOptions, *, resume: bool, force: bool) -> None:
    identity = folder / "run.json"
    digest = options.digest()
    inside = [entry for entry in folder.iterdir() if entry.name != ".lock"]
    if inside and not identity.exists():
        raise OutputInUse("--out holds files that are not a run", value=folder, fix="Use an empty or a new folder.")
    if inside and force:
        for entry in inside:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    elif inside and resume:
        if json.loads(identity.read_text())["digest"] != digest:
            raise OutputInUse(
                "the run in --out was started with other options",
                value=folder,
                fix="Give the same options to resume it, or --force to start anew.",
            )
        return
    elif inside:
        raise OutputInUse(
            "--out already holds a run", value=folder, fix="Use --resume to finish it or --force to start anew."
        )
    write_json(identity, {"digest": digest, "options": _plain(options)})


def _plain(options: SimulationOptions) -> dict[str, object]:
    return {name: getattr(options, name) for name in options.__dataclass_fields__}
