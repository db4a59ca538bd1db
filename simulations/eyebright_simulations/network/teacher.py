"""Stage 2, on the operator's share: the first student is pre-trained, the teacher trained and temperature-scaled.

The teacher is trained by the server's own recipe for the task's kind of pictures, in a rehearsal's few passes.

Every network is trained in a process of its own, with one thread: two of them get through 1.7 times as many pictures as
one after the other with two threads.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from eyebright_common.tasks import ScreeningTask, get_task
from eyebright_learning.evaluation import metrics, predict, softmax
from eyebright_learning.models import (
    Ensemble,
    Student,
    Teacher,
    build_teacher,
    count_parameters,
    read_teacher,
)
from eyebright_learning.training import EpochRecord, calibrate, set_determinism, train_teacher
from eyebright_server.teacher.recipes import get_recipe, start_of
from eyebright_simulations.network.context import Context
from eyebright_simulations.network.dataset import OPERATOR_HOLDER, TRAIN, VALIDATION, Dataset
from eyebright_simulations.network.first_student import first_student, pretrain
from eyebright_simulations.network.measure import measured, save_predictions, validation_counts
from eyebright_simulations.network.settings import STUDENT_THREADS, TEACHER_THREADS, budget_of, teacher_of
from eyebright_simulations.network.workspace import Facts


def teacher_file(out: Path) -> Path:
    """Where the trained teacher is kept."""
    return out / "teacher" / "teacher.safetensors"


def prepare(context: Context) -> Facts:
    """Pre-train the student of round 0."""
    set_determinism(context.options.seed, STUDENT_THREADS)
    pretrain(context, _task(context), Dataset.load(context.out / "work").part(OPERATOR_HOLDER, TRAIN))
    return {}


def train_member(context: Context, *, name: str, number: int, threads: int) -> Facts:
    """Train the teacher, or one of the networks whose mean it is."""
    options, budget, task = context.options, budget_of(context.options), _task(context)
    dataset = Dataset.load(context.out / "work")
    images, validation = (dataset.part(OPERATOR_HOLDER, split) for split in (TRAIN, VALIDATION))
    del dataset  # the other pictures are not needed any more
    set_determinism(options.seed + number, threads)
    weights = teacher_of(options, task)[1]
    member = build_teacher(
        name, classes=len(task.classes), image_size=options.pixels, seed=options.seed + number, weights=weights
    )
    recipe, start = get_recipe(None, modality=task.modality), start_of(weights)
    recipe.regularise(member, start=start)
    config = recipe.training(
        start=start,
        epochs=budget.teacher_epochs,
        batch_size=budget.batch_size,
        modality=task.modality,
        precision=budget.precision,
        learning_rate=budget.teacher_learning_rate,
        seed=options.seed + number,
        threads=threads,
    )
    result = train_teacher(
        member, images, validation, config=config, focal=recipe.focal, on_epoch=partial(_show, context, name)
    )
    member.save(_member_file(context.out, number))
    return {"trained_on": len(images), "losses": result.training.losses, "temperature": result.temperature}


def assemble(context: Context, *, members: list[Facts]) -> Facts:
    """Make the teacher of its trained members, and measure it and the first student on the test patients."""
    task = _task(context)
    dataset = Dataset.load(context.out / "work")
    validation = dataset.part(OPERATOR_HOLDER, VALIDATION)
    set_determinism(context.options.seed, TEACHER_THREADS)
    trained = [read_teacher(_member_file(context.out, number)) for number in range(len(members))]
    teacher = trained[0]
    if len(trained) > 1:
        teacher = Ensemble(trained).eval()
        calibrate(teacher, validation)
    teacher.save(teacher_file(context.out))
    temperature = float(teacher.temperature)
    probabilities = softmax(predict(teacher, validation.pixels), temperature=temperature)
    return {
        "arch": teacher.architecture,
        "parameters": count_parameters(teacher),
        "sha256": teacher.digest(),
        "size_bytes": teacher_file(context.out).stat().st_size,
        "temperature": temperature,
        "trained_on": members[0]["trained_on"],
        "losses": members[0]["losses"],
        "members": members,
        "validation": metrics(probabilities, validation.labels, task=task, threshold=0.5),
        "on_hospitals": _measured(context, dataset, "teacher", teacher, temperature=temperature),
        "first_student": _measured(context, dataset, "first_student", first_student(context, task)),
    }


def _task(context: Context) -> ScreeningTask:
    return get_task(context.facts["cohort"]["task"])


def _member_file(out: Path, number: int) -> Path:
    return out / "teacher" / f"member-{number}.safetensors"


def _measured(
    context: Context, dataset: Dataset, name: str, model: Student | Teacher, *, temperature: float = 1.0
) -> Facts:
    """Measure what the server had before any hospital took part."""
    task = _task(context)
    counts = validation_counts(model, dataset, task, range(len(dataset.hospitals)), temperature=temperature)
    measure = measured(model, dataset, task, counts, temperature=temperature)
    save_predictions(context.out, name, measure.probabilities)
    return measure.facts


def _show(context: Context, name: str, record: EpochRecord) -> None:
    context.update(record.epoch / record.epochs, f"teacher {name}: pass {record.epoch} of {record.epochs}")
