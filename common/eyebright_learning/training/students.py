"""Training a student, with or without a teacher's targets."""

from __future__ import annotations

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
) -> TrainingResult:
    """Train a student in place; ``Recipe.supervised()`` without a cache is the undistilled control.

    Raises:
        InputError: the pictures, the recipe and the cache do not fit together.
        EyebrightError: the loss became something that is not a number.
    """
    return fit(student, images, classes=student.classes, recipe=recipe, config=config, cache=cache, on_epoch=on_epoch)
