"""A workshop in the test's own process: the same work without the seconds that a child takes to start."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eyebright_common.release import Eye
from eyebright_edge.agent.rehearsal import Job, OnProgress, OpenRuntime, Rehearsed, rehearse
from eyebright_edge.agent.workshop import Limits


@dataclass(frozen=True)
class DirectWorkshop:
    """Implements ``Workshop``; limits are not watched, and the test's own memory is not taken for the release's."""

    open_runtime: OpenRuntime

    def work(
        self, job: Job, folder: Path, limits: Limits, on_progress: OnProgress, given: Sequence[tuple[Path, Eye]] = ()
    ) -> Rehearsed:
        return replace(rehearse(job, folder, self.open_runtime, on_progress, given), peak_memory_mb=0.0)
