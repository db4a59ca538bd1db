"""The recipe: which losses, how strongly.

    L = ce L_CE + kd L_KD(T) + dist L_DIST(T)

* The defaults are the design's starting point, ``0.3 CE + 0.7 KD(T=4) + 1.0 DIST``.
* ``Recipe.supervised()`` is the control arm: the same student, the same loop, labels only.
* A combination that cannot mean anything is refused by naming the knob.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from eyebright_common.errors import InputError
from eyebright_learning.distillation.cross_entropy import cross_entropy
from eyebright_learning.distillation.dist import dist
from eyebright_learning.distillation.kd import kd


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Weights of the losses.

    Attributes:
        ce: Weight of the cross-entropy on labels.
        kd: Weight of logit distillation.
        dist: Weight of relational distillation.
        temperature: T of both distillation terms, on top of the teacher's own calibration.
        label_smoothing: Part of the label spread over all classes, in [0, 1).
    """

    ce: float = 0.3
    kd: float = 0.7
    dist: float = 1.0
    temperature: float = 4.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        for knob in ("ce", "kd", "dist"):
            value = getattr(self, knob)
            if not (math.isfinite(value) and value >= 0.0):
                raise InputError(f"recipe: {knob} must be a number of at least 0", value=value)
        if not (math.isfinite(self.temperature) and self.temperature > 0.0):
            raise InputError("recipe: temperature must be above 0", value=self.temperature)
        if not 0.0 <= self.label_smoothing < 1.0:
            raise InputError("recipe: label_smoothing must be in [0, 1)", value=self.label_smoothing)
        if self.ce + self.kd + self.dist == 0.0:
            raise InputError("recipe: all weights are 0", fix="Give ce, kd or dist a weight above 0.")
        if self.label_smoothing and not self.ce:
            raise InputError("recipe: label_smoothing without ce", fix="Give ce a weight, or set label_smoothing to 0.")

    @classmethod
    def supervised(cls, *, label_smoothing: float = 0.0) -> Recipe:
        """Return the recipe of labels alone."""
        return cls(ce=1.0, kd=0.0, dist=0.0, label_smoothing=label_smoothing)

    @property
    def needs_teacher(self) -> bool:
        """Whether a term looks at teacher logits."""
        return self.kd > 0.0 or self.dist > 0.0

    def check(self, *, has_teacher: bool) -> None:
        """Refuse to start without the targets a term needs.

        Raises:
            InputError: a distillation weight is set and there is no teacher.
        """
        if self.needs_teacher and not has_teacher:
            knobs = " and ".join(knob for knob in ("kd", "dist") if getattr(self, knob) > 0.0)
            raise InputError(f"recipe: {knobs} without teacher targets", fix="Give a teacher cache, or set them to 0.")

    def loss(
        self, student: Tensor, teacher: Tensor | None, labels: Tensor, *, class_weights: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum and its unweighted parts.

        Args:
            student: Logits ``[B, C]``.
            teacher: Calibrated teacher logits ``[B, C]``, or None when no term needs them.
            labels: int64 ``[B]``.
            class_weights: float32 ``[C]`` for the cross-entropy.

        Returns:
            The total, and the detached parts by name (``ce``, ``kd``, ``dist``), each before its weight.

        Raises:
            InputError: a distillation weight is set and there is no teacher.
        """
        self.check(has_teacher=teacher is not None)
        parts: dict[str, Tensor] = {}
        if self.ce:
            parts["ce"] = cross_entropy(student, labels, smoothing=self.label_smoothing, class_weights=class_weights)
        if teacher is not None and self.kd:
            parts["kd"] = kd(student, teacher, temperature=self.temperature)
        if teacher is not None and self.dist:
            parts["dist"] = dist(student, teacher, temperature=self.temperature)
        weighted = [getattr(self, name) * value for name, value in parts.items()]
        total = weighted[0]
        for term in weighted[1:]:
            total = total + term
        return total, {name: value.detach() for name, value in parts.items()}
