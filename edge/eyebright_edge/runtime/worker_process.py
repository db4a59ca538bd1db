"""The TensorRT worker as the unit sees it: a child process that may fail in every way without taking screening along.

* Every request has a deadline, and a limit of silence: a child that neither speaks nor computes for that long is ended.
* Its memory is watched from here. A limit set by the kernel on address space would forbid CUDA, which reserves far more
  than it uses.
* However it ends, the reason has a fixed word (``WorkerFailed.word``) and a sentence: out of memory, crashed with which
  signal, silent, too slow, no GPU, no TensorRT, nothing returned by the builder, and so on.
* A child that failed to answer is not used again; a child that refused one request is.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from eyebright_common.closing import Closing
from eyebright_common.errors import EyebrightError
from eyebright_edge.runtime.board import WORKER_MODULE, WORKER_PATH
from eyebright_edge.runtime.board.tensorrt_worker.frames import (
    ANSWER,
    FAILURE,
    PROGRESS,
    REQUEST,
    Frame,
    FrameError,
    read_frame,
    write_frame,
)

_LOOK_S = 0.25
_EXIT_S = 3.0
_KEPT_LINES = 20
_KILLED_BY_KERNEL = (-signal.SIGKILL, 128 + signal.SIGKILL)

# What each word means for the person at the unit.
_ADVICE = {
    "no-cuda": ("CUDA does not answer on this machine", "Check the GPU's driver; ONNX Runtime screens meanwhile."),
    "no-device": ("this machine has no GPU that CUDA can use", "Use ONNX Runtime on this machine."),
    "no-tensorrt": (
        "the board's Python has no TensorRT",
        "Install the board's python3-libnvinfer, or name another Python in EYEBRIGHT_BOARD_PYTHON.",
    ),
    "no-python": ("the board's Python cannot be started", "Name one with NumPy in EYEBRIGHT_BOARD_PYTHON."),
    "null-builder": ("TensorRT made no builder", "Check that driver, CUDA and TensorRT belong together."),
    "null-runtime": ("TensorRT made no runtime", "Check that driver, CUDA and TensorRT belong together."),
    "null-engine": ("TensorRT cannot load the engine", "It is built again by the next `eyebright edge update`."),
    "null-context": ("TensorRT cannot use the engine", "Free memory on the GPU, then try again."),
    "parse-failed": ("TensorRT cannot read the network", "Tell the operator: the release does not suit this board."),
    "build-failed": ("TensorRT could not build the engine", "ONNX Runtime screens meanwhile; tell the operator."),
    "out-of-memory": (
        "the TensorRT worker ran out of memory",
        "Close other programs, or set EYEBRIGHT_PRECISION or EYEBRIGHT_RUNTIME to something smaller.",
    ),
    "crashed": ("the TensorRT worker crashed", "Look at the board's kernel log; ONNX Runtime screens meanwhile."),
    "silent": ("the TensorRT worker fell silent and was ended", "Restart the board if it happens again."),
    "too-slow": ("the TensorRT worker took too long and was ended", "Try again when the board is idle."),
    "garbled": ("the TensorRT worker gave an answer that cannot be read", "Reinstall Eyebright on this unit."),
    "not-built": ("no proven engine of this release is here yet", "Run `eyebright edge update`."),
}


class WorkerFailed(EyebrightError):
    """The TensorRT worker could not do what was asked.

    Args:
        word: Which way it failed; fixed, see ``_ADVICE``.
        found: What was seen, for the local log.
    """

    def __init__(self, word: str, found: object | None = None) -> None:
        what, fix = _ADVICE.get(word, (f"the TensorRT worker refused ({word})", "ONNX Runtime screens meanwhile."))
        super().__init__(what, value=found, fix=fix)
        self.word = word


class WorkerProcess(Closing):
    """One running worker.

    Args:
        python: The board's Python.
        memory_limit_bytes: Resident memory above which it is ended.
        silence_s: How long it may neither speak nor compute.
        environment: Added to its environment.

    Raises:
        WorkerFailed: it cannot be started.
    """

    def __init__(
        self,
        python: Path,
        *,
        memory_limit_bytes: int,
        silence_s: float,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._memory_limit = memory_limit_bytes
        self._silence_s = silence_s
        self._frames: queue.Queue[Frame | None] = queue.Queue()
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)
        self._peak = 0
        self._ended: WorkerFailed | None = None
        try:
            self._process = subprocess.Popen(
                [str(python), "-m", WORKER_MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_environment(environment or {}),
            )
        except OSError as error:
            raise WorkerFailed("no-python", f"{python} ({error.strerror})") from error
        self._threads = [
            threading.Thread(target=self._listen, daemon=True),
            threading.Thread(target=self._overhear, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def peak_memory_bytes(self) -> int:
        """The most resident memory it was seen with."""
        self._peak = max(self._peak, _resident_bytes(self.pid))
        return self._peak

    def ask(
        self,
        command: str,
        header: Mapping[str, Any] | None = None,
        payload: bytes = b"",
        *,
        deadline_s: float,
        progress: Callable[[str], None] = lambda text: None,
    ) -> Frame:
        """Return the answer to a request.

        Args:
            command: What to do.
            header: With what.
            payload: Arrays, as the header describes them.
            deadline_s: How long it may take.
            progress: Told what the worker says meanwhile.

        Raises:
            WorkerFailed: it refused, or it ended; after the latter every further request fails the same way.
        """
        if self._ended is not None:
            raise self._ended
        try:
            write_frame(self._stdin, REQUEST, {"command": command, **(header or {})}, payload)
        except (BrokenPipeError, ValueError):
            raise self._fail(self._how_it_ended()) from None
        frame = self._answer(time.monotonic() + deadline_s, deadline_s, progress)
        if frame.kind == FAILURE:
            raise WorkerFailed(str(frame.header.get("word", "unexpected")), frame.header.get("message"))
        return frame

    def close(self) -> None:
        """End the worker, politely if it listens."""
        if self._process.poll() is None and self._ended is None:
            with suppress(OSError, ValueError):
                write_frame(self._stdin, REQUEST, {"command": "exit"})
        with suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(_EXIT_S)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        self._ended = self._ended or WorkerFailed("crashed", "it was closed")

    def _answer(self, deadline: float, allowed_s: float, progress: Callable[[str], None]) -> Frame:
        heard = time.monotonic()
        while True:
            try:
                frame = self._frames.get(timeout=_LOOK_S)
            except queue.Empty:
                self._check(heard, deadline, allowed_s)
                continue
            if frame is None:
                raise self._fail(self._how_it_ended())
            heard = time.monotonic()
            if frame.kind != PROGRESS:
                return frame
            if frame.header.get("text"):
                progress(str(frame.header["text"]))
            self._check(heard, deadline, allowed_s)

    def _check(self, heard: float, deadline: float, allowed_s: float) -> None:
        now = time.monotonic()
        resident = self.peak_memory_bytes
        if resident > self._memory_limit:
            found = f"{resident >> 20} MB, allowed are {self._memory_limit >> 20} MB"
            raise self._fail(WorkerFailed("out-of-memory", found))
        if now - heard > self._silence_s:
            raise self._fail(WorkerFailed("silent", f"{self._silence_s:.0f} s without a word{self._last_words()}"))
        if now > deadline:
            raise self._fail(WorkerFailed("too-slow", f"{allowed_s:.0f} s are over{self._last_words()}"))

    def _how_it_ended(self) -> WorkerFailed:
        try:
            code = self._process.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            return WorkerFailed("garbled", self._said[-1][:200] if self._said else None)
        self._threads[1].join(_EXIT_S)
        if code in _KILLED_BY_KERNEL:
            return WorkerFailed("out-of-memory", "the kernel ended it (exit 137)")
        number = -code if code < 0 else code - 128
        with suppress(ValueError):
            return WorkerFailed("crashed", f"{signal.Signals(number).name}{self._last_words()}")
        if any("No module named" in line for line in self._said):
            return WorkerFailed("no-python", self._said[-1][:200])
        return WorkerFailed("crashed", f"it ended with {code}{self._last_words()}")

    def _fail(self, failure: WorkerFailed) -> WorkerFailed:
        self._ended = failure
        self._process.kill()
        self._process.wait()
        return failure

    def _last_words(self) -> str:
        return f"; its last words: {self._said[-1][:200]}" if self._said else ""

    @property
    def _stdin(self) -> BinaryIO:
        assert self._process.stdin is not None
        return cast(BinaryIO, self._process.stdin)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        try:
            while (frame := read_frame(cast(BinaryIO, self._process.stdout))) is not None:
                if frame.kind in (ANSWER, PROGRESS, FAILURE):
                    self._frames.put(frame)
        except (FrameError, OSError, ValueError) as error:
            self._said.append(str(error))
        self._frames.put(None)

    def _overhear(self) -> None:
        assert self._process.stderr is not None
        # In pieces: a line of a library gone mad has no end.
        with suppress(OSError, ValueError):
            while line := self._process.stderr.readline(4096):
                if text := line.decode("utf-8", "replace").strip():
                    self._said.append(text)


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **added}
    environment.pop("PYTHONHOME", None)
    others = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([str(WORKER_PATH), *([others] if others else [])])
    return environment


def _resident_bytes(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
