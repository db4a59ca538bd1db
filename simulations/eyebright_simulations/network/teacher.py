"""Stage 2, on the operator's share: the teacher is trained and temperature-scaled, the first student pre-trained."""

from __future__ import annotations

from pathlib import Path

from eyebright_common.tasks import get_task
from eyebright_learning.evaluation import metrics, predict, softmax
from eyebright_learning.models import Student, Teacher, build_teacher, count_parameters
from eyebright_learning.training import EpochRecord, TeacherTraining, set_determinism, train_teacher
from eyebright_simulations.network.context import Context
from eyebright_simulations.network.dataset import OPERATOR_HOLDER, TRAIN, VALIDATION, Dataset
from eyebright_simulations.network.first_student import first_student, pretrain
from eyebright_simulations.network.measure import measured, save_predictions, validation_counts
from eyebright_simulations.network.settings import TEACHER_THREADS, budget_of, teacher_of
from eyebright_simulations.network.workspace import Facts

_STUDENT_SHARE = 0.2  # of the stage's progress bar; the first student comes first


def teacher_file(out: Path) -> Path:
    """Where the trained teacher is kept."""
    return out / "teacher" / "teacher.safetensors"


def teach(context: Context) -> Facts:
    """Train and calibrate the teacher, pre-train the student of round 0, and measure both on the test patients."""
    options, budget = context.options, budget_of(context.options)
    task = get_task(context.facts["cohort"]["task"])
    dataset = Dataset.load(context.out / "work")
    images = dataset.part(OPERATOR_HOLDER, TRAIN)
    validation = dataset.part(OPERATOR_HOLDER, VALIDATION)
    set_determinism(options.seed, TEACHER_THREADS)
    pretrain(context, task, images, share=_STUDENT_SHARE)
    name, weights = teacher_of(options, task)
    teacher = build_teacher(
        name, classes=len(task.classes), image_size=options.pixels, seed=options.seed, weights=weights
    )
    config = TeacherTraining(
        epochs=budget.teacher_epochs,
        batch_size=budget.batch_size,
        learning_rate=budget.teacher_learning_rate,
        modality=task.modality,
        precision=budget.precision,
        seed=options.seed,
        threads=TEACHER_THREADS,
    )
    result = train_teacher(teacher, images, validation, config=config, on_epoch=lambda record: _show(context, record))
    teacher.save(teacher_file(context.out))
    probabilities = softmax(predict(teacher, validation.pixels), temperature=result.temperature)
    return {
        "arch": teacher.architecture,
        "parameters": count_parameters(teacher),
        "sha256": teacher.digest(),
        "size_bytes": teacher_file(context.out).stat().st_size,
        "temperature": result.temperature,
        "trained_on": len(images),
        "losses": result.training.losses,
        "validation": metrics(probabilities, validation.labels, task=task, threshold=0.5),
        "on_hospitals": _measured(context, dataset, "teacher", teacher, temperature=result.temperature),
        "first_student": _measured(context, dataset, "first_student", first_student(context, task)),
    }


def _measured(
    context: Context, dataset: Dataset, name: str, model: Student | Teacher, *, temperature: float = 1.0
) -> Facts:
    """Measure what the server had before any hospital took part."""
    task = get_task(context.facts["cohort"]["task"])
    counts = validation_counts(model, dataset, task, range(len(dataset.hospitals)), temperature=temperature)
    measure = measured(model, dataset, task, counts, temperature=temperature)
    save_predictions(context.out, name, measure.probabilities)
    return measure.facts


def _show(context: Context, record: EpochRecord) -> None:
    share = _STUDENT_SHARE + (1.0 - _STUDENT_SHARE) * record.epoch / record.epochs
    context.update(share, f"teacher: pass {record.epoch} of {record.epochs}")
