"""The two runs a role asks for: train a student, train a teacher and calibrate it."""

from __future__ import annotations

from dataclasses import dataclass

from eyebright_common.errors import InputError
from eyebright_learning.data import PreparedImages
from eyebright_learning.distillation import Recipe
from eyebright_learning.evaluation import fit_temperature, predict
from eyebright_learning.models import Student, Teacher
from eyebright_learning.teacher_cache import TeacherCache
from eyebright_learning.training.config import StudentTraining, TeacherTraining
from eyebright_learning.training.loop import OnEpoch, TrainingResult, fit


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherResult:
    """What teacher training did.

    Attributes:
        training: Losses, steps, examples.
        temperature: Fitted on the validation pictures and kept in the teacher.
    """

    training: TrainingResult
    temperature: float


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


def train_teacher(
    teacher: Teacher,
    images: PreparedImages,
    validation: PreparedImages,
    *,
    config: TeacherTraining,
    label_smoothing: float = 0.0,
    on_epoch: OnEpoch | None = None,
) -> TeacherResult:
    """Train a teacher in place on labels, then fit its temperature on ``validation``.

    The weights of the last epoch are kept: the cosine has come to rest there, and picking an epoch by the same
    pictures that fit the temperature would flatter both.

    Raises:
        InputError: pictures are missing or have another size than the teacher's.
        EyebrightError: the loss became something that is not a number.
    """
    for name, part in (("training", images), ("validation", validation)):
        if len(part) == 0:
            raise InputError(f"teacher training: no {name} pictures", fix="Look at how the operator's share was split.")
        if part.size != teacher.identity.image_size:
            raise InputError("the pictures have another size than the teacher's", value=part.size)
    recipe = Recipe.supervised(label_smoothing=label_smoothing)
    done = fit(teacher, images, classes=teacher.identity.classes, recipe=recipe, config=config, on_epoch=on_epoch)
    temperature = fit_temperature(predict(teacher, validation.pixels), validation.labels)
    teacher.set_temperature(temperature)
    return TeacherResult(training=done, temperature=temperature)
