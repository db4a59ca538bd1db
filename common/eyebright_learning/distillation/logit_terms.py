"""The terms on logits of a recipe, each before its weight."""

from __future__ import annotations

from torch import Tensor

from eyebright_learning.distillation.cross_entropy import cross_entropy
from eyebright_learning.distillation.dist import dist
from eyebright_learning.distillation.dkd import dkd
from eyebright_learning.distillation.focal import focal
from eyebright_learning.distillation.kd import kd
from eyebright_learning.distillation.recipe import Recipe


def label_terms(
    recipe: Recipe, student: Tensor, labels: Tensor, *, class_weights: Tensor | None = None
) -> dict[str, Tensor]:
    """Return the term on labels ``[B]``: ``focal`` or ``ce`` of student logits ``[B, C]``; nothing without weight."""
    if not recipe.ce:
        return {}
    if recipe.focal:
        return {"focal": focal(student, labels, gamma=recipe.focal, class_weights=class_weights)}
    return {"ce": cross_entropy(student, labels, smoothing=recipe.label_smoothing, class_weights=class_weights)}


def teacher_terms(recipe: Recipe, student: Tensor, teacher: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return ``kd``, ``dist`` and ``dkd`` of student against calibrated teacher logits ``[B, C]``, where weighted."""
    parts: dict[str, Tensor] = {}
    if recipe.kd:
        parts["kd"] = kd(student, teacher, temperature=recipe.temperature)
    if recipe.dist:
        parts["dist"] = dist(student, teacher, temperature=recipe.temperature)
    if recipe.dkd:
        parts["dkd"] = dkd(
            student, teacher, labels, temperature=recipe.temperature, alpha=recipe.dkd_alpha, beta=recipe.dkd_beta
        )
    return parts
