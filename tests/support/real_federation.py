"""Watching and ending the processes of a running federation."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eyebright_client.audit import read_audit
from eyebright_client.audit.crossings import AuditLine
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
    """Return the process that runs as ``program``, waiting for one that is started again; each has its own number."""
    at_server = program in {"superlink", "nginx"}
    owner = federation.server if at_server else list(federation.hospitals.values())[hospital]
    found: list[int] = []

    def there_is_one() -> bool:
        children = Path(f"/proc/{owner.pid}/task/{owner.pid}/children").read_text().split()
        found[:] = [int(pid) for pid in children if runs(int(pid)) and _NAMED[program] in _words_of(int(pid))]
        return len(found) == 1

    until(there_is_one, f"a process of {program}")
    return found[0]


def _words_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:  # it has just ended
        return ""


def runs(pid: int) -> bool:
    """Whether a process has not ended; one that nobody has waited for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(pid: int) -> None:
    """End a process without a word; return when it is gone."""
    os.kill(pid, signal.SIGKILL)
    until(lambda: not runs(pid), f"the end of {pid}")


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """Let a process do nothing for as long as the block lasts; it may be killed in it."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        if runs(pid):
            os.kill(pid, signal.SIGCONT)


class Crossings:
    """What a hospital's audit log says came in and went out since this was made."""

    def __init__(self, federation: RunningFederation, hospital: int) -> None:
        self._site = federation.sites[hospital]
        self._before = len(read_audit(self._site).lines)

    def seen(self) -> list[tuple[str, str, str]]:
        return [(line.kind, line.direction, line.outcome) for line in self._lines()]

    def in_round(self, number: int, kind: str) -> list[str]:
        """Return the directions of one round's messages of a kind, in order."""
        return [line.direction for line in self._lines() if (line.round, line.kind) == (number, kind)]

    def _lines(self) -> tuple[AuditLine, ...]:
        return read_audit(self._site).lines[self._before :]

    def came(self, kind: str, direction: str) -> bool:
        return (kind, direction) in [seen[:2] for seen in self.seen()]


class Rounds:
    """``eyebright server rounds`` as a process of its own; it stands still at the points ``held`` (``held_rounds``)."""

    def __init__(
        self, federation: RunningFederation, verb: str, name: str, *more: object, held: Collection[str] = ()
    ) -> None:
        self._holds = federation.operator.parent / f"holds-{name}"
        self._holds.mkdir(exist_ok=True)
        program = [SUPPORT / "held_rounds.py", self._holds, ",".join(held)] if held else ["-m", "eyebright_common"]
        words = [sys.executable, *program, "server", "rounds", verb, federation.operator, name, *more, "--json"]
        self._log = federation.operator.parent / f"rounds-{name}.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, stderr=log)

    def reaches(self, point: str) -> None:
        """Wait until it stands still there."""

        def it_does() -> bool:
            assert self._process.poll() is None, self._log.read_text()[-3000:]
            return (self._holds / point).exists()

        until(it_does, point)

    def go_on_from(self, point: str) -> None:
        (self._holds / point).unlink(missing_ok=True)

    def killed(self) -> int:
        """Kill it and return which process it was."""
        kill(self._process.pid)
        assert self.ended() == -signal.SIGKILL
        return self._process.pid

    def close(self) -> None:
        """End it, when it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def ended(self) -> int:
        """Wait for its end and return how it ended."""
        self._out, _ = self._process.communicate(timeout=_PATIENCE_S)
        return self._process.returncode

    def result(self) -> dict[str, Any]:
        """Wait for its end and return what it printed."""
        assert self.ended() == 0, self._log.read_text()[-3000:]
        printed: dict[str, Any] = json.loads(self._out)
        return printed


def started(
    federation: RunningFederation, name: str, *more: object, plan: Path | None = None, held: Collection[str] = ()
) -> Rounds:
    words = ["--plan", plan or federation.plan_file, "--deadline-s", 400, "--no-calibrate", *more]
    return Rounds(federation, "start", name, *words, held=held)


def ledger_of_the_last_run(federation: RunningFederation) -> list[LedgerEntry]:
    """Return the entries of the run that was opened last, after verifying the ledger."""
    with Records.open(federation.operator / "records.sqlite") as records:
        records.verify_ledger()
        entries = records.ledger()
    run = next(entry.facts["run"] for entry in reversed(entries) if entry.kind == "run-opened")
    return [entry for entry in entries if entry.facts.get("run") == run]
