"""The stages in order, as jobs for processes of their own.

Nothing here imports torch: see ``workers``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from eyebright_simulations.network.arms import (
    FEDERATED,
    NO_DISTILLATION,
    Arm,
    federated,
    pooled,
    single_hospitals,
    without_distillation,
)
from eyebright_simulations.network.context import Context
from eyebright_simulations.network.dataset import TRAIN
from eyebright_simulations.network.workers import Job, run_jobs
from eyebright_simulations.network.workspace import Facts

_NETWORK = "eyebright_simulations.network"


def teach(context: Context) -> Facts:
    """Pre-train the first student, train the networks that make up the teacher, and put it together."""
    prepared = run_jobs(_part(context, 0.0, 0.2), [Job(name="first student", work=f"{_NETWORK}.teacher:prepare")])
    names = prepared["first student"]["members"]
    jobs = [
        Job(
            name=f"member {number}",
            work=f"{_NETWORK}.teacher:train_member",
            arguments={"name": name, "number": number, "alone": len(names) == 1},
        )
        for number, name in enumerate(names)
    ]
    trained = run_jobs(_part(context, 0.2, 0.95), jobs)
    arguments = {"members": list(trained.values())}
    last = Job(name="teacher", work=f"{_NETWORK}.teacher:assemble", arguments=arguments)
    return run_jobs(_part(context, 0.95, 1.0), [last])["teacher"]


def run_rounds(context: Context) -> Facts:
    """Run the federation with and without distillation."""
    hospitals = len(context.facts["cohort"]["hospitals"])
    facts = _run_arms(context, (federated(hospitals), without_distillation(hospitals)))
    return facts[FEDERATED] | {NO_DISTILLATION: facts[NO_DISTILLATION]}


def compare(context: Context) -> Facts:
    """Run pooled training and every hospital alone."""
    hospitals = len(context.facts["cohort"]["hospitals"])
    facts = _run_arms(context, (pooled(hospitals), *single_hospitals(hospitals)))
    return facts | {NO_DISTILLATION: context.facts["rounds"][NO_DISTILLATION]}


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


def _run_arms(context: Context, arms: Sequence[Arm]) -> dict[str, Facts]:
    train = [hospital[TRAIN] for hospital in context.facts["cohort"]["hospitals"]]
    return run_jobs(
        context,
        [
            Job(
                name=arm.name,
                work=f"{_NETWORK}.rounds:train_and_measure",
                # Only the federation itself is Flower's to simulate; what it is compared with needs no engine.
                arguments={"arm": arm, "backend": context.options.backend if arm.name == FEDERATED else "local"},
                weight=sum(train[holder] for site in arm.holders for holder in site),
            )
            for arm in arms
        ],
    )
