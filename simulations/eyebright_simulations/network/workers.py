"""Doing heavy work in processes of their own.

* Two trainings with one thread each get through half as many pictures again per second as one training with two: the
  arms of a comparison do not wait for each other, the threads of one small network do.
* A process gives all its memory back when it ends, torch's arenas included; two at a time bound the peak, and the
  process that waits for them never loads torch, which alone takes half a gigabyte.
* Processes are spawned, never forked: a fork of a process that runs threads can hang. One process does one job and
  talks through one pipe: `ProcessPoolExecutor` can wait for ever when a worker dies after its last permitted task.
* One thread each, on every machine: the order of sums, and so the result, does not depend on the number of cores.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pkgutil import resolve_name
from typing import Any

from eyebright_common.errors import EyebrightError
from eyebright_simulations.network.context import Context
from eyebright_simulations.network.workspace import Facts

AT_ONCE = 2
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work for a process.

    Attributes:
        name: Key of its facts.
        work: A function of the context, as ``module:function``: this process never imports what only a child needs.
        arguments: Further keyword arguments of it.
        weight: Its share of the progress bar, in any unit.
    """

    name: str
    work: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0


def run_jobs(context: Context, jobs: Sequence[Job]) -> dict[str, Facts]:
    """Run the jobs, two at a time, and return their facts by name.

    Raises:
        EyebrightError: a job raised it, or a process ended without an answer. The other jobs are ended.
    """
    weight = {job.name: job.weight / sum(other.weight for other in jobs) for job in jobs}
    share = dict.fromkeys(weight, 0.0)
    facts: dict[str, Facts] = {}
    queue, running = list(jobs), dict[Connection, tuple[Job, SpawnProcess]]()
    try:
        while queue or running:
            while queue and len(running) < min(AT_ONCE, os.cpu_count() or 1):
                running.update([_started(queue.pop(0), context)])
            for pipe in wait(list(running)):
                assert isinstance(pipe, Connection), "only pipes were waited for"
                job, process = running[pipe]
                kind, value = _heard(pipe)
                if kind == "note":
                    share[job.name], note = value
                    context.update(sum(weight[name] * share[name] for name in weight), note)
                    continue
                process.join()
                del running[pipe]
                if kind == "failed":
                    raise value
                facts[job.name] = value
    finally:
        for _, process in running.values():
            process.kill()
            process.join()
    return {job.name: facts[job.name] for job in jobs}


def _started(job: Job, context: Context) -> tuple[Connection, tuple[Job, SpawnProcess]]:
    ours, theirs = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(
        target=_do, args=(job, replace(context, update=_silent), theirs), name=job.name, daemon=False
    )
    process.start()
    theirs.close()  # so that the end of the process is the end of the pipe
    return ours, (job, process)


def _heard(pipe: Connection) -> tuple[str, Any]:
    try:
        kind, value = pipe.recv()
    except EOFError:
        lost = EyebrightError("a process of the simulation was ended", fix="Free memory and run again with --resume.")
        return "failed", lost
    return str(kind), value


def _do(job: Job, context: Context, pipe: Connection) -> None:
    try:
        told = replace(context, update=lambda share, note: pipe.send(("note", (share, note))))
        facts = resolve_name(job.work)(told, **job.arguments)
    except (EyebrightError, OSError) as error:
        pipe.send(("failed", error))
    else:
        pipe.send(("done", facts))


def _silent(share: float, note: str) -> None:
    """Stand in for a display on the way into another process."""
