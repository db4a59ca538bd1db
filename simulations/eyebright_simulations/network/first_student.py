"""The student that every arm starts from.

* The server trains it for a few passes over its own share, on labels alone, as ``eyebright server first-student`` does:
  from random weights, or from those of ``--init`` (ADR 0029).
* It is the same file for the federation and for everything it is compared with, so it favours none of them; its own
  result is in the report, so that nobody has to guess what the hospitals added.
"""

from __future__ import annotations

from pathlib import Path

from eyebright_common.errors import InputError
from eyebright_common.tasks import ScreeningTask
from eyebright_learning.data import PreparedImages
from eyebright_learning.models import STUDENTS, Student, build_student, check_teacher, save_weights
from eyebright_learning.training import EpochRecord
from eyebright_server.first_student.training import first_training, train_first
from eyebright_server.student_recipes import get_recipe
from eyebright_simulations.network.context import Context
from eyebright_simulations.network.settings import STUDENT_THREADS, budget_of
from eyebright_simulations.network.workspace import Facts


def first_student(context: Context, task: ScreeningTask) -> Student:
    """Return the student of round 0, which ``pretrain`` made."""
    return _student(context, task, _file(context.out)).eval()


def check_architectures(context: Context) -> Facts:
    """Return when student and teacher can be built.

    Raises:
        InputError: one of them is unknown.
    """
    options = context.options
    if options.student not in STUDENTS:
        raise InputError("unknown student", value=options.student, fix=f"Choose one of: {', '.join(STUDENTS)}.")
    if options.teacher is not None:
        check_teacher(options.teacher)
    return {}


def pretrain(context: Context, task: ScreeningTask, images: PreparedImages) -> None:
    """Train the student of round 0.

    Args:
        context: The simulation.
        task: What is screened for.
        images: The operator's training pictures.

    Raises:
        InputError: the weights given are not of this student.
    """
    options, budget = context.options, budget_of(context.options)
    given = None if options.init is None else Path(options.init)
    student = _student(context, task, given)

    def show(record: EpochRecord) -> None:
        context.update(record.epoch / record.epochs, f"first student: pass {record.epoch} of {record.epochs}")

    recipe = get_recipe(None, modality=task.modality)
    config = first_training(
        recipe,
        from_weights=given is not None,
        epochs=budget.pretraining_epochs,
        batch_size=budget.batch_size,
        modality=task.modality,
        precision=budget.precision,
        learning_rate=budget.pretraining_rate,
        seed=options.seed,
        threads=STUDENT_THREADS,
    )
    train_first(student, images, recipe=recipe, config=config, from_weights=given is not None, on_epoch=show)
    save_weights(student, _file(context.out))


def _student(context: Context, task: ScreeningTask, weights: Path | None) -> Student:
    return build_student(context.options.student, classes=len(task.classes), seed=context.options.seed, weights=weights)


def _file(out: Path) -> Path:
    return out / "teacher" / "first_student.safetensors"
