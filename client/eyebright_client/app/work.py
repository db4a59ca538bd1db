"""What a hospital computes in a round, without Flower.

* Training: the teacher's targets come from the site's cache. The teacher is loaded only to make that cache and is out
  of memory before the first step.
* The learning-rate schedule runs over the whole plan: round ``r`` trains epochs ``(r-1)·E … r·E`` of ``R·E``. The
  optimiser starts afresh each round; its state would otherwise have to stay somewhere or travel.
* What comes back are float arrays of the student (BatchNorm running statistics among them, step counters not), counts
  and mean losses.
* Evaluation: the global student on the hospital's validation images, as integer counts.
* With ``batch_norm: local`` the hospital puts its own batch normalisation into every student it is sent; what it sends
  back holds the trained one, which it keeps. With ``re-estimate`` it also measures means and variances under the
  averaged student, on its training images as they are.
* A shortened update leaves its rounding errors here, to be added to the next one.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.optim.swa_utils import update_bn

from eyebright_client.app.comparison import balanced, compared, write_down
from eyebright_client.app.kept_arrays import OWN_NORMALISATION, OWN_STUDENT, ROUNDING, KeptArrays
from eyebright_client.app.site import Site
from eyebright_common.errors import InputError
from eyebright_common.exchange import BeatsOwn, batch_norm_names, is_counter, is_running_statistic
from eyebright_common.plan import Plan
from eyebright_common.shortened import shortened
from eyebright_common.tasks import get_task
from eyebright_learning.data import PreparedImages
from eyebright_learning.distillation import Recipe
from eyebright_learning.evaluation import EvaluationCounts, predict, softmax
from eyebright_learning.models import Student, build_student, read_teacher
from eyebright_learning.teacher_cache import TeacherCache
from eyebright_learning.teacher_cache.layout import MAX_FEATURE_VIEWS
from eyebright_learning.training import StudentTraining, train_student
from eyebright_learning.training.determinism import own_randomness
from eyebright_learning.views import plain

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
        arrays: Arrays of the student as they travel, by name.
        examples: Training images, the weight in the average.
        steps: Optimiser steps taken.
        losses: Mean of each loss term over the round.
    """

    arrays: dict[str, np.ndarray]
    examples: int
    steps: int
    losses: dict[str, float]


CPU = torch.device("cpu")


def load_student(plan: Plan, arrays: dict[str, np.ndarray], device: torch.device = CPU) -> Student:
    """Return the plan's student with the given weights, on ``device``; step counters start at zero.

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
    return student.to(device)


def student_arrays(student: Student) -> dict[str, np.ndarray]:
    """Return the arrays of ``student`` that travel, by name."""
    state = student.state_dict()
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in state.items() if not is_counter(name)}


def train_round(
    site: Site,
    plan: Plan,
    arrays: dict[str, np.ndarray],
    *,
    round_number: int,
    threads: int,
    device: torch.device = CPU,
) -> TrainedStudent:
    """Train the global student on the site's images for one round.

    Raises:
        InputError: the site's data, teacher or the weights do not fit the plan.
    """
    images = site.images("train", plan)
    with _reproducible(plan.seed, threads):
        cache = _teacher_targets(site, plan, images)
    kept = KeptArrays(folder=site.folder, plan=plan)
    begun = {**arrays, **_own_normalisation(kept, arrays, round_number - 1)}
    student, result = _trained(plan, begun, images, cache, round_number=round_number, threads=threads, device=device)
    trained = student_arrays(student)
    if plan.batch_norm == "local":
        own = {name: trained[name] for name in batch_norm_names(trained)}
        kept.keep(OWN_NORMALISATION, round_number, own)
    if plan.compare_own:
        _train_own(kept, plan, arrays, images, cache, round_number=round_number, threads=threads, device=device)
    return TrainedStudent(
        arrays=_shortened(kept, plan, trained, arrays, round_number),
        examples=len(images),
        steps=int(result.steps),
        losses={name: float(value) for name, value in result.losses.items()},
    )


def measure_statistics(
    site: Site, plan: Plan, arrays: dict[str, np.ndarray], *, threads: int, device: torch.device = CPU
) -> tuple[dict[str, np.ndarray], int]:
    """Return the batch statistics of a student on the site's training images as they are, and how many images.

    Raises:
        InputError: the site's data or the weights do not fit the plan.
    """
    images = site.images("train", plan)
    student = load_student(plan, arrays, device)
    student.train()
    with _reproducible(plan.seed, threads):
        update_bn(_batches(images, plan.batch_size), student, device=device)
    measured = student_arrays(student)
    return {name: array for name, array in measured.items() if is_running_statistic(name)}, len(images)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedStudent:
    """What a hospital finds out about the global student.

    Attributes:
        counts: Integer counts, flattened to lists.
        beats_own: Whether it is better than the hospital's own; None where the plan does not ask.
    """

    counts: dict[str, list[int]]
    beats_own: BeatsOwn | None


def evaluate_global(
    site: Site,
    plan: Plan,
    arrays: dict[str, np.ndarray],
    *,
    round_number: int,
    threads: int,
    device: torch.device = CPU,
) -> EvaluatedStudent:
    """Evaluate the global student on the site's validation images.

    Raises:
        InputError: the site's data or the weights do not fit the plan.
    """
    images = site.images("validation", plan)
    kept = KeptArrays(folder=site.folder, plan=plan)
    student = load_student(plan, {**arrays, **_own_normalisation(kept, arrays, round_number)}, device)
    with _reproducible(plan.seed, threads):
        probabilities = softmax(predict(student, images.pixels))
        verdict = _compared(site, plan, kept, images, probabilities, round_number) if plan.compare_own else None
    counts = EvaluationCounts.of(probabilities, images.labels, task=get_task(plan.task))
    return EvaluatedStudent(counts=counts.to_dict(), beats_own=verdict)


def _trained(
    plan: Plan,
    arrays: dict[str, np.ndarray],
    images: PreparedImages,
    cache: TeacherCache | None,
    *,
    round_number: int,
    threads: int,
    device: torch.device,
) -> tuple[Student, Any]:
    student = load_student(plan, arrays, device)
    config = StudentTraining(
        epochs=plan.local_epochs,
        **{knob: getattr(plan, knob) for knob in _KNOBS},
        frozen_statistics=plan.batch_norm == "frozen",
        modality=get_task(plan.task).modality,
        threads=threads,
        first_epoch=(round_number - 1) * plan.local_epochs,
        total_epochs=plan.rounds * plan.local_epochs,
    )
    with _reproducible(plan.seed, threads):
        result = train_student(student, images, cache=cache, recipe=Recipe(**plan.recipe.model_dump()), config=config)
    return student, result


def _own_normalisation(kept: KeptArrays, arrays: dict[str, np.ndarray], round_number: int) -> dict[str, np.ndarray]:
    """Return the hospital's own batch normalisation after ``round_number``; nothing where the plan shares it."""
    if kept.plan.batch_norm != "local":
        return {}
    own = kept.after(OWN_NORMALISATION, round_number)
    return {name: own[name] for name in batch_norm_names(arrays) if name in own}


def _train_own(
    kept: KeptArrays,
    plan: Plan,
    sent: dict[str, np.ndarray],
    images: PreparedImages,
    cache: TeacherCache | None,
    *,
    round_number: int,
    threads: int,
    device: torch.device,
) -> None:
    """Train the hospital's own student for one round; who joined later has none to compare."""
    before = dict(sent) if round_number == 1 else kept.before(OWN_STUDENT, round_number)
    if before:
        student, _ = _trained(plan, before, images, cache, round_number=round_number, threads=threads, device=device)
        kept.keep(OWN_STUDENT, round_number, student_arrays(student))


def _compared(
    site: Site,
    plan: Plan,
    kept: KeptArrays,
    images: PreparedImages,
    probabilities: npt.NDArray[np.float64],
    round_number: int,
) -> BeatsOwn:
    own = kept.after(OWN_STUDENT, round_number)
    if not own:
        return BeatsOwn.UNKNOWN
    labels = np.asarray(images.labels, dtype=np.int64)
    answers = [p.argmax(axis=1) for p in (probabilities, predict(load_student(plan, own), images.pixels))]
    verdict = compared(answers[0], answers[1], labels)
    write_down(
        site.folder,
        plan=plan.digest(),
        round_number=round_number,
        verdict=verdict,
        federated=balanced(answers[0], labels),
        own=balanced(answers[1], labels),
        pictures=len(labels),
    )
    return verdict


def _shortened(
    kept: KeptArrays, plan: Plan, trained: dict[str, np.ndarray], sent: dict[str, np.ndarray], round_number: int
) -> dict[str, np.ndarray]:
    if plan.compression == "none":
        return trained
    travelling, error = shortened(trained, sent, kept.before(ROUNDING, round_number), plan.compression)
    kept.keep(ROUNDING, round_number, error)
    return travelling


def _batches(images: PreparedImages, size: int) -> Iterator[torch.Tensor]:
    """Yield the pictures as they are; a single last one joins the batch before it, because it has no variance."""
    last = len(images) - 1 if len(images) > 1 and len(images) % size == 1 else len(images)
    for start in range(0, last, size):
        end = len(images) if start + size >= last else start + size
        yield plain(images.pixels[start:end])


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
