"""Keeping a few programs running: start, look after, restart, stop.

* A program that ends is started again after a pause that doubles up to a minute; one that ran for a minute begins at
  the first pause again. Nothing gives up: what cannot be reached today may be reachable tomorrow.
* A program ends with its supervisor (see ``tied``); a stop is SIGTERM, then SIGKILL when the grace is over.
* The supervisor's thread must be the one that starts programs for as long as they run: the kernel ties a child to the
  thread that made it.

Not here: logs' rotation and start at boot. That is the service manager's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eyebright_common.errors import EyebrightError

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_SETTLED_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run.

    Attributes:
        name: For people.
        command: Program and arguments.
        environment: Added to this process's own.
        log: File its output is added to.
        after: Called when it has ended by itself, before it is started again.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    log: Path
    after: Callable[[], object] | None = None


@dataclass(slots=True)
class _Running:
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause_s: float = _FIRST_PAUSE_S
    next_start: float = 0.0
    restarts: int = 0


class Supervisor:
    """Keeps programs running until ``stop``.

    Args:
        programs: In the order in which they are started.
        on_event: Told in one sentence what happened.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        on_event: Callable[[str], None] = lambda text: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._programs = {program.name: program for program in programs}
        self._running = {name: _Running() for name in self._programs}
        self._on_event = on_event
        self._clock = clock

    def check(self) -> None:
        """Start what is not running and is due; call it again and again."""
        now = self._clock()
        for name, state in self._running.items():
            if state.process is not None and (code := state.process.poll()) is not None:
                self._ended(name, state, code, now)
            if state.process is None and now >= state.next_start:
                state.process = _start(self._programs[name])
                state.started = now
                self._on_event(f"{name} runs as process {state.process.pid}")

    def pids(self) -> dict[str, int]:
        """Return the processes that run now."""
        return {name: s.process.pid for name, s in self._running.items() if s.process and s.process.poll() is None}

    def restarts(self, name: str) -> int:
        """Return how often a program had to be started again."""
        return self._running[name].restarts

    def stop(self, *, grace_s: float = 5.0) -> None:
        """End every program, the last one first."""
        for name in reversed(self._running):
            process = self._running[name].process
            if process is None or process.poll() is not None:
                continue
            process.terminate()
            try:
                process.wait(grace_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _ended(self, name: str, state: _Running, code: int, now: float) -> None:
        state.process = None
        state.restarts += 1
        state.pause_s = _FIRST_PAUSE_S if now - state.started >= _SETTLED_S else state.pause_s
        state.next_start = now + state.pause_s
        self._on_event(f"{name} ended with {code}; it starts again in {state.pause_s:.0f} s")
        state.pause_s = min(state.pause_s * 2, _LONGEST_PAUSE_S)
        if (after := self._programs[name].after) is not None:
            after()


def _start(program: Program) -> subprocess.Popen[bytes]:
    program.log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "eyebright_common.tied", str(os.getpid()), *program.command]
    environment = {**os.environ, **program.environment}
    try:
        with program.log.open("ab") as log:
            return subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
    except OSError as error:
        raise EyebrightError(f"{program.name} cannot be started ({error.strerror})", value=program.log) from error
