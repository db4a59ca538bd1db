"""The training budgets of a simulation, chosen on validation patients, never on a test set.

Two budgets: one starts from random weights, the other from given ones, at gentler rates. In both the server trains the
student of round 0 on its own share first. Both are plain numbers here so that a report can print them; the losses are
the recipe's (``eyebright_server.student_recipes``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from eyebright_common.tasks import ScreeningTask
from eyebright_simulations.network.options import SimulationOptions

# Threads are fixed, not taken from the machine: sums are taken in another order with another number of threads, and the
# same seed must give the same result on a laptop and on a server.
TEACHER_THREADS = 2
STUDENT_THREADS = 1
# Teachers that can start from a student's own weights.
_TEACHERS_FROM = {"mobilenet_v2": "ensemble:mobilenet_v2+hybrid_mobilenet_v2_tiny"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long and how hard to train.

    Attributes:
        batch_size: Pictures per step.
        learning_rate: Peak rate of a student.
        views: Most cached views per picture; never more than there are passes.
        precision: ``fp32`` or ``bf16``.
        balance: How a student makes up for rare classes.
        batch_norm: What becomes of the statistics of batch normalisation in rounds.
        pretraining_epochs: Passes of the first student over the operator's share.
        pretraining_rate: Peak rate of those.
        teacher: Name of the teacher; None is the task's own.
        teacher_epochs: Passes of the teacher over the operator's share.
        teacher_learning_rate: Peak rate of the teacher.
    """

    batch_size: int = 32
    learning_rate: float = 1e-3
    views: int = 9
    precision: Literal["fp32", "bf16"] = "fp32"
    balance: Literal["none", "sampling", "loss", "prior"] = "none"
    batch_norm: Literal["average", "frozen"] = "average"
    pretraining_epochs: int = 3
    pretraining_rate: float = 2e-3
    teacher: str | None = None
    teacher_epochs: int = 10
    teacher_learning_rate: float = 1e-3


def budget_of(options: SimulationOptions) -> Budget:
    """Return the budget that suits what is asked."""
    if options.init is None:
        return Budget()
    return Budget(
        learning_rate=1e-4,  # of a student that knows the task already (ADR 0029)
        views=4,
        pretraining_epochs=6,
        pretraining_rate=5e-4,
        teacher=_TEACHERS_FROM.get(options.student),
        teacher_epochs=10,
        teacher_learning_rate=5e-4,
        # Real hospitals meet the classes in very different shares, and some lack a class altogether (ADR 0025).
        balance="prior",
        # Each hospital's own statistics lead the students apart; those of the operator's pictures hold them together.
        batch_norm="frozen",
        precision="bf16",  # at 128 px as fast as fp32 on a processor that has it, and 0.45 GB less for each worker
    )


def teacher_of(options: SimulationOptions, task: ScreeningTask) -> tuple[str, Path | None]:
    """Return the name of the teacher and the weights it starts from.

    A teacher trained from nothing on a few thousand pictures knows less than a student that starts from given weights.
    So, where the student is given some, the default teacher is several networks that start from the same.
    """
    given = options.teacher_init
    if options.teacher is None and budget_of(options).teacher is not None:
        given = given or options.init
    return options.teacher or budget_of(options).teacher or task.teacher, None if given is None else Path(given)
