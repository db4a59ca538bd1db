"""Teachers by name and by file: timm's classifiers, students' architectures, hybrids and ensembles.

* A teacher's file says what it is (kind, architecture, classes, picture size), so a hospital builds it from the file
  alone. Such a file is loaded as it is, temperature included, and only where it is the teacher asked for.
* Member k of an ensemble is initialised from ``seed + k``: members that start alike would be one teacher.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import timm

from eyebright_common.errors import InputError
from eyebright_learning.models.ensemble import Ensemble
from eyebright_learning.models.hybrid import HYBRIDS, hybrid_teacher
from eyebright_learning.models.identity import Kind, TeacherIdentity, read_identity
from eyebright_learning.models.student import STUDENTS
from eyebright_learning.models.student_teacher import student_teacher
from eyebright_learning.models.teacher import Start, Teacher
from eyebright_learning.models.timm_teacher import starts_mean_pooled, timm_teacher
from eyebright_learning.models.weights import read_weights
from eyebright_learning.teacher_names import is_ensemble, teacher_members


def build_teacher(
    name: str,
    *,
    classes: int,
    image_size: int,
    seed: int,
    pretrained: bool = False,
    weights: Path | None = None,
) -> Teacher:
    """Return a teacher by its name.

    Args:
        name: timm's (``vit_base_patch16_224``, ``convnextv2_large``), a student's (``mobilenet_v2``), a hybrid's
            (``hybrid_mobilenet_v2_tiny``), or ``ensemble:NAME+NAME`` of those.
        classes: Number of logits.
        image_size: Side of the pictures in pixels.
        seed: Of the random initialisation (with weights, of what they leave out).
        pretrained: Start from timm's published weights, which downloads them.
        weights: A local safetensors file instead: a teacher of ours of this name, loaded as it is, temperature
            included; or a checkpoint of the architecture under timm's or torchvision's key names, MobileNetV2's for a
            hybrid. An ensemble starts every member from the checkpoint.

    Raises:
        InputError: the name is unknown, the picture size does not suit it, or the weights cannot be had.
    """
    check_teacher(name)
    identity = _identity(name, classes=classes, image_size=image_size)
    start = Start(seed=seed, pretrained=pretrained, weights=weights)
    found = None if weights is None else read_identity(weights)
    if weights is not None and found is None and identity.kind == "timm" and starts_mean_pooled(name, weights):
        identity = identity.model_copy(update={"pooling": "mean"})
    if weights is None or found is None:
        return _create(identity, start)
    identity = identity.model_copy(update={"pooling": found.pooling})
    if found != identity:
        raise InputError("the teacher's file is of another teacher", value=found, fix=f"Asked for {identity}.")
    return _load_own(identity, weights)


def read_teacher(path: Path) -> Teacher:
    """Return a teacher from the file ``Teacher.save`` wrote, in evaluation mode.

    Raises:
        InputError: the file is missing, damaged, or not a teacher of ours.
    """
    identity = read_identity(path)
    if identity is None:
        raise InputError("not a teacher of ours", value=path, fix="Give the safetensors file teacher training wrote.")
    return _load_own(identity, path).eval()


def check_teacher(name: str) -> None:
    """Return when ``build_teacher`` knows a teacher of that name.

    Raises:
        InputError: it does not; the message names close matches.
    """
    if is_ensemble(name):
        for member in teacher_members(name):
            check_teacher(member)
    elif name not in STUDENTS and name not in HYBRIDS and not timm.is_model(name):
        close = difflib.get_close_matches(name, [*HYBRIDS, *STUDENTS, *timm.list_models()], n=3, cutoff=0.5)
        raise InputError(
            "unknown teacher",
            value=name,
            fix=f"Did you mean: {', '.join(close)}?" if close else "Give a timm model name, e.g. vit_base_patch16_224.",
        )


def _identity(name: str, *, classes: int, image_size: int) -> TeacherIdentity:
    return TeacherIdentity(architecture=name, classes=classes, image_size=image_size, kind=_kind(name))


def _kind(name: str) -> Kind:
    if is_ensemble(name):
        return "ensemble"
    if name in STUDENTS:
        return "student"
    return "hybrid" if name in HYBRIDS else "timm"


def _ensemble(identity: TeacherIdentity, start: Start) -> Teacher:
    return Ensemble(
        [
            _create(
                _identity(name, classes=identity.classes, image_size=identity.image_size),
                replace(start, seed=start.seed + number),
            )
            for number, name in enumerate(teacher_members(identity.architecture))
        ]
    )


_KINDS: dict[Kind, Callable[[TeacherIdentity, Start], Teacher]] = {
    "timm": timm_teacher,
    "student": student_teacher,
    "hybrid": hybrid_teacher,
    "ensemble": _ensemble,
}


def _create(identity: TeacherIdentity, start: Start) -> Teacher:
    return _KINDS[identity.kind](identity, start)


def _load_own(identity: TeacherIdentity, path: Path) -> Teacher:
    check_teacher(identity.architecture)
    teacher = _create(identity, Start(seed=0))
    try:
        teacher.load_state_dict(read_weights(path))
    except RuntimeError as error:
        raise InputError("the teacher's file is incomplete", value=path, fix="Download the teacher again.") from error
    return teacher
