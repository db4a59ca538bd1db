"""The stages in order, as jobs for processes of their own.

Nothing here imports torch: see ``workers``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from eyebright_common.tasks import get_task
from eyebright_learning.teacher_names import teacher_members
from eyebright_simulations.network.arms import (
    FEDERATED,
    NO_DISTILLATION,
    POOLED,
    Arm,
    federated,
    pooled,
    single_hospitals,
    without_distillation,
)
from eyebright_simulations.network.context import Context
from eyebright_simulations.network.dataset import TRAIN
from eyebright_simulations.network.settings import STUDENT_THREADS, TEACHER_THREADS, teacher_of
from eyebright_simulations.network.workers import Job, run_jobs
from eyebright_simulations.network.workspace import Facts

_NETWORK = "eyebright_simulations.network"


def teach(context: Context) -> Facts:
    """Train the networks that make up the teacher; beside them the first student, and the arm that needs no teacher."""
    hospitals = len(context.facts["cohort"]["hospitals"])
    members = _members(context)
    first = Job(name="first student", work=f"{_NETWORK}.teacher:prepare")
    control = _arm_job(context, without_distillation(hospitals), weight=2.0, after=first.name)
    done = run_jobs(_part(context, 0.0, 0.95), [members[0], first, *members[1:], control])
    trained = [done[member.name] for member in members]
    last = Job(name="teacher", work=f"{_NETWORK}.teacher:assemble", arguments={"members": trained})
    facts = run_jobs(_part(context, 0.95, 1.0), [last])["teacher"]
    return facts | {NO_DISTILLATION: done[NO_DISTILLATION]}


def run_rounds(context: Context) -> Facts:
    """Run the federation, and the same with all pictures in one place."""
    hospitals = len(context.facts["cohort"]["hospitals"])
    facts = _run_arms(context, (federated(hospitals), pooled(hospitals)))
    return facts[FEDERATED] | {POOLED: facts[POOLED]}


def compare(context: Context) -> Facts:
    """Run every hospital alone; the federation has computed their targets already."""
    hospitals = len(context.facts["cohort"]["hospitals"])
    facts = _run_arms(context, single_hospitals(hospitals))
    known = {POOLED: context.facts["rounds"][POOLED], NO_DISTILLATION: context.facts["teacher"][NO_DISTILLATION]}
    return facts | known


def alone(name: str, work: str) -> Callable[[Context], Facts]:
    """Return a stage that is one function in one process."""

    def stage(context: Context) -> Facts:
        return run_jobs(context, [Job(name=name, work=f"{_NETWORK}.{work}")])[name]

    return stage


STAGES: dict[str, Callable[[Context], Facts]] = {
    "cohort": alone("cohort", "cohort:gather"),
    "teacher": teach,
    "rounds": run_rounds,
    "comparison": compare,
    "release": alone("release", "release:publish"),
    "unit": alone("unit", "unit:screen"),
}


def _part(context: Context, start: float, end: float) -> Context:
    """Return the context of a part of a stage, which fills a part of its progress bar."""
    return replace(context, update=lambda share, note: context.update(start + (end - start) * share, note))


def _members(context: Context) -> list[Job]:
    """Return a job for each network of the teacher.

    One thread each, as two jobs fill the machine; a single teacher of the user's choice is likely a large one, which
    will still be training when everything beside it is done, and has two.
    """
    options = context.options
    names = teacher_members(teacher_of(options, get_task(context.facts["cohort"]["task"]))[0])
    threads = TEACHER_THREADS if options.teacher is not None and len(names) == 1 else STUDENT_THREADS
    return [
        Job(
            name=f"member {number}",
            work=f"{_NETWORK}.teacher:train_member",
            arguments={"name": name, "number": number, "threads": threads},
            weight=3.0,
        )
        for number, name in enumerate(names)
    ]


def _run_arms(context: Context, arms: Sequence[Arm]) -> dict[str, Facts]:
    train = [hospital[TRAIN] for hospital in context.facts["cohort"]["hospitals"]]
    weights = [sum(train[holder] for site in arm.holders for holder in site) for arm in arms]
    return run_jobs(context, [_arm_job(context, arm, weight=weight) for arm, weight in zip(arms, weights, strict=True)])


def _arm_job(context: Context, arm: Arm, *, weight: float, after: str | None = None) -> Job:
    # Only the federation itself is Flower's to simulate; what it is compared with needs no engine.
    backend = context.options.backend if arm.name == FEDERATED else "local"
    work = f"{_NETWORK}.rounds:train_and_measure"
    return Job(name=arm.name, work=work, arguments={"arm": arm, "backend": backend}, weight=weight, after=after)
