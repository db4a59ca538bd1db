"""The two jobs of a fold: its teacher, and the student that learns from it.

* Both take their pictures from the same ``FoldParts``, whose parts share no group; each leaves a record of the pictures
  it learned from, and ``analysis`` looks at both again.
* Each answers twice: to the plain picture, and on average over several looks. The second is a record of its own
  (``NAME.tta``), so no number can be of both. It is written first; the job is finished when the first is there.
"""

from __future__ import annotations

import time
from pathlib import Path

from torch import nn

from eyebright_common.tasks import ScreeningTask, get_task
from eyebright_learning.data import PreparedImages
from eyebright_learning.distillation import Recipe
from eyebright_learning.evaluation import fit_temperature, metrics, predict, predict_tta, softmax
from eyebright_learning.models import count_parameters, read_teacher
from eyebright_learning.teacher_cache import TeacherCache
from eyebright_learning.training import EpochRecord, train_student, train_teacher
from eyebright_server.student_recipes import get_recipe
from eyebright_server.teacher.recipes import RECIPES
from eyebright_simulations.network.context import Context
from eyebright_simulations.study.crossval_options import DISTILLED, CrossvalOptions
from eyebright_simulations.study.folds import FoldParts
from eyebright_simulations.study.pictures import load_fold
from eyebright_simulations.study.records import Facts, student_job, teacher_job, write_record
from eyebright_simulations.study.students import first_student, student_training
from eyebright_simulations.study.teachers import cache_file, teacher_file, teacher_training, untrained_teacher
from eyebright_simulations.study.torch_setup import begin


def with_looks(job: str) -> str:
    """Return the name of a job's record with test-time augmentation."""
    return f"{job}.tta"


def teach(context: Context, *, options: CrossvalOptions, task: str, fold: int) -> Facts:
    """Train, calibrate and measure the teacher of a fold."""
    started, screening = time.perf_counter(), get_task(task)
    images, parts = load_fold(context.out, fold, seed=options.seed)
    device = begin(options, seed=options.seed + fold)
    teacher = untrained_teacher(options, screening, 0, fold).to(device)
    result = train_teacher(
        teacher,
        images.subset(parts.train),
        images.subset(parts.validation),
        config=teacher_training(options, screening, seed=options.seed + fold),
        focal=RECIPES[options.recipe].focal,
        on_epoch=lambda record: _show(context, "teacher", fold, record),
    )
    path = teacher_file(context.out, 0, fold)
    path.parent.mkdir(parents=True, exist_ok=True)
    teacher.save(path)
    facts = {
        "architecture": teacher.architecture,
        "parameters": count_parameters(teacher),
        "sha256": teacher.digest(),
        "losses": result.training.losses,
    }
    name, temperature = teacher_job(0, fold), result.temperature
    return _record(context.out, name, options, screening, teacher, images, parts, temperature, facts, started)


def distil(context: Context, *, options: CrossvalOptions, task: str, fold: int) -> Facts:
    """Cache the targets of a fold's teacher, then train, calibrate and measure the student."""
    started, screening = time.perf_counter(), get_task(task)
    images, parts = load_fold(context.out, fold, seed=options.seed)
    device = begin(options, seed=options.seed)
    training, config = images.subset(parts.train), student_training(options, screening, seed=options.seed)
    cache = TeacherCache.open_or_build(
        cache_file(context.out, fold),
        teacher=read_teacher(teacher_file(context.out, 0, fold)).to(device),
        images=training,
        views=config.views,
        modality=config.modality,
        family=config.view_family,
    )
    student = first_student(options, screening, 0).to(device)
    result = train_student(
        student,
        training,
        cache=cache,
        recipe=student_recipe(options),
        config=config,
        on_epoch=lambda record: _show(context, "student", fold, record),
    )
    validation = images.subset(parts.validation)
    temperature = fit_temperature(predict(student, validation.pixels), validation.labels)
    facts = {
        "architecture": student.architecture,
        "parameters": count_parameters(student),
        "teacher_sha256": cache.header.key.teacher_sha256,
        "losses": result.losses,
    }
    name = student_job(DISTILLED, fold, 0)
    return _record(context.out, name, options, screening, student, images, parts, temperature, facts, started)


def student_recipe(options: CrossvalOptions) -> Recipe:
    """Return the student's losses: labels and softened teacher, without the relational term the paper does not have."""
    temperature = get_recipe(options.recipe).temperature
    return Recipe(ce=options.weights["ce"], kd=options.weights["kd"], dist=0.0, temperature=temperature)


def _record(
    out: Path,
    name: str,
    options: CrossvalOptions,
    task: ScreeningTask,
    model: nn.Module,
    images: PreparedImages,
    parts: FoldParts,
    temperature: float,
    facts: Facts,
    started: float,
) -> Facts:
    """Predict the test part plainly and with several looks, and keep both."""
    test = images.subset(parts.test)
    looks = predict_tta(
        model, test.pixels, test.digests, views=options.test_views, modality=task.modality, temperature=temperature
    )
    write_record(out, with_looks(name), parts=parts, probabilities=looks, facts={"looks": options.test_views})
    plain = softmax(predict(model, test.pixels), temperature=temperature)
    found = facts | {
        "temperature": temperature,
        "trained_on": len(parts.train),
        "test": metrics(plain, test.labels, task=task, threshold=None),
        "seconds": round(time.perf_counter() - started, 1),
    }
    write_record(out, name, parts=parts, probabilities=plain, facts=found)
    return found


def _show(context: Context, who: str, fold: int, record: EpochRecord) -> None:
    share = record.epoch / record.epochs
    context.update(share, f"{who}, fold {fold + 1}: pass {record.epoch} of {record.epochs}")
