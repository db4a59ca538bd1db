"""What a hospital computes in a round, without Flower.

* Training: the teacher's targets come from the site's cache. The teacher is loaded only to make that cache and is out
  of memory before the first step.
* The learning-rate schedule runs over the whole plan: round ``r`` trains epochs ``(r-1)·E … r·E`` of ``R·E``. The
  optimiser starts afresh each round; its state would otherwise have to stay somewhere or travel.
* What comes back are float arrays of the student (BatchNorm running statistics among them, step counters not), counts
  and mean losses.
* Evaluation: the global student on the hospital's validation images, as integer counts.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from eyebright_client.app.site import Site
from eyebright_common.errors import InputError
from eyebright_common.exchange import is_counter
from eyebright_common.plan import Plan
from eyebright_common.tasks import get_task
from eyebright_learning.data import PreparedImages
from eyebright_learning.distillation import Recipe
from eyebright_learning.evaluation import EvaluationCounts, predict, softmax
from eyebright_learning.models import Student, build_student, read_teacher
from eyebright_learning.teacher_cache import TeacherCache
from eyebright_learning.teacher_cache.layout import MAX_FEATURE_VIEWS
from eyebright_learning.training import StudentTraining, train_student
from eyebright_learning.training.determinism import own_randomness

# What plan and training configuration call by the same name.
_KNOBS = (
    "batch_size",
    "learning_rate",
    "weight_decay",
    "optimiser",
    "warmup",
    "clip_norm",
    "balance",
    "proximal_mu",
    "views",
    "view_family",
    "precision",
    "seed",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedStudent:
    """A hospital's contribution to one round.

    Attributes:
        arrays: Float arrays of the student by name.
        examples: Training images, the weight in the average.
        steps: Optimiser steps taken.
        losses: Mean of each loss term over the round.
    """

    arrays: dict[str, np.ndarray]
    examples: int
    steps: int
    losses: dict[str, float]


def load_student(plan: Plan, arrays: dict[str, np.ndarray]) -> Student:
    """Return the plan's student with the given weights; step counters start at zero.

    Raises:
        InputError: the arrays are not those of this student.
    """
    student = build_student(plan.student, classes=len(plan.classes), seed=plan.seed)
    state = student.state_dict()
    travelling = {name for name in state if not is_counter(name)}
    wrong = sorted(travelling ^ arrays.keys()) + [
        name for name in travelling & arrays.keys() if tuple(state[name].shape) != arrays[name].shape
    ]
    if wrong:
        raise InputError("the weights sent are not those of the plan's student", value=wrong[0])
    student.load_state_dict({**state, **{name: torch.from_numpy(array.copy()) for name, array in arrays.items()}})
    return student


def student_arrays(student: Student) -> dict[str, np.ndarray]:
    """Return the arrays of ``student`` that travel, by name."""
    state = student.state_dict()
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in state.items() if not is_counter(name)}


def train_round(
    site: Site, plan: Plan, arrays: dict[str, np.ndarray], *, round_number: int, threads: int
) -> TrainedStudent:
    """Train the global student on the site's images for one round.

    Raises:
        InputError: the site's data, teacher or the weights do not fit the plan.
    """
    images = site.images("train", plan)
    with _reproducible(plan.seed, threads):
        cache = _teacher_targets(site, plan, images)
    student = load_student(plan, arrays)
    config = StudentTraining(
        epochs=plan.local_epochs,
        **{knob: getattr(plan, knob) for knob in _KNOBS},
        modality=get_task(plan.task).modality,
        threads=threads,
        first_epoch=(round_number - 1) * plan.local_epochs,
        total_epochs=plan.rounds * plan.local_epochs,
    )
    recipe = Recipe(**plan.recipe.model_dump())
    with _reproducible(plan.seed, threads):
        result = train_student(student, images, cache=cache, recipe=recipe, config=config)
    return TrainedStudent(
        arrays=student_arrays(student),
        examples=len(images),
        steps=int(result.steps),
        losses={name: float(value) for name, value in result.losses.items()},
    )


def evaluate_global(site: Site, plan: Plan, arrays: dict[str, np.ndarray], *, threads: int) -> dict[str, list[int]]:
    """Return the counts of the global student on the site's validation images, flattened to integer lists.

    Raises:
        InputError: the site's data or the weights do not fit the plan.
    """
    images = site.images("validation", plan)
    student = load_student(plan, arrays)
    with _reproducible(plan.seed, threads):
        probabilities = softmax(predict(student, images.pixels))
    counts = EvaluationCounts.of(probabilities, images.labels, task=get_task(plan.task))
    return counts.to_dict()


@contextmanager
def _reproducible(seed: int, threads: int) -> Iterator[None]:
    """Run a block the same way in any process: own seed, own number of threads, deterministic kernels."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        with own_randomness(seed, threads):
            yield
    finally:
        torch.use_deterministic_algorithms(before)


def _teacher_targets(site: Site, plan: Plan, images: PreparedImages) -> TeacherCache | None:
    if not plan.recipe.needs_teacher:
        return None
    path, modality = site.cache_file(plan), get_task(plan.task).modality
    digest = str(plan.teacher_sha256)
    feature_views = _feature_views(plan)
    known = TeacherCache.open(
        path,
        teacher_sha256=digest,
        images=images,
        views=plan.views,
        modality=modality,
        feature_views=feature_views,
        family=plan.view_family,
    )
    if known is not None:
        return known
    teacher = read_teacher(site.teacher_file(plan))
    found = (teacher.identity.architecture, teacher.identity.classes)
    if found != (plan.teacher_arch, len(plan.classes)):
        raise InputError("the teacher is not what the plan says it is", value=found, fix="Ask the server's operator.")
    path.parent.mkdir(exist_ok=True)
    cache = TeacherCache.open_or_build(
        path,
        teacher=teacher,
        images=images,
        views=plan.views,
        modality=modality,
        feature_views=feature_views,
        family=plan.view_family,
    )
    del teacher
    gc.collect()
    return cache


def _feature_views(plan: Plan) -> int:
    """Return in how many views the teacher's features are kept; the other views teach by their logits."""
    return min(plan.views, MAX_FEATURE_VIEWS) if plan.recipe.needs_features else 0
