"""What is done with a release before it may serve: build what computes it, prove it, measure what it costs here.

Run in a child process (``workshop``), because a library that crashes, hangs or eats all memory must take nothing with
it: ``python -m eyebright_edge.agent.rehearsal JOB FOLDER OPEN_RUNTIME MEMORY_MB FD PICTURES``. The child writes JSON
lines to the descriptor FD: ``{"progress": 0.5, "doing": "…"}`` any number of times, then ``{"done": {…}}`` or
``{"error": {…}}``. Standard output and error stay free for whatever the libraries say.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from eyebright_common.errors import EyebrightError, ImageError
from eyebright_common.memory import peak_resident_bytes
from eyebright_common.release import (
    BOTH_EYES,
    Eye,
    GoldenReport,
    Release,
    Verdict,
    prove,
    read_release,
)
from eyebright_edge.runtime import Runtime, golden_for

OpenRuntime = Callable[[Path], Runtime]
OnProgress = Callable[[float, str], None]

# Enough runs that one hiccup of the machine is not the 95th percentile.
_TIMED_RUNS = 24


class Job(StrEnum):
    """What the child does."""

    PREPARE = "prepare"
    PROVE = "prove"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What a rehearsal found.

    Attributes:
        runtime: What computed.
        report: How the golden cases went; None when they were not run.
        verdict: What it says of the pictures of a visit; None when it was not asked (``SHADOW`` asks).
        latency_p95_ms: One picture through the network, 95th percentile; 0 when not measured.
        peak_memory_mb: Largest resident memory of this process.
    """

    runtime: str
    report: GoldenReport | None = None
    verdict: str | None = None
    latency_p95_ms: float = 0.0
    peak_memory_mb: float = 0.0


def rehearse(
    job: Job,
    folder: Path,
    open_runtime: OpenRuntime,
    on_progress: OnProgress,
    given: Sequence[tuple[Path, Eye]] = (),
) -> Rehearsed:
    """Do a job.

    Args:
        job: Which.
        folder: The release.
        open_runtime: Loads it.
        on_progress: Told the share that is done, 0–1, and what is being done.
        given: Pictures of a visit, each with its eye, for ``SHADOW``.

    Raises:
        EyebrightError: the release cannot be read or loaded.
    """
    on_progress(0.0, "loading the network")
    runtime = open_runtime(folder)
    if job is Job.PREPARE:
        on_progress(0.9, "running it once")
        runtime.run(np.zeros((1, 3, runtime.image_size, runtime.image_size), np.float32))
        return Rehearsed(runtime=runtime.name, peak_memory_mb=_peak_memory_mb())
    release = read_release(folder, networks=())
    if job is Job.SHADOW:
        verdict = _verdict(runtime, release, given)
        return Rehearsed(runtime=runtime.name, verdict=verdict.value, peak_memory_mb=_peak_memory_mb())
    golden = golden_for(runtime.precision, folder, release)
    timed = _Timed(runtime, on_progress, expected=max(_TIMED_RUNS, len(golden.inputs)))
    report = prove(timed.run, golden, release.threshold.value)
    while len(timed.milliseconds) < _TIMED_RUNS:
        timed.run(golden.inputs[len(timed.milliseconds) % len(golden.inputs)][None].astype(np.float32))
    return Rehearsed(
        runtime=runtime.name,
        report=report,
        latency_p95_ms=float(np.percentile(timed.milliseconds, 95)),
        peak_memory_mb=_peak_memory_mb(),
    )


def _verdict(runtime: Runtime, release: Release, given: Sequence[tuple[Path, Eye]]) -> Verdict:
    # Decoding is loaded for this job alone.
    from eyebright_edge.screening import decide_visit, refused_picture, screen_picture

    pictures = []
    for path, eye in given:
        try:
            pictures.append(screen_picture(runtime, release, path, eye=eye))
        except ImageError as error:
            pictures.append(refused_picture(error, name=path.name, eye=eye))
    return decide_visit(pictures, expected=BOTH_EYES).verdict


class _Timed:
    def __init__(self, runtime: Runtime, on_progress: OnProgress, *, expected: int) -> None:
        self._runtime = runtime
        self._on_progress = on_progress
        self._expected = expected
        self.milliseconds: list[float] = []

    def run(self, image: Any) -> tuple[Any, Any]:
        began = time.perf_counter()
        answer = self._runtime.run(image)
        self.milliseconds.append(1000.0 * (time.perf_counter() - began))
        count = len(self.milliseconds)
        self._on_progress(min(count / self._expected, 1.0), f"golden run {count} of {self._expected}")
        return answer


def _peak_memory_mb() -> float:
    return peak_resident_bytes() / 2**20


def named(function: OpenRuntime) -> str:
    """Return ``module:name`` of a function, for a child to import."""
    name = getattr(function, "__qualname__", "")
    assert name.isidentifier(), "the runtime is opened by a function of a module, so that a child can import it"
    return f"{function.__module__}:{name}"


def main(arguments: list[str]) -> None:
    """Do the job in this process and write what came of it to the descriptor."""
    job, folder, opener, memory_mb, descriptor, pictures = arguments
    _stand_back(float(memory_mb))
    with os.fdopen(int(descriptor), "w", buffering=1, encoding="utf-8") as out:

        def tell(**facts: object) -> None:
            out.write(json.dumps(facts) + "\n")

        try:
            module, _, name = opener.partition(":")
            open_runtime: OpenRuntime = getattr(importlib.import_module(module), name)
            given = [(Path(path), Eye(eye)) for path, eye in json.loads(pictures)]

            def progress(share: float, doing: str) -> None:
                tell(progress=share, doing=doing)

            done = rehearse(Job(job), Path(folder), open_runtime, progress, given)
        except EyebrightError as error:
            value = None if error.value is None else str(error.value)
            tell(error={"kind": type(error).__name__, "what": error.what, "value": value, "fix": error.fix})
        except MemoryError:
            tell(error={"kind": "OverBudget", "what": "the release needs more memory than it may have here"})
        else:
            tell(done=_as_json(done))


def _as_json(done: Rehearsed) -> dict[str, object]:
    report = done.report
    return {
        "runtime": done.runtime,
        "verdict": done.verdict,
        "latency_p95_ms": done.latency_p95_ms,
        "peak_memory_mb": done.peak_memory_mb,
        "report": report and {name: _finite(getattr(report, name)) for name in GoldenReport.__dataclass_fields__},
    }


def _finite(value: float) -> float | None:
    return None if value == float("inf") else value


def _stand_back(memory_mb: float) -> None:
    """Give way to screening, and be the first to go when memory runs out."""
    os.nice(10)
    limit = int(memory_mb * 2**20)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    except OSError:
        return  # not Linux, or not allowed: the parent still watches


if __name__ == "__main__":
    main(sys.argv[1:])
