"""Partially cross-attention: the student's map learns to attend like its teacher (ACCV 2022, arXiv 2207.05273).

    Q_S, K_S, V_S = three 3 x 3 convolutions of h_S                                            [B, n, w] each
    g(x_S) = x_T where p >= 0.5, else x_S                              p ~ U(0, 1) for every element
    Attn_T  = softmax(Q_T K_T^T s) V_T                                                         [B, n, w]
    PCAttn  = softmax(g(Q_S) g(K_S)^T s) g(V_S)                                                [B, n, w]
    L_1 = mean (Attn_T - PCAttn)^2 + mean (V_T V_T^T s - V_S V_S^T s)^2                        s = 1 / sqrt(D)

* h_S is the stride-16 tap on the grid of the teacher's tokens (``token_grid``); n tokens, w cached directions.
* Scores are softmaxed once, from Q and K. The class token is not among the targets, so nothing needs renormalising.
* Means, not sums over tokens: the weight of the term does not depend on the size of the picture.
* One convolution makes Q, K and V side by side; three would read the map three times.
* The projector stays in the hospital and is thrown away; the student keeps only what the gradient taught it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eyebright_learning.distillation.token_grid import in_rows
from eyebright_learning.models.features import FeatureTargets

_SWAP = 0.5


class PartiallyCrossAttention(nn.Module):
    """The projector from a student's map to the teacher's queries, keys and values, and its loss L_1."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.qkv = nn.Conv2d(channels, 3 * width, kernel_size=3, padding=1)

    @torch.no_grad()
    def start_from(self, targets: FeatureTargets) -> None:
        """Let the projections of a batch start at the teacher's means."""
        means = [part.mean(dim=(0, 1)) for part in (targets.query, targets.key, targets.value)]
        assert self.qkv.bias is not None
        self.qkv.bias.copy_(torch.cat(means))

    def project(self, grid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return Q_S, K_S and V_S, ``[B, n, w]`` each, of a map ``[B, c, g, g]`` with g g = n."""
        query, key, value = in_rows(self.qkv(grid)).chunk(3, dim=2)
        return query, key, value

    def forward(self, grid: Tensor, targets: FeatureTargets) -> Tensor:
        """Return L_1 of a map ``[B, c, g, g]``; a scalar. Draws the replacement from torch's generator."""
        student = self.project(grid)
        teacher = (targets.query.detach(), targets.key.detach(), targets.value.detach())
        mixed = [swapped(s, t) for s, t in zip(student, teacher, strict=True)]
        attention = F.mse_loss(attend(*mixed, scale=targets.scale), attend(*teacher, scale=targets.scale))
        return attention + F.mse_loss(relations(student[2], targets.scale), relations(teacher[2], targets.scale))


def swapped(student: Tensor, teacher: Tensor) -> Tensor:
    """Return ``student`` with about half of its elements replaced by the teacher's."""
    return torch.where(torch.rand_like(student) >= _SWAP, teacher, student)


def attend(query: Tensor, key: Tensor, value: Tensor, *, scale: float) -> Tensor:
    """Return ``softmax(Q K^T scale) V``, ``[B, n, w]``."""
    return torch.softmax(query @ key.mT * scale, dim=2) @ value


def relations(value: Tensor, scale: float) -> Tensor:
    """Return ``V V^T scale``, ``[B, n, n]``."""
    return value @ value.mT * scale
