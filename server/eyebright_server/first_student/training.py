"""Training the student of round 0, for rounds and for rehearsals alike.

* Hospitals begin where it stands. One that already tells the classes apart keeps them together: hospitals that lack a
  class unlearn it more slowly, and the first rounds are not spent on finding a common language.
* It learns from labels with every class shown equally often and, where there is a teacher, from its targets as well,
  with the weights of the recipe that hospitals get.
* The last epoch is kept. Rounds find the temperature of what they ship; this student ships nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eyebright_learning.data import PreparedImages
from eyebright_learning.distillation import Recipe
from eyebright_learning.models import Student, Teacher
from eyebright_learning.teacher_cache import TeacherCache
from eyebright_learning.training import StudentTraining, TrainingResult, train_student
from eyebright_learning.training.config import Precision
from eyebright_learning.training.records import OnEpoch
from eyebright_server.student_recipes import MOST_VIEWS, StudentRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What a teacher says about the pictures.

    Attributes:
        teacher: The teacher.
        targets: File for what it says, which a killed run continues.
        on_plan: Told the size of that file in bytes before the teacher is asked.
        on_progress: Told how many of how many answers there are.
    """

    teacher: Teacher
    targets: Path
    on_plan: Callable[[int], None] | None = None
    on_progress: Callable[[int, int], None] | None = None


def first_training(
    recipe: StudentRecipe,
    *,
    from_weights: bool,
    epochs: int,
    batch_size: int,
    modality: str,
    precision: Precision = "fp32",
    learning_rate: float | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> StudentTraining:
    """Return how the first student is trained.

    Args:
        recipe: Gives rates, decay and views.
        from_weights: Whether it starts from given weights.
        epochs: Passes over the operator's pictures.
        batch_size: Pictures per step.
        modality: What the views find plausible.
        precision: Of the network.
        learning_rate: Peak; None is the recipe's.
        seed: Of order and views.
        threads: Processor threads.

    Raises:
        InputError: the configuration means nothing; the message names the knob.
    """
    usual = recipe.rate_from_weights if from_weights else recipe.rate
    return StudentTraining(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=usual if learning_rate is None else learning_rate,
        weight_decay=recipe.weight_decay,
        warmup=recipe.warmup,
        final_rate=recipe.final_rate,
        balance="sampling",
        views=min(MOST_VIEWS, epochs),
        modality=modality,
        view_family=recipe.views(epochs),
        precision=precision,
        seed=seed,
        threads=threads,
    )


def losses_of(recipe: StudentRecipe, *, taught: bool, from_weights: bool) -> dict[str, float]:
    """Return the weights of the terms, as a record has them."""
    return recipe.losses(from_weights=from_weights) if taught else {"ce": 1.0}


def train_first(
    student: Student,
    images: PreparedImages,
    *,
    recipe: StudentRecipe,
    config: StudentTraining,
    from_weights: bool,
    lesson: Lesson | None = None,
    on_epoch: OnEpoch | None = None,
    checkpoint: Path | None = None,
) -> TrainingResult:
    """Train ``student`` in place.

    Args:
        student: From random or from given weights.
        images: The operator's training pictures.
        recipe: Gives the losses.
        config: From ``first_training``.
        from_weights: Whether it starts from given weights.
        lesson: The teacher; None means labels alone.
        on_epoch: Called after each epoch.
        checkpoint: A folder where every epoch is kept, and from which a killed training goes on.

    Raises:
        InputError: pictures, student and teacher do not fit together, or the folder holds another training.
        EyebrightError: the loss became something that is not a number.
    """
    terms = losses_of(recipe, taught=lesson is not None, from_weights=from_weights)
    return train_student(
        student,
        images,
        cache=None if lesson is None else _targets(lesson, images, config),
        recipe=Recipe.supervised() if lesson is None else Recipe(**terms),
        config=config,
        on_epoch=on_epoch,
        checkpoint=checkpoint,
    )


def _targets(lesson: Lesson, images: PreparedImages, config: StudentTraining) -> TeacherCache:
    return TeacherCache.open_or_build(
        lesson.targets,
        teacher=lesson.teacher,
        images=images,
        views=config.views,
        modality=config.modality,
        family=config.view_family,
        on_plan=lesson.on_plan,
        on_progress=lesson.on_progress,
    )
