"""The first student as a run on disk.

| in the folder | what it is |
|---|---|
| ``targets.cache`` | what the teacher says about the operator's pictures; continued after a kill |
| ``checkpoint/`` | the last whole epoch |
| ``student.safetensors`` | the student: what ``rounds start --init`` takes |
| ``student.json`` | ``FirstStudentRecord``, written last |
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import torch

from eyebright_common.digests import sha256_of
from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_common.tasks import get_task
from eyebright_learning.models import Student, Teacher, count_parameters, read_teacher
from eyebright_learning.models.weights import weights_bytes
from eyebright_learning.training import StudentTraining
from eyebright_learning.training.records import OnEpoch
from eyebright_server.first_student.record import FirstStudentRecord
from eyebright_server.first_student.training import Lesson, losses_of, train_first
from eyebright_server.student_recipes import StudentRecipe
from eyebright_server.teacher.facts import TEST, TRAIN, VALIDATION, PreparedFacts, read_part
from eyebright_server.teacher.record import StartFacts, measure

TARGETS, CHECKPOINT, WEIGHTS, RECORD = "targets.cache", "checkpoint", "student.safetensors", "student.json"
WRITES = (RECORD, WEIGHTS, CHECKPOINT, TARGETS, f"{TARGETS}.partial")


def read_fitting_teacher(path: Path, facts: PreparedFacts) -> Teacher:
    """Return the teacher in a file.

    Raises:
        InputError: the file is no teacher, or one of other classes or another picture size.
    """
    teacher = read_teacher(path)
    found = (teacher.identity.classes, teacher.identity.image_size)
    if found != (len(facts.classes), facts.image_size):
        raise InputError(
            "the teacher is not one of these pictures",
            value=f"{path}: {found[0]} classes at {found[1]} px",
            fix=f"Give one of {len(facts.classes)} classes at {facts.image_size} px, trained on the same folder.",
        )
    return teacher


def make_first_student(
    student: Student,
    images: Path,
    facts: PreparedFacts,
    out: Path,
    *,
    init: Path | None,
    teacher: Path | None,
    recipe: StudentRecipe,
    config: StudentTraining,
    device: torch.device,
    on_epoch: OnEpoch | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> FirstStudentRecord:
    """Train ``student`` into ``out``, continuing what is there, and return its record.

    Args:
        student: Untrained, or with the weights of ``init``.
        images: A folder that ``prepare`` made.
        facts: Of that folder.
        out: The run's folder.
        init: The weights it starts from.
        teacher: The teacher's file; None means labels alone.
        recipe: Gives the losses; how to train is in ``config``.
        config: How to train.
        device: Where.
        on_epoch: Called after each epoch, when it is safe on disk.
        note: Told how far the teacher is.

    Raises:
        InputError: pictures, student and teacher do not fit together, or the folder holds another run.
        EyebrightError: the loss became something that is not a number.
    """
    parts = {part: read_part(images, facts, part) for part in (TRAIN, VALIDATION, TEST) if part in facts.parts}
    lesson = None
    if teacher is not None:
        lesson = _lesson(read_fitting_teacher(teacher, facts).to(device), out / TARGETS, note)
    done = train_first(
        student.to(device),
        parts[TRAIN],
        recipe=recipe,
        config=config,
        from_weights=init is not None,
        lesson=lesson,
        on_epoch=on_epoch,
        checkpoint=out / CHECKPOINT,
    )
    content, task = weights_bytes(student), get_task(facts.task)
    measured = {part: measure(student, parts[part], task, temperature=1.0) for part in parts if part != TRAIN}
    record = FirstStudentRecord(
        task=facts.task,
        classes=facts.classes,
        architecture=student.architecture,
        image_size=facts.image_size,
        parameters=count_parameters(student),
        weights=WEIGHTS,
        sha256=hashlib.sha256(content).hexdigest(),
        start=StartFacts(kind="random") if init is None else StartFacts(kind="weights", sha256=sha256_of(init)),
        teacher_sha256=None if teacher is None else sha256_of(teacher),
        recipe=recipe.name,
        losses=losses_of(recipe, taught=lesson is not None, from_weights=init is not None),
        training=dataclasses.asdict(config),
        parts_sha256={part: held.digest() for part, held in parts.items()},
        steps=done.steps,
        examples=done.examples,
        device=device.type,
        history=done.history,
        validation=measured[VALIDATION],
        test=measured.get(TEST),
    )
    write_bytes(out / WEIGHTS, content)
    write_bytes(out / RECORD, record.to_json())
    return record


def _lesson(teacher: Teacher, targets: Path, note: Callable[[str], None]) -> Lesson:
    tenths = -1

    def show(done: int, of: int) -> None:
        nonlocal tenths
        if done * 10 // of > tenths:
            tenths = done * 10 // of
            note(f"the teacher has answered {done:,} of {of:,} times")

    return Lesson(
        teacher=teacher,
        targets=targets,
        on_plan=lambda size: note(f"asking the teacher: {size / 1e3:,.1f} kB of answers in {targets}"),
        on_progress=show,
    )
