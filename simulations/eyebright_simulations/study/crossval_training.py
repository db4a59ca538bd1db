"""The OCT recipe (KD-OCT, arXiv 2512.09069) at any length: what it fixes for teacher and student.

Published, 150 and 100 passes: a teacher with published weights, its body frozen for 5 and then at a fifth of the head's
rate, 10 passes of warm-up, weights averaged from pass 100 on; focal loss with class weights; strong views; a student
from 0.3 cross-entropy and 0.7 softened teacher at T = 4. Kept here as shares of however many passes are asked for.

* The teacher's half is the server's own recipe (``eyebright_server.teacher``).
* From random weights nothing is frozen and body and head have one rate: there is nothing to be gentle with. Dropout
  and stochastic depth are left out for the same reason.
* Not taken over: stopping by the validation loss (the same pictures fit the temperature), the best checkpoint in place
  of the average, mixup and label smoothing that focal loss silently turned off.
"""

from __future__ import annotations

from pathlib import Path

from eyebright_common.tasks import ScreeningTask
from eyebright_learning.distillation import Recipe
from eyebright_learning.models import Student, Teacher, build_student, build_teacher
from eyebright_learning.models.timm_teacher import regularise
from eyebright_learning.training import StudentTraining, TeacherTraining
from eyebright_learning.views import STRONG_STUDENT
from eyebright_server.teacher.recipes import RECIPES
from eyebright_simulations.study.crossval_options import CrossvalOptions
from eyebright_simulations.study.recipes import get_recipe

TEACHER_RECIPE = RECIPES["oct-convnext"]
_DROP = 0.3
_STUDENT_WARMUP = 5 / 100
_STUDENT_WEIGHT_DECAY = 0.01
_FLOOR = 1e-3


def untrained_teacher(options: CrossvalOptions, task: ScreeningTask, fold: int) -> Teacher:
    """Return the teacher of a fold before it has seen a picture."""
    weights = None if options.teacher_weights is None else Path(options.teacher_weights)
    teacher = build_teacher(
        options.candidates[0],
        classes=len(task.classes),
        image_size=options.image_size,
        seed=options.seed + fold,
        weights=weights,
    )
    if weights is not None:
        regularise(teacher, drop=_DROP, drop_path=_DROP)
    return teacher


def teacher_training(options: CrossvalOptions, task: ScreeningTask, *, fold: int) -> TeacherTraining:
    """Return how the teacher of a fold is trained: as the server trains its own by this recipe."""
    return TEACHER_RECIPE.training(
        start="random" if options.teacher_weights is None else "weights",
        epochs=options.teacher_epochs or options.epochs,
        batch_size=options.batch_size,
        modality=task.modality,
        precision=options.precision,
        learning_rate=options.teacher_learning_rate,
        seed=options.seed + fold,
        threads=1,
    )


def first_student(options: CrossvalOptions, task: ScreeningTask) -> Student:
    """Return the student before it has seen a picture; the same in every fold."""
    weights = None if options.init is None else Path(options.init)
    return build_student(options.architecture, classes=len(task.classes), seed=options.seed, weights=weights)


def student_recipe(options: CrossvalOptions) -> Recipe:
    """Return the student's losses."""
    temperature = get_recipe(options.recipe).temperature
    return Recipe(ce=options.weights["ce"], kd=options.weights["kd"], dist=0.0, temperature=temperature)


def student_training(options: CrossvalOptions, task: ScreeningTask) -> StudentTraining:
    """Return how a student is trained."""
    recipe = get_recipe(options.recipe)
    return StudentTraining(
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate or (recipe.rate if options.init is None else recipe.rate_from_weights),
        weight_decay=_STUDENT_WEIGHT_DECAY,
        warmup=_STUDENT_WARMUP,
        final_rate=_FLOOR,
        balance="sampling",
        views=options.cached_views,
        view_family=STRONG_STUDENT,
        modality=task.modality,
        precision=options.precision,
        seed=options.seed,
        threads=1,
    )
