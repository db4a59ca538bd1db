"""Doing heavy work in processes of their own.

* Two trainings with one thread each get through half as many pictures again per second as one training with two: the
  arms of a comparison do not wait for each other, the threads of one small network do.
* A process gives all its memory back when it ends, torch's arenas included; two at a time bound the peak, and the
  process that waits for them never loads torch, which alone takes half a gigabyte.
* Workers are forked from a server process that has loaded the libraries and does nothing else (``warm``): they share
  those pages. This process itself never forks: it runs threads, and a fork of such a process can hang. One process does
  one job and talks through one pipe: `ProcessPoolExecutor` can wait for ever when a worker dies after its last
  permitted task.
* A worker ends when this process does, however that happened: it must not go on writing to a run that somebody resumes.
* One thread each, on every machine: the order of sums, and so the result, does not depend on the number of cores.
* Threads that wait sleep instead of spinning, so that a machine with other work to do is not slowed to a crawl.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pkgutil import resolve_name
from threading import Thread
from typing import Any

from eyebright_common.errors import EyebrightError
from eyebright_simulations.network.context import Context
from eyebright_simulations.network.workspace import Facts

AT_ONCE = 2
# What the fork server, and so every worker, starts with; what the user has set stays as it is.
_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1", "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}
_WARM = "eyebright_simulations.network.warm"
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([_WARM])


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work for a process.

    Attributes:
        name: Key of its facts.
        work: A function of the context, as ``module:function``: this process never imports what only a child needs.
        arguments: Further keyword arguments of it.
        weight: Its share of the progress bar, in any unit.
        after: Name of a job whose files it needs; None needs none.
    """

    name: str
    work: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0
    after: str | None = None


def run_jobs(context: Context, jobs: Sequence[Job]) -> dict[str, Facts]:
    """Run the jobs, two at a time, and return their facts by name.

    Raises:
        EyebrightError: a job raised it, or a process ended without an answer. The other jobs are ended.
    """
    weight = {job.name: job.weight / sum(other.weight for other in jobs) for job in jobs}
    share = dict.fromkeys(weight, 0.0)
    facts: dict[str, Facts] = {}
    queue, running = list(jobs), dict[Connection, tuple[Job, ForkServerProcess]]()
    try:
        while queue or running:
            ready = [job for job in queue if job.after is None or job.after in facts]
            for job in ready[: min(AT_ONCE, os.cpu_count() or 1) - len(running)]:
                queue.remove(job)
                running.update([_started(job, context)])
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


def _started(job: Job, context: Context) -> tuple[Connection, tuple[Job, ForkServerProcess]]:
    ours, theirs = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(
        target=_do, args=(job, replace(context, update=_silent), theirs), name=job.name, daemon=False
    )
    with _set_for_child(_ENVIRONMENT):
        process.start()
    theirs.close()  # so that the end of the process is the end of the pipe
    return ours, (job, process)


@contextmanager
def _set_for_child(environment: Mapping[str, str]) -> Iterator[None]:
    """Let a process that is started here begin with these variables; those already set keep their value."""
    added = {name: value for name, value in environment.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def _heard(pipe: Connection) -> tuple[str, Any]:
    try:
        kind, value = pipe.recv()
    except EOFError:
        lost = EyebrightError("a process of the simulation was ended", fix="Free memory and run again with --resume.")
        return "failed", lost
    return str(kind), value


def _do(job: Job, context: Context, pipe: Connection) -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        told = replace(context, update=lambda share, note: pipe.send(("note", (share, note))))
        facts = resolve_name(job.work)(told, **job.arguments)
    except (EyebrightError, OSError) as error:
        pipe.send(("failed", error))
    else:
        pipe.send(("done", facts))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "only a worker calls this"
    parent.join()
    os._exit(1)


def _silent(share: float, note: str) -> None:
    """Stand in for a display on the way into another process."""
