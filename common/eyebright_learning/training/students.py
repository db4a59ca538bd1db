"""Training a student, with or without a teacher's targets."""

from __future__ import annotations

from pathlib import Path

from eyebright_learning.data import PreparedImages
from eyebright_learning.distillation import Recipe
from eyebright_learning.models import Student
from eyebright_learning.teacher_cache import TeacherCache
from eyebright_learning.training.config import StudentTraining
from eyebright_learning.training.loop import fit
from eyebright_learning.training.records import OnEpoch, TrainingResult


def train_student(
    student: Student,
    images: PreparedImages,
    *,
    cache: TeacherCache | None,
    recipe: Recipe,
    config: StudentTraining,
    on_epoch: OnEpoch | None = None,
    checkpoint: Path | None = None,
) -> TrainingResult:
    """Train a student in place; ``Recipe.supervised()`` without a cache is the undistilled control.

    Args:
        student: The student.
        images: What to learn from.
        cache: Teacher targets of ``images``; needed when the recipe has a distillation term.
        recipe: The losses.
        config: The stretch of training.
        on_epoch: Called after each epoch, when it is safe on disk.
        checkpoint: A folder where every epoch is kept, and from which a killed training is continued.

    Raises:
        InputError: the pictures, the recipe and the cache do not fit together, or the folder holds another training.
        EyebrightError: the loss became something that is not a number.
    """
    return fit(
        student,
        images,
        classes=student.classes,
        recipe=recipe,
        config=config,
        cache=cache,
        on_epoch=on_epoch,
        checkpoint=checkpoint,
    )
