"""Processes of the demonstration: each is started by its command, told to stop by its number, and waited for."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from eyebright_common.closing import Closing
from eyebright_common.errors import EyebrightError

_STOP_S = 30.0


class Command(Closing):
    """One ``eyebright`` command that runs until it is stopped; its first line of output says that it is ready.

    Args:
        words: What is typed after ``eyebright``; ``--json`` is added.
        log: File for what it says on standard error.
        environment: Added to this process's own.
        ready_s: How long it may take to say that it is ready.
    """

    def __init__(
        self,
        words: Sequence[object],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        ready_s: float = 120.0,
    ) -> None:
        self._errors = log.open("ab")
        self._words = " ".join(map(str, words))
        self._process = subprocess.Popen(
            [*_EYEBRIGHT, *map(str, words), "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **(environment or {})},
        )
        self.pid = self._process.pid
        self.log = log
        try:
            self.facts = self._first_line(ready_s)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ask the process to stop, wait, and end it when it does not."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    @property
    def runs(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def children(self) -> dict[str, int]:
        """Return the processes it said that it started."""
        return {str(name): int(pid) for name, pid in self.facts["processes"].items()}

    def _first_line(self, ready_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        said: list[bytes] = []
        reading = threading.Thread(target=_read_line, args=(self._process.stdout, said), daemon=True)
        reading.start()
        reading.join(ready_s)
        try:
            return dict(json.loads(said[0]))
        except (IndexError, ValueError):
            tail = self.log.read_text(errors="replace")[-2000:]
            raise EyebrightError("a process does not come up", value=f"{self._words}\n{tail}") from None


def run_once(words: Sequence[object], *, timeout_s: float = 120.0) -> str:
    """Run one ``eyebright`` command to its end and return what it printed.

    Raises:
        EyebrightError: it ended with an error.
    """
    done = subprocess.run(
        [*_EYEBRIGHT, *map(str, words)], capture_output=True, text=True, timeout=timeout_s, check=False
    )
    if done.returncode != 0:
        raise EyebrightError("a command failed", value=f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody uses now, all different."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


def _read_line(stream: IO[bytes], said: list[bytes]) -> None:
    if line := stream.readline():
        said.append(line)


_EYEBRIGHT = (sys.executable, "-m", "eyebright_common")
