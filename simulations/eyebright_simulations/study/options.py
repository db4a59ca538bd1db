"""What a study is asked to do, and which of it decides what a finished job means.

* A study can be widened: more arms, seeds, folds to run or teachers leave finished jobs as they are, so ``--resume``
  may ask for more. What would change a finished job (data, budget, weights of the terms …) may not differ.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from eyebright_common.errors import InputError
from eyebright_common.tasks import get_task
from eyebright_server.student_recipes import get_recipe
from eyebright_simulations.network.options import SYNTHETIC, SimulationOptions
from eyebright_simulations.study.arms import ARMS, CONTROL, WEIGHTS, needs_features

Kind = Literal["ablation", "teachers", "crossval", "sites"]
Precision = Literal["fp32", "bf16"]
Device = Literal["cpu", "cuda"]
MOST_FEATURE_VIEWS = 4
_WIDENED = ("arms", "seeds", "max_folds", "teachers", "replicates")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOptions:
    """One study.

    Attributes:
        kind: ``ablation`` (arms against the control), ``teachers`` (teachers against the control), ``crossval``
            (``crossval_options``) or ``sites`` (``sites_options``).
        data: ``synthetic``, or the path of a manifest or of a folder per class.
        task: Task family, ``fundus`` or ``oct``.
        recipe: Name of the published recipe whose budget is used.
        folds: Into how many folds the patients are divided.
        max_folds: How many of them are run; None runs all.
        seeds: Students per arm and fold.
        student: Student architecture; None takes the recipe's.
        init: Weights the student starts from; None is random.
        teachers: Teacher architectures; an ablation has one.
        teacher_weights: Weights a teacher starts from; None is random.
        image_size: Side of the model input, pixels.
        epochs: Passes of a student over its training part.
        teacher_epochs: Passes of a teacher; None is as many as a student's.
        learning_rate: Peak rate of a student; None depends on ``init``.
        teacher_learning_rate: Peak rate of a teacher; None depends on ``teacher_weights``.
        batch_size: Pictures per step.
        views: Most views per picture.
        feature_views: Views for which the cache keeps features.
        arms: Arms to run, the control first.
        weights: Weight of each term where an arm has it.
        precision: ``fp32`` or ``bf16``.
        device: ``cpu`` or ``cuda``.
        replicates: Resamples behind an interval.
        seed: Of folds, weights and order; student number i has ``seed + i``.
    """

    kind: Kind
    data: str = SYNTHETIC
    task: str = "fundus"
    recipe: str = "fundus-vit"
    folds: int = 5
    max_folds: int | None = None
    seeds: int = 1
    student: str | None = None
    init: str | None = None
    teachers: tuple[str, ...] = ()
    teacher_weights: str | None = None
    image_size: int = 96
    epochs: int = 12
    teacher_epochs: int | None = None
    learning_rate: float | None = None
    teacher_learning_rate: float | None = None
    batch_size: int = 32
    views: int = 18
    feature_views: int = MOST_FEATURE_VIEWS
    arms: tuple[str, ...] = tuple(ARMS)
    weights: dict[str, float] = field(default_factory=lambda: dict(WEIGHTS))
    precision: Precision = "fp32"
    device: Device = "cpu"
    replicates: int = 1000
    seed: int = 7

    @property
    def architecture(self) -> str:
        """The student's architecture."""
        return self.student or get_recipe(self.recipe).student

    @property
    def candidates(self) -> tuple[str, ...]:
        """The teachers; without a name, the task's default one."""
        return self.teachers or (get_task(self.task).teacher,)

    @property
    def folds_to_run(self) -> range:
        """The folds that are run."""
        return range(self.folds if self.max_folds is None else min(self.folds, self.max_folds))

    @property
    def cached_views(self) -> int:
        """Views per picture that students see and the cache holds."""
        return min(self.views, self.epochs)

    @property
    def cached_feature_views(self) -> int:
        """Views per picture with features in the cache; 0 when no arm looks at them."""
        wanted = any(needs_features(arm) for arm in self.arms)
        return min(self.feature_views, self.cached_views) if wanted else 0

    @property
    def shared(self) -> SimulationOptions:
        """The part that a simulation is asked, too: what the worker processes and the folder's lock go by."""
        return SimulationOptions(
            data=self.data, task=self.task, student=self.architecture, image_size=self.image_size, seed=self.seed
        )

    def identity(self) -> dict[str, object]:
        """Return everything that decides what a finished job means."""
        facts = {name: value for name, value in asdict(self).items() if name not in _WIDENED}
        digests = {name: _file_digest(getattr(self, name)) for name in ("init", "teacher_weights")}
        # Where there is one teacher it is no addition: all students learned from it.
        return facts | digests | ({} if self.kind == "teachers" else {"teachers": list(self.candidates)})

    def check(self) -> None:
        """Refuse what cannot work before anything is computed.

        Raises:
            InputError: naming the option, its value and what it may be.
        """
        self.shared.check()
        get_recipe(self.recipe)
        _check_counts(self)
        _check_rates(self)
        for flag, path in (("--init", self.init), ("--teacher-weights", self.teacher_weights)):
            if path is not None and not Path(path).is_file():
                raise InputError(f"{flag} does not exist", value=path, fix="Check the path.")
        assert self.kind == "teachers" or len(self.candidates) == 1, "only a comparison of teachers has several"
        if len(set(self.candidates)) < len(self.candidates):
            raise InputError("a teacher is named twice", value=", ".join(self.candidates))
        if self.kind == "ablation" and set(self.arms) <= {CONTROL}:
            raise InputError("an ablation needs an arm beside the control", fix=f"Choose of: {', '.join(ARMS)}.")


def _check_counts(options: StudyOptions) -> None:
    least = {"folds": 2, "seeds": 1, "epochs": 1, "batch_size": 2, "views": 1, "replicates": 100}
    asked = {name: getattr(options, name) for name in least}
    for name in ("max_folds", "teacher_epochs"):
        if getattr(options, name) is not None:
            asked[name] = getattr(options, name)
    for name, value in asked.items():
        if value < least.get(name, 1):
            raise InputError(f"--{name.replace('_', '-')} must be at least {least.get(name, 1)}", value=value)
    if not 0 <= options.feature_views <= MOST_FEATURE_VIEWS:
        raise InputError("--feature-views is out of range", value=options.feature_views, fix="Use 0 to 4.")


def _check_rates(options: StudyOptions) -> None:
    for name in ("learning_rate", "teacher_learning_rate"):
        value = getattr(options, name)
        if value is not None and not (math.isfinite(value) and value > 0.0):
            raise InputError(f"--{name.replace('_', '-')} must be above 0", value=value)


def _file_digest(path: str | None) -> str | None:
    if path is None:
        return None
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
