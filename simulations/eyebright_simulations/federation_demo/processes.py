"""Processes of the demonstration: each is started by its command, told to stop by its number, and waited for."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
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

    def ask_to_stop(self) -> None:
        """Ask the process to stop, and do not wait for it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """Ask the process to stop, wait, and end it when it does not."""
        self.ask_to_stop()
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


def run_once(words: Sequence[object], *, timeout_s: float = 120.0, told: Callable[[str], None] | None = None) -> str:
    """Run one ``eyebright`` command to its end and return what it printed.

    Args:
        words: What is typed after ``eyebright``.
        timeout_s: How long it may take.
        told: Given each line of its standard error as it comes.

    Raises:
        EyebrightError: it ended with an error, or did not end.
    """
    typed, errors = " ".join(map(str, words)), list[str]()
    with subprocess.Popen(
        [*_EYEBRIGHT, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        listening = threading.Thread(target=_listen, args=(process.stderr, errors, told), daemon=True)
        listening.start()
        out = _output_of(process, timeout_s, typed)
        listening.join()
    if process.returncode != 0:
        raise EyebrightError("a command failed", value=f"{typed}: {''.join(errors[-5:]).strip()}")
    return out


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


def _output_of(process: subprocess.Popen[str], timeout_s: float, typed: str) -> str:
    """Read a command's output, and end it when it takes too long."""
    overdue = threading.Timer(timeout_s, process.kill)
    overdue.start()
    try:
        assert process.stdout is not None
        out = process.stdout.read()
        process.wait()
    finally:
        overdue.cancel()
    if process.returncode == -signal.SIGKILL:
        raise EyebrightError("a command did not end", value=f"{typed}, after {timeout_s:.0f} s")
    return out


def _listen(stream: IO[str], errors: list[str], told: Callable[[str], None] | None) -> None:
    for line in stream:
        errors.append(line)
        if told is not None:
            told(line.rstrip())


_EYEBRIGHT = (sys.executable, "-m", "eyebright_common")
