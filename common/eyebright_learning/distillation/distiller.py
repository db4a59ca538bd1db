"""The distiller: a recipe at work on batches.

* It owns what must not travel (projectors, discriminator and its optimiser, first-batch values) and is made afresh for
  every stretch of training. The student never holds it, so an exported or shared student has no trace of it.
* ``projector_parameters`` go to the student's optimiser.
* Terms on features are divided by their value on the first batch that had features, a constant from then on. The parts
  it reports are as the equations give them, before division and weight.
* A batch whose view has no cached features learns from logits alone.
"""

from __future__ import annotations

from torch import Tensor, nn

from eyebright_learning.distillation.feature_terms import FeatureTerms
from eyebright_learning.distillation.logit_terms import label_terms, teacher_terms
from eyebright_learning.distillation.recipe import Recipe
from eyebright_learning.models.features import FeatureTargets

_LEAST_FIRST = 1e-6


class Distiller(nn.Module):
    """The losses of one stretch of training."""

    class_weights: Tensor | None
    log_prior: Tensor | None

    def __init__(
        self,
        recipe: Recipe,
        *,
        tap_channels: int | None = None,
        feature_shape: tuple[int, int] | None = None,
        class_weights: Tensor | None = None,
        log_prior: Tensor | None = None,
    ) -> None:
        """Make fresh projectors where the recipe needs them; their start is drawn from torch's generator.

        Args:
            recipe: The losses.
            tap_channels: Channels of the student's tap; needed for features.
            feature_shape: Tokens and width ``(n, w)`` of the teacher's cached features; needed for features.
            class_weights: float32 ``[C]`` for the term on labels.
            log_prior: float32 ``[C]``, added to the logits under the term on labels.

        Raises:
            InputError: the recipe looks at features and the teacher has none.
        """
        super().__init__()
        self.recipe = recipe
        self.register_buffer("class_weights", class_weights)
        self.register_buffer("log_prior", log_prior)
        self.features: FeatureTerms | None = None
        self._first: dict[str, float] = {}
        recipe.check(has_teacher=True, has_features=feature_shape is not None)
        if recipe.needs_features and feature_shape is not None:
            assert tap_channels is not None, "terms on features need a student with a tap"
            tokens, width = feature_shape
            self.features = FeatureTerms(recipe, channels=tap_channels, tokens=tokens, width=width)

    def projector_parameters(self) -> list[nn.Parameter]:
        """Return what the student's optimiser trains along; empty without terms on features."""
        return [] if self.features is None else self.features.projector_parameters()

    def loss(
        self,
        logits: Tensor,
        labels: Tensor,
        *,
        targets: Tensor | None = None,
        tap: Tensor | None = None,
        features: FeatureTargets | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum and its unweighted parts; the discriminator, where there is one, takes a step.

        Args:
            logits: Of the student, ``[B, C]``.
            labels: int64 ``[B]``.
            targets: Calibrated teacher logits ``[B, C]``, or None when no term needs them.
            tap: The student's stride-16 map ``[B, c, h, w]``; goes with ``features``.
            features: Of the teacher, or None when this view has none.

        Returns:
            The total, and the detached parts by name: those of ``Recipe.terms``, and ``discriminator``.

        Raises:
            InputError: a distillation weight is set and there is no teacher.
        """
        self.recipe.check(has_teacher=targets is not None)
        parts = label_terms(self.recipe, logits, labels, class_weights=self.class_weights, log_prior=self.log_prior)
        if targets is not None:
            parts |= teacher_terms(self.recipe, logits, targets, labels)
        seen: dict[str, Tensor] = {}
        if self.features is not None and tap is not None and features is not None:
            seen = self.features(tap, features)
        relative = {
            name: seen[name] / self._first_value(name, seen[name]) for name in seen if name in self.recipe.terms
        }
        total = self._weighted_sum(parts | relative)
        return total, {name: value.detach() for name, value in (parts | seen).items()}

    def _weighted_sum(self, values: dict[str, Tensor]) -> Tensor:
        weighted = [weight * values[name] for name, weight in self.recipe.terms.items() if name in values]
        total = weighted[0]
        for term in weighted[1:]:
            total = total + term
        return total

    def _first_value(self, name: str, value: Tensor) -> float:
        return self._first.setdefault(name, max(float(value.detach()), _LEAST_FIRST))
