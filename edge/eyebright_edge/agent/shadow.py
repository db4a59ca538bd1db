"""Running a release unseen: after a visit has its answer, the release in shadow looks at the same pictures.

* Nothing of it is shown, and the answer never waits for it: it runs in a child process, at low priority, afterwards.
* What is kept is whether the two words were the same. No patient, no picture, no score.
* A visit may not fail because of it: whatever goes wrong is a line in the shadow's own journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from eyebright_common.errors import EyebrightError
from eyebright_common.release import Eye, Verdict
from eyebright_common.release.rollout import Use
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.settings import read_settings
from eyebright_edge.agent.transitions import State
from eyebright_edge.agent.update_record import read_record
from eyebright_edge.records import Journal


def release_in_shadow(home: UnitHome) -> str | None:
    """Return the version that runs unseen now, None without one."""
    record = read_record(home)
    return record.version if record.state is State.TRY and record.use is Use.SHADOW and record.waiting else None


def screen_unseen(home: UnitHome, given: Sequence[tuple[Path, Eye]], shown: Verdict) -> None:
    """Let the release in shadow, if there is one, answer the visit too, and note whether it agrees.

    Args:
        home: The unit's home.
        given: The pictures, each with its eye.
        shown: What the technician was told.
    """
    version = release_in_shadow(home)
    if version is None:
        return
    # Only now: a unit without a shadow loads none of this to screen.
    from eyebright_edge.agent.rehearsal import Job
    from eyebright_edge.agent.workshop import ChildKilled, ChildWorkshop, Limits
    from eyebright_edge.runtime import open_runtime

    entry: dict[str, object] = {"release": version, "shown": shown.value}
    try:
        budget = read_settings(home).budget
        limits = Limits(memory_mb=budget.memory_mb, time_s=60 * budget.prove_minutes)
        folder = home.release_folder(version)
        done = ChildWorkshop(open_runtime).work(Job.SHADOW, folder, limits, lambda share, doing: None, given)
        entry["unseen"] = done.verdict
    except ChildKilled:
        return  # somebody else's doing says nothing about the release
    except EyebrightError:
        entry["crashed"] = True
    with suppress(OSError):
        Journal(home.shadow_file).append(entry)
