"""Preparing and proving a release in a child process that is watched and can be killed at any time.

* The child ends with this process, whatever happens to it (``eyebright_common.tied``), runs at low priority and is the
  kernel's first choice when memory runs out.
* Memory is limited twice: the kernel refuses the child more data than twice the limit, and its resident memory, that
  of its own children included, is looked at every fraction of a second.
* A child that crashes, or takes more time or memory than it may, condemns the release: ``EngineCrashed``,
  ``OverBudget``. One that somebody else killed (SIGKILL: an operator, or the kernel short of memory) condemns nothing.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from eyebright_common import errors
from eyebright_common.errors import EyebrightError, ReleaseError
from eyebright_common.release import Eye, GoldenReport
from eyebright_edge.agent.rehearsal import Job, OnProgress, OpenRuntime, Rehearsed, named

_LOOK_EVERY_S = 0.1
_LONGEST_LINE = 64 << 10
_KEEP = "The release before it goes on serving; tell the operator."


class OverBudget(ReleaseError):
    """A release takes more time or memory than it may on this unit."""


class EngineCrashed(ReleaseError):
    """What computes a release brought its process down."""


class ChildKilled(EyebrightError):
    """Somebody else ended the work on a release: a person, or the kernel when memory ran short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a job may take: resident memory in MiB, time in seconds."""

    memory_mb: float
    time_s: float


class Workshop(Protocol):
    """Where releases are prepared and proven."""

    def work(
        self,
        job: Job,
        folder: Path,
        limits: Limits,
        on_progress: OnProgress,
        given: Sequence[tuple[Path, Eye]] = (),
    ) -> Rehearsed:
        """Do a job on the release in ``folder``.

        Raises:
            ReleaseError: the release is no good here.
            EyebrightError: the job was ended by something else.
        """


@dataclass(frozen=True, slots=True)
class ChildWorkshop:
    """A workshop in a child process.

    Attributes:
        open_runtime: Loads a release folder; a function of a module, because the child imports it.
    """

    open_runtime: OpenRuntime

    def work(
        self,
        job: Job,
        folder: Path,
        limits: Limits,
        on_progress: OnProgress,
        given: Sequence[tuple[Path, Eye]] = (),
    ) -> Rehearsed:
        """Do a job on the release in ``folder``.

        Raises:
            OverBudget: it took more time or memory than it may.
            EngineCrashed: the child crashed.
            ReleaseError: the release is no good here, in the child's words.
            ChildKilled: somebody else killed it.
            EyebrightError: it could not be started.
        """
        ours, theirs = os.pipe()
        with tempfile.TemporaryFile() as said, os.fdopen(ours, "rb", buffering=0) as lines:
            try:
                child = self._start(job, folder, limits, given, theirs, said)
            finally:
                os.close(theirs)
            try:
                result, began = None, time.monotonic()
                share, doing = 0.0, "starting"
                for told in _watched(child, lines, limits):
                    if told is not None and "progress" not in told:
                        result = told
                        continue
                    if told is not None:
                        share, doing = float(told["progress"]), str(told["doing"])
                    # Told again while the child is silent: an engine build of minutes must not look dead.
                    on_progress(share, f"{doing}, {time.monotonic() - began:.0f} s")
                return _result(result, child.wait(), _last_words(said))
            finally:
                child.kill()
                child.wait()

    def _start(
        self,
        job: Job,
        folder: Path,
        limits: Limits,
        given: Sequence[tuple[Path, Eye]],
        theirs: int,
        said: IO[bytes],
    ) -> subprocess.Popen[bytes]:
        pictures = json.dumps([(str(path), eye.value) for path, eye in given])
        tied = [sys.executable, "-m", "eyebright_common.tied", str(os.getpid())]
        module = [sys.executable, "-m", "eyebright_edge.agent.rehearsal"]
        task = [job.value, str(folder), named(self.open_runtime), str(2 * limits.memory_mb), str(theirs)]
        task.append(pictures)
        try:
            return subprocess.Popen(
                [*tied, *module, *task], pass_fds=[theirs], stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        except OSError as error:
            raise EyebrightError("a release cannot be prepared", value=error.strerror, fix="Update again.") from error


def _watched(child: subprocess.Popen[bytes], lines: IO[bytes], limits: Limits) -> Iterator[dict[str, Any] | None]:
    """Yield what the child tells, None while it is silent, until it closes its end; raise when it takes too much."""
    ends, rest = time.monotonic() + limits.time_s, b""
    while True:
        if time.monotonic() > ends:
            raise OverBudget("the release takes too long on this unit", value=f"{limits.time_s:.0f} s", fix=_KEEP)
        if (memory := _resident_mb(child.pid)) > limits.memory_mb:
            found = f"{memory:.0f} MB, allowed {limits.memory_mb:.0f}"
            raise OverBudget("the release needs more memory than it may have here", value=found, fix=_KEEP)
        if not select.select([lines], [], [], _LOOK_EVERY_S)[0]:
            yield None
            continue
        piece = os.read(lines.fileno(), _LONGEST_LINE)
        if not piece:
            return
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise EngineCrashed("the child that prepares a release talks nonsense", fix=_KEEP)
        for line in whole:
            with suppress(ValueError):
                if isinstance(told := json.loads(line), dict):
                    yield told


def _result(told: dict[str, Any] | None, code: int, last_words: str) -> Rehearsed:
    if told is None:
        _explain_end(code, last_words)
    assert told is not None
    if (failed := told.get("error")) is not None:
        kind = OverBudget if failed["kind"] == "OverBudget" else getattr(errors, str(failed["kind"]), EyebrightError)
        raise kind(str(failed["what"]), value=failed.get("value"), fix=failed.get("fix") or _KEEP)
    done = told["done"]
    return Rehearsed(
        runtime=str(done["runtime"]),
        verdict=done["verdict"],
        latency_p95_ms=float(done["latency_p95_ms"]),
        peak_memory_mb=float(done["peak_memory_mb"]),
        report=done["report"] and _report(done["report"]),
    )


def _report(facts: dict[str, Any]) -> GoldenReport:
    infinite = facts["max_abs_logit_difference"] is None
    return GoldenReport(**{**facts, **({"max_abs_logit_difference": float("inf")} if infinite else {})})


def _explain_end(code: int, last_words: str) -> None:
    if code == -signal.SIGKILL:
        raise ChildKilled(
            "the work on a release was killed, perhaps for want of memory", fix="Free memory; it is tried again."
        )
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    found = f"{how}: {last_words}" if last_words else how
    raise EngineCrashed("what computes the release crashed on this unit", value=found, fix=_KEEP)


def _last_words(said: IO[bytes]) -> str:
    said.seek(max(0, said.seek(0, os.SEEK_END) - 2000))
    lines = [line.strip() for line in said.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def _resident_mb(pid: int) -> float:
    """Return the resident memory of a process and its descendants, MiB; 0 where that cannot be known."""
    pages, waiting = 0, [pid]
    while waiting:
        process = Path("/proc") / str(waiting.pop())
        with suppress(OSError, ValueError, IndexError):
            pages += int((process / "statm").read_text().split()[1])
            for task in (process / "task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
