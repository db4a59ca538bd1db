"""The plan: what a server asks a hospital to do, in full, addressed by its digest.

* A plan is canonical JSON (sorted keys, no whitespace, ASCII), so the same plan has the same bytes and the same SHA-256
  everywhere. A hospital approves that digest; it then knows every number that will shape its training.
* It holds what changes the arithmetic and nothing else: no site, no path, no time. The number of rounds is in it, so
  one approval covers rounds 1 to ``rounds`` and no more.
* It comes from outside, so it is a pydantic model that forbids unknown fields and checks every bound.

Not here: who may take part, deadlines and quorum (the server's business), and a hospital's own limits (its policy).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from eyebright_common.documents import Document, problems_of
from eyebright_common.errors import InputError
from eyebright_common.tasks import TASKS, get_task

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Word = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[\w.\-+/:]+$")]
Weight = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]

ViewFamily = Literal["views-1", "rand-augment-2-9-1", "rand-augment-2-7-1"]
_USUAL_VIEWS: ViewFamily = "views-1"

Aggregation = Literal[
    "fedavg",
    "fedprox",
    "fedavgm",
    "fedadam",
    "fedyogi",
    "fedmedian",
    "fedtrimmedavg",
    "krum",
    "multikrum",
    "bulyan",
]
BatchNorm = Literal["average", "local", "re-estimate", "frozen"]
Compression = Literal["none", "fp16", "int8"]

_FEATURE_TERMS = ("pca", "gl", "adversarial")
_NEEDS_ALL_ALIKE = ("fedavg", "fedprox")


def _left_out(usual: object) -> Callable[[object], bool]:
    """Leave a field out of the JSON where it has its usual value: plans from before the field keep their digests."""
    return lambda value: value == usual


class PlanRecipe(Document):
    """Weights of the loss terms; what each is, ``eyebright_learning.distillation`` says.

    Attributes:
        ce: Weight of cross entropy with the labels.
        kd: Weight of the temperature-softened divergence from the teacher.
        temperature: Softening temperature of ``kd``, ``dist`` and ``dkd``.
        dist: Weight of the DIST correlation terms.
        label_smoothing: Part of the label spread over all classes.
        dkd: Weight of the decoupled divergence from the teacher.
        dkd_alpha: In ``dkd``, of the true class against all others.
        dkd_beta: In ``dkd``, of the other classes among themselves.
        pca: Weight of partially cross-attention.
        gl: Weight of the group-wise linear projection onto the teacher's tokens.
        adversarial: Weight of the adversarial alignment of these projections.
        multi_view: Probability, per image, of an extra transform that only the student sees.
        focal: Gamma of the focal loss; above 0 it takes the place of cross entropy under ``ce``.
    """

    ce: Weight = 0.3
    kd: Weight = 0.7
    temperature: float = Field(default=4.0, ge=0.1, le=100, allow_inf_nan=False)
    dist: Weight = 1.0
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, allow_inf_nan=False)
    dkd: Weight = 0.0
    dkd_alpha: Weight = 1.0
    dkd_beta: Weight = 2.0
    pca: Weight = 0.0
    gl: Weight = 0.0
    adversarial: Weight = 0.0
    multi_view: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    focal: float = Field(default=0.0, ge=0, le=10, allow_inf_nan=False)

    @model_validator(mode="after")
    def _meaningful(self) -> Self:
        if self.ce + self.kd + self.dist + self.dkd == 0:
            raise ValueError("ce, kd, dist and dkd are all 0: nothing teaches the head")
        if self.adversarial and not self.gl:
            raise ValueError("adversarial judges what gl projects; give gl a weight")
        if self.focal and (self.label_smoothing or not self.ce):
            raise ValueError("focal needs a weight in ce, and no label_smoothing")
        if self.label_smoothing and not self.ce:
            raise ValueError("label_smoothing needs a weight in ce")
        if self.dkd and self.dkd_alpha + self.dkd_beta == 0:
            raise ValueError("dkd needs dkd_alpha or dkd_beta above 0")
        return self

    @property
    def teacher_terms(self) -> tuple[str, ...]:
        """Names of the terms in use that look at a teacher."""
        return tuple(name for name in ("kd", "dist", "dkd", *_FEATURE_TERMS) if getattr(self, name) > 0)

    @property
    def needs_teacher(self) -> bool:
        """Whether any term looks at a teacher."""
        return bool(self.teacher_terms)

    @property
    def needs_features(self) -> bool:
        """Whether any term looks at a teacher's features."""
        return any(name in _FEATURE_TERMS for name in self.teacher_terms)


class PlanPrivacy(Document):
    """Differential privacy of hospitals: each update is clipped, and noise is added to the average.

    It hides whether a *hospital* took part, not whether a patient's picture did; what ``delta`` and ``max_epsilon``
    promise, ``eyebright_server.federation.privacy`` says.

    Attributes:
        clipping_norm: Largest norm of one hospital's update.
        noise_multiplier: Deviation of the noise, as a multiple of what one hospital can move the average.
        delta: Probability with which the promise may fail.
        max_epsilon: The run ends before a round that would go beyond it.
    """

    clipping_norm: float = Field(gt=0, le=1e6, allow_inf_nan=False)
    noise_multiplier: float = Field(gt=0, le=1e3, allow_inf_nan=False)
    delta: float = Field(default=1e-5, gt=0, lt=1, allow_inf_nan=False)
    max_epsilon: float = Field(default=10.0, gt=0, le=1e6, allow_inf_nan=False)


class Plan(Document):
    """One federated run.

    Attributes:
        schema_version: Version of this shape.
        task: Task name.
        classes: Class names in logit order; must be the task's own.
        student: Student architecture.
        image_size: Side of the model input, pixels.
        preprocessing: Identifier of the pixel preparation both sides use.
        rounds: Rounds in the run.
        local_epochs: Passes over a hospital's training images in each round.
        batch_size: Images per step.
        learning_rate: Peak learning rate of the schedule, which runs over all rounds.
        weight_decay: Decoupled weight decay.
        optimiser: Local optimiser; its moments start afresh each round.
        warmup: Part of the whole schedule over which the rate rises.
        clip_norm: Largest norm of a gradient; 0 leaves it alone.
        balance: How rare classes are made up for; ``prior`` also keeps a hospital from unlearning classes it lacks.
        proximal_mu: Pull towards the global student (FedProx).
        views: Views per image in the teacher cache.
        view_family: How strong the views are; left out of the JSON where they are the usual mild ones, so that plans
            from before there were others keep their digests.
        recipe: Loss weights.
        teacher_sha256: Digest of the teacher's safetensors file; None trains on labels alone.
        teacher_arch: Name of the teacher; None without a teacher.
        aggregation: How the server combines students.
        hostile: Hospitals the Krum family assumes to be hostile.
        batch_norm: ``average`` treats batch normalisation as weights; ``local`` lets each hospital keep its own
            (FedBN), and what the server holds is their average; ``re-estimate`` measures means and variances afresh,
            under the averaged student, and pools their moments; with ``frozen`` hospitals train under the statistics
            that the run begins with, and these stay as they are (FixBN).
        compression: How a hospital's update is shortened on its way.
        privacy: Clipping and noise; None for neither.
        compare_own: Whether each hospital also trains a student on its own pictures alone, and learns which is better.
        seed: Seed of everything random at the hospital.
        precision: Arithmetic of the training step.
    """

    schema_version: Literal[1] = 1
    task: str
    classes: tuple[str, ...]
    student: Word
    image_size: int = Field(ge=32, le=1024)
    preprocessing: Word
    rounds: int = Field(ge=1, le=1000)
    local_epochs: int = Field(ge=1, le=1000)
    batch_size: int = Field(ge=2, le=4096)
    learning_rate: float = Field(gt=0, le=10, allow_inf_nan=False)
    weight_decay: float = Field(ge=0, le=1, allow_inf_nan=False)
    optimiser: Literal["adamw", "sgd"] = "adamw"
    warmup: float = Field(default=0.1, ge=0, lt=1, allow_inf_nan=False)
    clip_norm: float = Field(default=5.0, ge=0, le=1000, allow_inf_nan=False)
    balance: Literal["none", "sampling", "loss", "prior"] = "none"
    proximal_mu: float = Field(default=0.0, ge=0, le=100, allow_inf_nan=False)
    views: int = Field(ge=1, le=1000)
    view_family: ViewFamily = Field(default=_USUAL_VIEWS, exclude_if=lambda family: family == _USUAL_VIEWS)
    recipe: PlanRecipe
    teacher_sha256: Sha256 | None = None
    teacher_arch: Word | None = None
    aggregation: Aggregation = "fedavg"
    hostile: int = Field(default=0, ge=0, le=1000, exclude_if=_left_out(0))
    batch_norm: BatchNorm = Field(default="average", exclude_if=_left_out("average"))
    compression: Compression = Field(default="none", exclude_if=_left_out("none"))
    privacy: PlanPrivacy | None = Field(default=None, exclude_if=_left_out(None))
    compare_own: bool = Field(default=False, exclude_if=_left_out(False))
    seed: int = Field(ge=0, lt=2**31)
    precision: Literal["fp32", "bf16"] = "fp32"

    @field_validator("task")
    @classmethod
    def _known_task(cls, name: str) -> str:
        if name not in TASKS:
            raise ValueError(f"unknown task; choose one of {', '.join(TASKS)}")
        return name

    @field_validator("image_size")
    @classmethod
    def _whole_strides(cls, size: int) -> int:
        if size % 32:
            raise ValueError("must be a multiple of 32, the student's stride")
        return size

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.classes != get_task(self.task).classes:
            raise ValueError(f"classes must be those of task {self.task}: {', '.join(get_task(self.task).classes)}")
        if self.recipe.needs_teacher and self.teacher_sha256 is None:
            used = " and ".join(f"recipe.{name}" for name in self.recipe.teacher_terms)
            raise ValueError(f"teacher_sha256 is missing for {used}; set them to 0 to train on labels alone")
        if (self.teacher_sha256 is None) != (self.teacher_arch is None):
            raise ValueError("teacher_sha256 and teacher_arch go together")
        if (self.aggregation == "fedprox") != (self.proximal_mu > 0):
            raise ValueError("aggregation fedprox and a proximal_mu above 0 go together")
        if self.hostile and self.aggregation not in {"krum", "multikrum", "bulyan"}:
            raise ValueError("hostile is for krum, multikrum and bulyan")
        if self.privacy is not None and self.aggregation not in _NEEDS_ALL_ALIKE:
            raise ValueError("privacy is accounted for a plain average only; use fedavg or fedprox")
        if self.privacy is not None and self.batch_norm == "re-estimate":
            raise ValueError("re-estimated statistics would leave without noise; use another batch_norm with privacy")
        return self

    @classmethod
    def checked(cls, **fields: Any) -> Plan:
        """Return a plan of these fields.

        Raises:
            InputError: naming the first field that does not hold, its value and its rule.
        """
        try:
            return cls(**fields)
        except ValidationError as error:
            raise _readable(error) from None

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """Return the plan written in ``text``, which need not be canonical.

        Raises:
            InputError: it is not JSON, or a field does not hold.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise _readable(error) from None

    def canonical_json(self) -> str:
        """The one spelling of this plan."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)

    def digest(self) -> str:
        """SHA-256 of the canonical spelling, hex."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()


def _readable(error: ValidationError) -> InputError:
    first = error.errors(include_url=False)[0]
    shown = first.get("input") if first["loc"] else None
    return InputError(
        f"the plan cannot be used: {problems_of(error, whole='plan')[0]}",
        value=None if shown is None or isinstance(shown, dict | bytes) else str(shown)[:200],
        fix="Correct that field of the plan.",
    )
