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
    recipe: Recipe,
    student: Tensor,
    labels: Tensor,
    *,
    class_weights: Tensor | None = None,
    log_prior: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return the term on labels ``[B]``: ``focal`` or ``ce`` of student logits ``[B, C]``; nothing without weight.

    ``log_prior`` ``[C]`` is added to the logits under this term alone (logit adjustment, Menon et al., ICLR 2021, arXiv
    2007.07314; with each hospital's own shares, Zhang et al., ICML 2022, arXiv 2209.00189). What the logits then learn
    is how the classes look, and not how often this hospital meets them.
    """
    if not recipe.ce:
        return {}
    adjusted = student if log_prior is None else student.float() + log_prior
    if recipe.focal:
        return {"focal": focal(adjusted, labels, gamma=recipe.focal, class_weights=class_weights)}
    return {"ce": cross_entropy(adjusted, labels, smoothing=recipe.label_smoothing, class_weights=class_weights)}


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
