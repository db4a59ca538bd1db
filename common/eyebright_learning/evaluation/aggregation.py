"""From pictures to eyes and patients.

Two ways to make one answer out of an eye's pictures:

* ``WORST``: the picture with the highest referable score speaks for the eye. This is what a visit decides by.
* ``MEAN``: the calibrated probabilities of the eye's pictures are averaged; one bad picture weighs less.

A patient is always the worse eye, whichever way the eyes were made: a healthy eye must not dilute a sick one. So the
referable score of a patient is ``max over eyes (max or mean over the eye's pictures)``.

* Pictures of unknown laterality are eyes of their own: averaging them might average two eyes.
* The truth: to be referred when any picture is. As a class, the most frequent label among the referable ones if there
  are any, else among all; between equals, the first in class order. How many units held several labels is reported.
* Ungradable pictures have no probabilities and are not here; the decision rules of a visit judge them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from eyebright_common.errors import InputError
from eyebright_common.tasks import ScreeningTask
from eyebright_learning.evaluation.cases import Cases, Floats, Integers
from eyebright_learning.evaluation.metrics import referable_score

UNKNOWN_EYE = "U"


class EyeRule(StrEnum):
    """How an eye's pictures become one answer; see the module docstring."""

    WORST = "worst"
    MEAN = "mean"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregated:
    """Eyes or patients.

    Attributes:
        cases: One case per eye or patient.
        several_labels: How many of them had pictures with different labels.
    """

    cases: Cases
    several_labels: int


def by_eye(pictures: Cases, *, patients: Sequence[str], eyes: Sequence[str], rule: EyeRule) -> Aggregated:
    """Return one case per eye.

    Args:
        pictures: One case per picture.
        patients: Patient of each picture.
        eyes: ``R``, ``L`` or ``U`` of each picture.
        rule: How an eye's pictures become one answer.

    Raises:
        InputError: as many patients and eyes as pictures are needed.
    """
    eye = _eye_of_picture(pictures, patients, eyes)
    return _aggregated(pictures, eye, _eye_answers(pictures, eye, rule))


def by_patient(pictures: Cases, *, patients: Sequence[str], eyes: Sequence[str], rule: EyeRule) -> Aggregated:
    """Return one case per patient: the worse eye, eyes made as ``rule`` says; arguments as ``by_eye``.

    Raises:
        InputError: as many patients and eyes as pictures are needed.
    """
    eye, patient = _eye_of_picture(pictures, patients, eyes), _numbered(patients)
    answers = _eye_answers(pictures, eye, rule)
    patient_of_eye = np.zeros(len(answers), dtype=np.int64)
    patient_of_eye[eye] = patient
    return _aggregated(pictures, patient, _worst(answers, patient_of_eye, pictures.task))


def _eye_of_picture(pictures: Cases, patients: Sequence[str], eyes: Sequence[str]) -> Integers:
    if not len(pictures) == len(patients) == len(eyes):
        counts = f"{len(pictures)}, {len(patients)} and {len(eyes)}"
        raise InputError("pictures, patients and eyes differ in number", value=counts)
    named = enumerate(zip(patients, eyes, strict=True))
    return _numbered([(patient, eye, index if eye == UNKNOWN_EYE else -1) for index, (patient, eye) in named])


def _eye_answers(pictures: Cases, eye: Integers, rule: EyeRule) -> Floats:
    p = pictures.probabilities
    return _worst(p, eye, pictures.task) if rule is EyeRule.WORST else _mean(p, eye)


def _numbered(keys: Sequence[object]) -> Integers:
    """Return the number of each key, by first appearance."""
    known: dict[object, int] = {}
    return np.asarray([known.setdefault(key, len(known)) for key in keys], dtype=np.int64)


def _worst(probabilities: Floats, unit: Integers, task: ScreeningTask) -> Floats:
    """Return for each unit the probabilities of its member with the highest referable score; the first of equals."""
    order = np.lexsort((-np.arange(len(unit)), referable_score(probabilities, task), unit))
    is_last = np.append(np.diff(unit[order]) != 0, True)[: len(unit)]
    return np.asarray(probabilities[order[is_last]])


def _mean(probabilities: Floats, unit: Integers) -> Floats:
    total = np.zeros((int(unit.max(initial=-1)) + 1, probabilities.shape[1]))
    np.add.at(total, unit, probabilities)
    return np.asarray(total / np.bincount(unit, minlength=len(total))[:, None])


def _aggregated(pictures: Cases, unit: Integers, answers: Floats) -> Aggregated:
    table = np.zeros(answers.shape, dtype=np.int64)
    np.add.at(table, (unit, pictures.labels), 1)
    referable = np.asarray(pictures.task.referable_mask)
    ill = table[:, referable].sum(axis=1, keepdims=True) > 0
    labels = np.where(ill, table * referable, table).argmax(axis=1)
    groups = np.zeros(len(answers), dtype=np.int64)
    groups[unit] = pictures.groups  # a group holds whole patients, so any picture of the unit will do
    cases = Cases(probabilities=answers, labels=labels, groups=groups, task=pictures.task)
    return Aggregated(cases=cases, several_labels=int(((table > 0).sum(axis=1) > 1).sum()))
