"""Watching and ending the processes of a running federation."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eyebright_client.audit import read_audit
from eyebright_server.records import LedgerEntry, Records
from eyebright_simulations.federation_demo.demo import RunningFederation

SUPPORT = Path(__file__).resolve().parent
_NAMED = {"superlink": "flower-superlink", "nginx": "nginx", "supernode": "flower-supernode", "worker": "node.worker"}
_PATIENCE_S = 600.0


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so."""
    ends = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < ends, f"never came: {what}"
        time.sleep(0.02)


def process_of(federation: RunningFederation, program: str, hospital: int = 0) -> int:
    """Return the process that runs as ``program`` now; one that was killed has another number later."""
    at_server = program in {"superlink", "nginx"}
    owner = federation.server if at_server else list(federation.hospitals.values())[hospital]
    children = Path(f"/proc/{owner.pid}/task/{owner.pid}/children").read_text().split()
    (found,) = [int(pid) for pid in children if _NAMED[program] in Path(f"/proc/{pid}/cmdline").read_text()]
    return found


def runs(pid: int) -> bool:
    """Whether a process has not ended; one that nobody has waited for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


class Crossings:
    """What a hospital's audit log says came in and went out since this was made."""

    def __init__(self, federation: RunningFederation, hospital: int) -> None:
        self._site = federation.sites[hospital]
        self._before = len(read_audit(self._site).lines)

    def seen(self) -> list[tuple[str, str, str]]:
        return [(line.kind, line.direction, line.outcome) for line in read_audit(self._site).lines[self._before :]]

    def came(self, kind: str, direction: str) -> bool:
        return (kind, direction) in [seen[:2] for seen in self.seen()]


class Rounds:
    """``eyebright server rounds`` as a process of its own."""

    def __init__(self, federation: RunningFederation, verb: str, name: str, *more: object, dying_at: str = "") -> None:
        program = [SUPPORT / "dying_rounds.py", dying_at] if dying_at else ["-m", "eyebright_common"]
        words = [sys.executable, *program, "server", "rounds", verb, federation.operator, name, *more, "--json"]
        self._log = federation.operator.parent / f"rounds-{name}.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, stderr=log)

    def ended(self) -> int:
        """Wait for its end and return how it ended."""
        self._out, _ = self._process.communicate(timeout=_PATIENCE_S)
        return self._process.returncode

    def result(self) -> dict[str, Any]:
        """Wait for its end and return what it printed."""
        assert self.ended() == 0, self._log.read_text()[-3000:]
        printed: dict[str, Any] = json.loads(self._out)
        return printed


def started(federation: RunningFederation, name: str, *more: object, dying_at: str = "") -> Rounds:
    words = ["--plan", federation.plan_file, "--deadline-s", 400, *more]
    return Rounds(federation, "start", name, *words, dying_at=dying_at)


def ledger_of_the_last_run(federation: RunningFederation) -> list[LedgerEntry]:
    """Return the entries of the run that was opened last, after verifying the ledger."""
    with Records.open(federation.operator / "records.sqlite") as records:
        records.verify_ledger()
        entries = records.ledger()
    run = next(entry.facts["run"] for entry in reversed(entries) if entry.kind == "run-opened")
    return [entry for entry in entries if entry.facts.get("run") == run]
