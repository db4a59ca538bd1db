"""What a stretch of training is asked to do: is it possible, and with which losses.

* ``check_stretch`` refuses pictures, recipe and cache that do not fit together, before the first step.
* ``build_distiller`` makes the recipe's losses for this network and this cache. Only a student has the stride-16 tap
  that terms on features look at; a teacher learns from labels alone.
"""

from __future__ import annotations

import torch
from torch import nn

from eyebright_common.errors import InputError
from eyebright_learning.data import PreparedImages
from eyebright_learning.distillation import Distiller, Recipe
from eyebright_learning.models import Student
from eyebright_learning.teacher_cache import TeacherCache
from eyebright_learning.training.batches import class_weights, log_prior
from eyebright_learning.training.config import Training

_SMALLEST_PICTURE = 32


def check_stretch(
    images: PreparedImages, *, classes: int, recipe: Recipe, cache: TeacherCache | None, config: Training
) -> None:
    """Refuse what cannot be trained.

    Raises:
        InputError: there are fewer than two pictures, a label is outside the classes, the recipe lacks its teacher or
            the teacher's features, or the cache is of other pictures or views.
    """
    if len(images) < 2:
        raise InputError(
            "training needs at least two pictures", value=len(images), fix="Look at what was left out of the split."
        )
    if images.labels.min() < 0 or images.labels.max() >= classes:
        raise InputError("a label is outside the classes", value=int(images.labels.max()), fix=f"0 to {classes - 1}.")
    recipe.check(has_teacher=cache is not None)
    if cache is None or not recipe.needs_teacher:
        return
    recipe.check(has_teacher=True, has_features=not recipe.needs_features or cache.feature_shape is not None)
    key = cache.header.key
    if key.images_sha256 != images.digest() or key.modality != config.modality:
        raise InputError("the teacher cache is of other pictures", fix="Open the cache with these pictures.")
    if key.augmentation != config.view_family:
        raise InputError(
            "the teacher cache is of other views",
            value=f"{key.augmentation}, not {config.view_family}",
            fix="Build the cache with the view_family of the training.",
        )
    if cache.header.classes != classes:
        raise InputError("the teacher has another number of classes", value=cache.header.classes)


def build_distiller(
    recipe: Recipe,
    network: nn.Module,
    images: PreparedImages,
    *,
    classes: int,
    config: Training,
    cache: TeacherCache | None,
) -> Distiller:
    """Return the losses of ``recipe`` for this network, on its device.

    Raises:
        InputError: the recipe looks at features and the network is not a student.
    """
    weights = torch.from_numpy(class_weights(images.labels, classes)) if config.balance == "loss" else None
    prior = torch.from_numpy(log_prior(images.labels, classes)) if config.balance == "prior" else None
    device = next(network.parameters()).device
    if not recipe.needs_features or cache is None:
        return Distiller(recipe, class_weights=weights, log_prior=prior).to(device)
    if not isinstance(network, Student):
        raise InputError(
            "recipe: terms on features need a student's stride-16 map",
            value=type(network).__name__,
            fix="Train a student, or set pca, gl and adversarial to 0.",
        )
    return Distiller(
        recipe,
        tap_channels=_tap_channels(network),
        feature_shape=cache.feature_shape,
        class_weights=weights,
        log_prior=prior,
    ).to(device)


def _tap_channels(student: Student) -> int:
    """Return the channels of the tap, from one black picture; statistics and mode stay as they are."""
    device, was_training = next(student.parameters()).device, student.training
    student.eval()
    try:
        with torch.no_grad():
            picture = torch.zeros(1, 3, _SMALLEST_PICTURE, _SMALLEST_PICTURE, device=device)
            return student.forward_all(picture).tap.shape[1]
    finally:
        student.train(was_training)
