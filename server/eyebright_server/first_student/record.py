"""``student.json``: what the first student is, what it was made from, how it learnt and how good it is.

Figures are of its probabilities as they come, one picture at a time, with 95 % intervals from resamples of whole
groups. No temperature is fitted: rounds find that of the student they ship.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from eyebright_common.documents import Document
from eyebright_learning.training.records import EpochRecord
from eyebright_server.teacher.record import Measured, StartFacts


class FirstStudentRecord(Document):
    """All that is known about a first student.

    Attributes:
        schema_version: Of this file.
        task: Name of the task.
        classes: In logit order.
        architecture: Of the student.
        image_size: Side of its pictures in pixels.
        parameters: Learnable values.
        weights: Name of its file, in the same folder.
        sha256: Of that file.
        start: What it started from.
        teacher_sha256: Of the teacher's file; None where it learnt from labels alone.
        recipe: Name of the recipe.
        losses: Weights of the terms.
        training: Every knob of the training.
        parts_sha256: Of the pictures of every part.
        steps: Optimiser steps.
        examples: Pictures seen, repeats counted.
        device: Where.
        code_version: Of Eyebright.
        libraries: Versions of what computed it.
        history: One record per epoch.
        validation: On the validation part, which chose nothing.
        test: On the test part, where there is one.
    """

    schema_version: int = Field(default=1, ge=1, le=1)
    task: str
    classes: tuple[str, ...]
    architecture: str
    image_size: int
    parameters: int
    weights: str
    sha256: str
    start: StartFacts
    teacher_sha256: str | None
    recipe: str
    losses: dict[str, float]
    training: dict[str, Any]
    parts_sha256: dict[str, str]
    steps: int
    examples: int
    device: str
    code_version: str
    libraries: dict[str, str]
    history: tuple[EpochRecord, ...]
    validation: Measured
    test: Measured | None = None
