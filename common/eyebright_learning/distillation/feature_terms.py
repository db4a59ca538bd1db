"""The terms on features of a recipe: projectors and discriminator, and what they say about a batch.

* The student's map is brought onto the tokens' grid once; both projectors read it there.
* The adversarial pair judges the tokens that the group-wise linear projector made.
* Projectors start at the teacher's means of the first batch. Teacher features lie far from zero in a few directions,
  the same for every picture; without this the student would spend a stretch on learning a constant.
* Projectors are trained by the student's optimiser; the discriminator by its own.
"""

from __future__ import annotations

from torch import Tensor, nn

from eyebright_learning.distillation.adversarial import Adversary
from eyebright_learning.distillation.group_linear import GroupLinear, group_linear
from eyebright_learning.distillation.partially_cross_attention import PartiallyCrossAttention
from eyebright_learning.distillation.recipe import Recipe
from eyebright_learning.distillation.token_grid import grid_side, on_grid
from eyebright_learning.models.features import FeatureTargets


class FeatureTerms(nn.Module):
    """Everything a recipe needs beside the student to learn from features."""

    def __init__(self, recipe: Recipe, *, channels: int, tokens: int, width: int) -> None:
        super().__init__()
        self.side = grid_side(tokens)
        self.attention = PartiallyCrossAttention(channels, width) if recipe.pca else None
        self.linear = GroupLinear(channels, width, self.side) if recipe.gl else None
        self.adversary = Adversary(width) if recipe.adversarial else None
        self._started = False

    def projector_parameters(self) -> list[nn.Parameter]:
        """Return what the student's optimiser trains along."""
        projectors = [projector for projector in (self.attention, self.linear) if projector is not None]
        return [parameter for projector in projectors for parameter in projector.parameters()]

    def forward(self, tap: Tensor, targets: FeatureTargets) -> dict[str, Tensor]:
        """Return ``pca``, ``gl``, ``adversarial`` and ``discriminator`` of a tap ``[B, c, h, w]``, where weighted.

        The discriminator takes its own step here; its loss is detached and has no weight.
        """
        self._start_from(targets)
        grid = on_grid(tap.float(), self.side)
        parts: dict[str, Tensor] = {}
        if self.attention is not None:
            parts["pca"] = self.attention(grid, targets)
        if self.linear is not None:
            projected = self.linear(grid)
            parts["gl"] = group_linear(projected, targets.tokens)
            if self.adversary is not None:
                parts["discriminator"] = self.adversary.learn(projected, targets.tokens)
                parts["adversarial"] = self.adversary.fool(projected)
        return parts

    def _start_from(self, targets: FeatureTargets) -> None:
        if self._started:
            return
        self._started = True
        if self.attention is not None:
            self.attention.start_from(targets)
        if self.linear is not None:
            self.linear.start_from(targets.tokens)
