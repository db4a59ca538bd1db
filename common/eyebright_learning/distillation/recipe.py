"""The recipe: which losses, how strongly.

    L = ce L_CE + kd L_KD(T) + dist L_DIST(T) + dkd L_DKD(T)
      + pca L_1 / L_1[0] + gl L_2 / L_2[0] + adversarial L_MVG / L_MVG[0]                  [0]: on the first batch

* The defaults are the design's starting point, ``0.3 CE + 0.7 KD(T=4) + 1.0 DIST``.
* ``Recipe.supervised()`` is the control arm: the same student, the same loop, labels only.
* The last three look at the teacher's features. Divided by what they were on the first batch, they start at their
  weight whatever the teacher's scale is; above 0.05 they have been seen to drown the rest.
* A combination that cannot mean anything is refused by naming the knob.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from eyebright_common.errors import InputError

_LOGIT_KNOBS = ("ce", "kd", "dist", "dkd")
_FEATURE_KNOBS = ("pca", "gl", "adversarial")
_TEACHER_KNOBS = ("kd", "dist", "dkd", *_FEATURE_KNOBS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Weights of the losses.

    Attributes:
        ce: Weight of the loss on labels.
        kd: Weight of logit distillation.
        dist: Weight of relational distillation.
        temperature: T of the terms on logits, on top of the teacher's own calibration.
        label_smoothing: Part of the label spread over all classes, in [0, 1).
        dkd: Weight of decoupled distillation.
        dkd_alpha: In ``dkd``, of the true class against all others.
        dkd_beta: In ``dkd``, of the other classes among themselves.
        pca: Weight of partially cross-attention.
        gl: Weight of the group-wise linear projection onto the teacher's tokens.
        adversarial: Weight of the term that makes these projections look like the teacher's tokens.
        multi_view: Probability, per picture, of an extra transform that only the student sees.
        focal: Gamma of the focal loss; above 0 it takes the place of the cross-entropy under ``ce``.
    """

    ce: float = 0.3
    kd: float = 0.7
    dist: float = 1.0
    temperature: float = 4.0
    label_smoothing: float = 0.0
    dkd: float = 0.0
    dkd_alpha: float = 1.0
    dkd_beta: float = 2.0
    pca: float = 0.0
    gl: float = 0.0
    adversarial: float = 0.0
    multi_view: float = 0.0
    focal: float = 0.0

    def __post_init__(self) -> None:
        for knob in (*_LOGIT_KNOBS, "dkd_alpha", "dkd_beta", *_FEATURE_KNOBS, "focal"):
            value = getattr(self, knob)
            if not (math.isfinite(value) and value >= 0.0):
                raise InputError(f"recipe: {knob} must be a number of at least 0", value=value)
        if not (math.isfinite(self.temperature) and self.temperature > 0.0):
            raise InputError("recipe: temperature must be above 0", value=self.temperature)
        if not 0.0 <= self.label_smoothing < 1.0:
            raise InputError("recipe: label_smoothing must be in [0, 1)", value=self.label_smoothing)
        if not 0.0 <= self.multi_view <= 1.0:
            raise InputError("recipe: multi_view is a probability, in [0, 1]", value=self.multi_view)
        self._check_combination()

    def _check_combination(self) -> None:
        if not any(getattr(self, knob) for knob in _LOGIT_KNOBS):
            raise InputError(
                "recipe: ce, kd, dist and dkd are all 0, and nothing else teaches the head",
                fix="Give one of them a weight above 0.",
            )
        if self.label_smoothing and not self.ce:
            raise InputError("recipe: label_smoothing without ce", fix="Give ce a weight, or set label_smoothing to 0.")
        if self.focal and not self.ce:
            raise InputError("recipe: focal without ce, its weight", fix="Give ce a weight, or set focal to 0.")
        if self.focal and self.label_smoothing:
            raise InputError("recipe: label_smoothing has no meaning with focal", fix="Set one of them to 0.")
        if self.dkd and not (self.dkd_alpha or self.dkd_beta):
            raise InputError(
                "recipe: dkd with dkd_alpha and dkd_beta both 0", fix="Give one a weight, or set dkd to 0."
            )
        if self.adversarial and not self.gl:
            raise InputError("recipe: adversarial without gl", fix="It judges what gl projects: give gl a weight.")

    @classmethod
    def supervised(cls, *, label_smoothing: float = 0.0, focal: float = 0.0) -> Recipe:
        """Return the recipe of labels alone."""
        return cls(ce=1.0, kd=0.0, dist=0.0, label_smoothing=label_smoothing, focal=focal)

    @property
    def terms(self) -> dict[str, float]:
        """Weight of every term above 0, by the name it is logged under."""
        weights = {knob: getattr(self, knob) for knob in (*_LOGIT_KNOBS, *_FEATURE_KNOBS)}
        named = {"focal" if knob == "ce" and self.focal else knob: weight for knob, weight in weights.items()}
        return {name: weight for name, weight in named.items() if weight > 0.0}

    @property
    def needs_labels(self) -> bool:
        """Whether a term looks at labels."""
        return self.ce > 0.0 or self.dkd > 0.0

    @property
    def needs_teacher(self) -> bool:
        """Whether a term looks at the teacher's logits or features."""
        return any(getattr(self, knob) for knob in _TEACHER_KNOBS)

    @property
    def needs_features(self) -> bool:
        """Whether a term looks at the teacher's features."""
        return any(getattr(self, knob) for knob in _FEATURE_KNOBS)

    def check(self, *, has_teacher: bool, has_features: bool = True) -> None:
        """Refuse to start without the targets a term needs.

        Raises:
            InputError: a distillation weight is set and there is no teacher, or none with features.
        """
        if self.needs_teacher and not has_teacher:
            raise InputError(
                f"recipe: {self._used(_TEACHER_KNOBS)} without teacher targets",
                fix="Give a teacher cache, or set them to 0.",
            )
        if self.needs_features and not has_features:
            raise InputError(
                f"recipe: {self._used(_FEATURE_KNOBS)} without teacher features",
                fix="Build the teacher cache with feature views, of a teacher that has attention; or set them to 0.",
            )

    def _used(self, knobs: tuple[str, ...]) -> str:
        return " and ".join(knob for knob in knobs if getattr(self, knob) > 0.0)
