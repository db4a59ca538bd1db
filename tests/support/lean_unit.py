"""A unit as its installer makes it: commands and services of an environment with the `[edge]` extra alone."""

import json
import os
import pty
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lean_environment import bare, run

_WAIT_S = 240.0


class Service:
    """A running service and what it says, line by line."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self.said: list[str] = []
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def wait_for(self, words: str) -> str:
        """Return the next line with these words in it."""
        until = time.monotonic() + _WAIT_S
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"it never said {words!r}, but: {self.said}") from None
            self.said.append(line)
            if words in line:
                return line

    def end(self) -> None:
        """End it as a service manager does, and hear it out: its pipe is closed after this."""
        self._process.terminate()
        self._process.wait(_WAIT_S)
        self._listening.join(_WAIT_S)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))


class LeanUnit:
    """One unit.

    Args:
        environment: What ``lean_environment`` made.
        folder: Where it lies; commands are given from here.
    """

    def __init__(self, environment: Path, folder: Path) -> None:
        self.home = folder / "unit"
        self._python, self._program = environment / "bin" / "python", environment / "bin" / "eyebright"
        self._folder = folder

    def importable(self, *names: str) -> list[str]:
        """Return which of these packages the environment has."""
        ask = "import importlib.util as u, json, sys; print(json.dumps([n for n in sys.argv[1:] if u.find_spec(n)]))"
        return list(json.loads(run(str(self._python), "-c", ask, *names, cwd=self._folder)))

    def edge(self, *words: object) -> str:
        """Give a command at this unit and return what it printed."""
        return run(str(self._program), "edge", *map(str, words), "--home", str(self.home), cwd=self._folder)

    def type_pin(self, name: str, pin: str) -> str:
        """Give somebody a PIN, typed twice at a terminal; returns what the terminal showed."""
        ours, theirs = pty.openpty()
        command = [str(self._program), "edge", "technician", name, "--home", str(self.home)]
        process = subprocess.Popen(
            command, cwd=self._folder, env=bare(), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        shown = ""
        with os.fdopen(ours, "rb+", buffering=0) as terminal:
            for question in ("PIN: ", "Repeat for confirmation: "):
                while not shown.endswith(question):
                    shown += terminal.read(1).decode()
                terminal.write(f"{pin}\n".encode())
            try:
                while more := terminal.read(256):
                    shown += more.decode()
            except OSError:
                pass  # A terminal that nobody holds any more ends so.
        assert process.wait(timeout=_WAIT_S) == 0, shown
        return shown

    def settle(self, file: str, **values: object) -> None:
        """Write values into one of the unit's settings files, as a person would with an editor."""
        path = self.home / file
        known = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**known, **values}))

    @contextmanager
    def service(self, *words: str) -> Iterator[Service]:
        """Run ``agent`` or ``kiosk`` until the end of the block, and end it as a service manager does."""
        command = [str(self._program), "edge", *words, "--home", str(self.home)]
        environment = bare() | {"PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(
            command, cwd=self._folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            service = Service(process)
            try:
                yield service
            finally:
                service.end()
        assert process.returncode in (0, -15), process.returncode
