"""Ensembles: several teachers that answer as one, with one file, one digest and one cache.

* The answer is the mean of the members' calibrated probabilities, given as its logarithm, so that it passes for logits:

      z = log( (1/K) sum_k softmax(z_k / T_k) )          softmax(z) is that mean exactly

  Each member keeps its own temperature T_k; one fitted for the ensemble comes on top, as for any teacher.
* Members are trained one by one (``members``), not through the mean: they are worth most where they differ.
* Features are those of the first member that has them. An ensemble is not a member of another.
* Its name lists the members: ``ensemble:NAME+NAME+NAME``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from eyebright_common.errors import InputError
from eyebright_learning.models.identity import TeacherIdentity
from eyebright_learning.models.student import STUDENTS
from eyebright_learning.models.teacher import Teacher
from eyebright_learning.teacher_names import BETWEEN_MEMBERS, ENSEMBLE_PREFIX, teacher_members


class MeanProbability(nn.ModuleList):
    """Members in, the logarithm of their mean calibrated probability out."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[B, C]`` of a batch ``[B, 3, S, S]`` in 0–255."""
        logarithms = [cast("Teacher", member).calibrated(x).float().log_softmax(1) for member in self]
        return torch.logsumexp(torch.stack(logarithms), dim=0) - math.log(len(logarithms))


class Ensemble(Teacher):
    """The mean of several calibrated teachers."""

    def __init__(self, members: Sequence[Teacher]) -> None:
        """Take the members as they are.

        Args:
            members: Two or more, for the same classes and picture size.

        Raises:
            InputError: there are too few, they do not belong together, or one is an ensemble itself.
        """
        super().__init__(MeanProbability(members), _identity(members))

    @property
    def members(self) -> tuple[Teacher, ...]:
        """The members, in the order of the name; training them in place trains the ensemble."""
        return tuple(cast("Teacher", member) for member in cast("MeanProbability", self.network))


def _identity(members: Sequence[Teacher]) -> TeacherIdentity:
    found = [member.identity for member in members]
    if len({(identity.classes, identity.image_size) for identity in found}) != 1:
        raise InputError(
            "members of an ensemble must have the same classes and picture size",
            value="; ".join(map(str, found)),
            fix="Give two or more teachers that were trained for the same task and size.",
        )
    for identity in found:
        if identity.kind == "timm" and identity.architecture in STUDENTS:
            raise InputError(
                "a timm teacher of a student's name cannot be a member: the ensemble's name would mean the student",
                value=identity.architecture,
                fix="Train the student's architecture instead.",
            )
    name = ENSEMBLE_PREFIX + BETWEEN_MEMBERS.join(identity.architecture for identity in found)
    teacher_members(name)
    return TeacherIdentity(architecture=name, classes=found[0].classes, image_size=found[0].image_size, kind="ensemble")
