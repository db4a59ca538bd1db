"""The teacher of a fold: trained on that fold's training part alone, calibrated, measured, and its targets cached.

* It is trained as the server trains one by the recipe of that name: one implementation (``eyebright_server.teacher``).
* A fold's test pictures never reach its teacher: neither its weights nor its temperature (``FoldParts`` holds the parts
  apart, the record says which pictures they were, and ``analysis`` looks again).
"""

from __future__ import annotations

import time
from pathlib import Path

from eyebright_common.errors import InputError
from eyebright_common.tasks import ScreeningTask, get_task
from eyebright_learning.evaluation import metrics, predict, softmax
from eyebright_learning.models import (
    STUDENTS,
    Teacher,
    build_student,
    build_teacher,
    check_teacher,
    count_parameters,
    read_teacher,
)
from eyebright_learning.models.identity import read_identity
from eyebright_learning.teacher_cache import TeacherCache
from eyebright_learning.training import TeacherTraining, train_teacher
from eyebright_server.student_recipes import get_recipe
from eyebright_server.teacher.recipes import RECIPES, start_of
from eyebright_simulations.network.context import Context
from eyebright_simulations.study.options import StudyOptions
from eyebright_simulations.study.pictures import load_fold
from eyebright_simulations.study.records import Facts, teacher_job, write_record
from eyebright_simulations.study.torch_setup import begin

_SOME_CLASSES = 2


def teacher_file(out: Path, index: int, fold: int) -> Path:
    """Where a trained teacher is kept."""
    return out / "teachers" / f"{teacher_job(index, fold)}.safetensors"


def cache_file(out: Path, fold: int) -> Path:
    """Where the targets of an ablation's teacher for a fold's training part are kept."""
    return out / "caches" / f"fold-{fold}.cache"


def check_networks(context: Context, *, options: StudyOptions) -> Facts:
    """Return when student and teachers can be built, from their weights and on the device: before a picture is read.

    Raises:
        InputError: one of them is unknown, a file of weights is not theirs, or there is no such device here.
    """
    begin(options, seed=options.seed)
    if options.architecture not in STUDENTS:
        raise InputError("unknown student", value=options.architecture, fix=f"Choose one of: {', '.join(STUDENTS)}.")
    for name in options.candidates:
        check_teacher(name)
    # How many classes there are is known only when the labels have been read; a head of another size is no error.
    if options.init is not None:
        build_student(options.architecture, classes=_SOME_CLASSES, seed=0, weights=Path(options.init))
    if options.teacher_weights is not None:
        for name in options.candidates:
            _check_start(name, Path(options.teacher_weights), options)
    return {}


def _check_start(name: str, weights: Path, options: StudyOptions) -> None:
    held = read_identity(weights)  # a teacher of ours is one of so many classes, which the labels will tell
    classes = _SOME_CLASSES if held is None else held.classes
    teacher = build_teacher(name, classes=classes, image_size=options.image_size, seed=0, weights=weights)
    RECIPES[options.recipe].regularise(teacher, start="weights")


def teach(context: Context, *, options: StudyOptions, task: str, index: int, fold: int) -> Facts:
    """Train, calibrate and measure teacher number ``index`` for a fold."""
    started, screening = time.perf_counter(), get_task(task)
    images, parts = load_fold(context.out, fold, seed=options.seed)
    device = begin(options, seed=options.seed + fold)
    teacher = untrained_teacher(options, screening, index, fold).to(device)
    train_teacher(
        teacher,
        images.subset(parts.train),
        images.subset(parts.validation),
        config=teacher_training(options, screening, seed=options.seed + fold),
        focal=RECIPES[options.recipe].focal,
        on_epoch=lambda record: context.update(
            record.epoch / record.epochs, f"teacher: pass {record.epoch} of {record.epochs}"
        ),
    )
    path = teacher_file(context.out, index, fold)
    path.parent.mkdir(parents=True, exist_ok=True)
    teacher.save(path)
    test = images.subset(parts.test)
    probabilities = softmax(predict(teacher, test.pixels), temperature=float(teacher.temperature))
    facts = {
        "architecture": options.candidates[index],
        "parameters": count_parameters(teacher),
        "has_features": teacher.has_features,
        "temperature": float(teacher.temperature),
        "sha256": teacher.digest(),
        "trained_on": len(parts.train),
        "test": metrics(probabilities, test.labels, task=screening, threshold=None),
        "seconds": round(time.perf_counter() - started, 1),
    }
    write_record(context.out, teacher_job(index, fold), parts=parts, probabilities=probabilities, facts=facts)
    return facts


def cache_targets(context: Context, *, options: StudyOptions, task: str, fold: int, features: bool) -> Facts:
    """Run a fold's teacher once over the views of its training part; finishes what a kill left."""
    images, parts = load_fold(context.out, fold, seed=options.seed)
    device = begin(options, seed=options.seed + fold)
    teacher = read_teacher(teacher_file(context.out, 0, fold)).to(device)
    TeacherCache.open_or_build(
        cache_file(context.out, fold),
        teacher=teacher,
        images=images.subset(parts.train),
        views=options.cached_views,
        feature_views=options.cached_feature_views if features else 0,
        modality=get_task(task).modality,
        family=get_recipe(options.recipe).view_family,
        on_progress=lambda done, total: context.update(done / total, f"fold {fold + 1}: {done:,} of {total:,} targets"),
    )
    return {"teacher_sha256": teacher.digest()}


def teacher_training(options: StudyOptions, task: ScreeningTask, *, seed: int) -> TeacherTraining:
    """Return how a teacher is trained: as the server trains its own by this recipe."""
    return RECIPES[options.recipe].training(
        start=start_of(options.teacher_weights),
        epochs=options.teacher_epochs or options.epochs,
        batch_size=options.batch_size,
        modality=task.modality,
        precision=options.precision,
        learning_rate=options.teacher_learning_rate,
        seed=seed,
        threads=1,
    )


def untrained_teacher(options: StudyOptions, task: ScreeningTask, index: int, fold: int) -> Teacher:
    """Return teacher number ``index`` of a fold before it has seen a picture."""
    teacher = build_teacher(
        options.candidates[index],
        classes=len(task.classes),
        image_size=options.image_size,
        seed=options.seed + fold,
        weights=None if options.teacher_weights is None else Path(options.teacher_weights),
    )
    RECIPES[options.recipe].regularise(teacher, start=start_of(options.teacher_weights))
    return teacher
