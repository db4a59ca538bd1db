"""One student of a study: one arm, one fold or site held out, one seed.

* In every arm the student starts from the same weights (the head's from the seed), sees the same views in the same
  order, follows the same schedule and is taken after its last pass: no pass is picked, so validation is needed for the
  temperature alone.
* What differs between two arms of a fold and a seed is the recipe. Nothing else.
"""

from __future__ import annotations

import time
from pathlib import Path

from eyebright_common.errors import InputError
from eyebright_common.tasks import ScreeningTask, get_task
from eyebright_learning.data import PreparedImages
from eyebright_learning.distillation import Recipe
from eyebright_learning.evaluation import fit_temperature, metrics, predict, softmax
from eyebright_learning.models import Student, build_student
from eyebright_learning.teacher_cache import TeacherCache
from eyebright_learning.training import EpochRecord, StudentTraining, train_student
from eyebright_server.student_recipes import get_recipe
from eyebright_simulations.network.context import Context
from eyebright_simulations.study.arms import needs_features, recipe_of
from eyebright_simulations.study.folds import HeldOut
from eyebright_simulations.study.options import StudyOptions
from eyebright_simulations.study.pictures import load_parts
from eyebright_simulations.study.records import Facts, held_out_job, read_facts, teacher_job, write_record
from eyebright_simulations.study.teachers import cache_file
from eyebright_simulations.study.torch_setup import begin


def learn(context: Context, *, options: StudyOptions, task: str, arm: str, held_out: HeldOut, seed: int) -> Facts:
    """Train, calibrate and measure the student of an arm and a seed, without a fold or a site."""
    started, screening = time.perf_counter(), get_task(task)
    images, parts = load_parts(context.out, held_out, seed=options.seed)
    device = begin(options, seed=options.seed + seed)
    recipe = arm_recipe(options, arm)
    student = first_student(options, screening, seed).to(device)

    def show(record: EpochRecord) -> None:
        context.update(record.epoch / record.epochs, f"{arm}, {held_out}: pass {record.epoch} of {record.epochs}")

    training = images.subset(parts.train)
    result = train_student(
        student,
        training,
        cache=_cache(context.out, options, screening, arm, held_out, training) if recipe.needs_teacher else None,
        recipe=recipe,
        config=student_training(options, screening, seed=options.seed + seed),
        on_epoch=show,
    )
    validation, test = images.subset(parts.validation), images.subset(parts.test)
    temperature = fit_temperature(predict(student, validation.pixels), validation.labels)
    probabilities = softmax(predict(student, test.pixels), temperature=temperature)
    facts = {
        "arm": arm,
        "recipe": recipe_weights(options, arm),
        "temperature": temperature,
        "trained_on": len(parts.train),
        "losses": result.losses,
        "steps": result.steps,
        "test": metrics(probabilities, test.labels, task=screening, threshold=None),
        "seconds": round(time.perf_counter() - started, 1),
    }
    write_record(context.out, held_out_job(arm, held_out, seed), parts=parts, probabilities=probabilities, facts=facts)
    return facts


def recipe_weights(options: StudyOptions, arm: str) -> dict[str, float]:
    """Return the arm's recipe as keyword arguments."""
    return recipe_of(arm, temperature=get_recipe(options.recipe).temperature, weights=options.weights)


def arm_recipe(options: StudyOptions, arm: str) -> Recipe:
    """Return the arm's recipe."""
    return Recipe(**recipe_weights(options, arm))


def student_training(options: StudyOptions, task: ScreeningTask, *, seed: int) -> StudentTraining:
    """Return how a student is trained, in every arm."""
    recipe = get_recipe(options.recipe)
    return StudentTraining(
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate or (recipe.rate if options.init is None else recipe.rate_from_weights),
        weight_decay=recipe.weight_decay,
        warmup=recipe.warmup,
        final_rate=recipe.final_rate,
        balance="sampling",
        views=options.cached_views,
        view_family=recipe.view_family,
        modality=task.modality,
        precision=options.precision,
        seed=seed,
        threads=1,
    )


def first_student(options: StudyOptions, task: ScreeningTask, seed: int) -> Student:
    """Return the student before it has seen a picture; the same in every fold."""
    weights = None if options.init is None else Path(options.init)
    return build_student(options.architecture, classes=len(task.classes), seed=options.seed + seed, weights=weights)


def _cache(
    out: Path, options: StudyOptions, task: ScreeningTask, arm: str, held_out: HeldOut, images: PreparedImages
) -> TeacherCache:
    assert held_out.by == "fold", "only folds have teachers"
    fold = held_out.number
    cache = TeacherCache.open(
        cache_file(out, fold),
        teacher_sha256=read_facts(out, teacher_job(0, fold))["sha256"],
        images=images,
        views=options.cached_views,
        feature_views=options.cached_feature_views if needs_features(arm) else 0,
        modality=task.modality,
        family=get_recipe(options.recipe).view_family,
    )
    if cache is None:
        raise InputError("the teacher's targets of a fold are gone", value=fold + 1, fix="Run again with --resume.")
    return cache
