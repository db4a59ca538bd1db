"""Group-wise linear: each neighbourhood of the student's map learns its teacher tokens (ACCV 2022, arXiv 2207.05273).

    h'_S = GL(h_S): one fully connected layer per spatial neighbourhood, after dropout         [B, n, w]
    L_2  = mean (h_T - h'_S)^2                                    h_T: layer-normalised tokens, as cached

* Four by four neighbourhoods cover the grid: 3 or 4 tokens a side on 14 x 14, one or two on 7 x 7. A grid smaller than
  that has one layer per token. Layers are shared within a neighbourhood, not between them and not over channels.
* The tokens were layer-normalised (no affine) before the cache reduced them to w directions; normalising them again
  would make every token equally long in directions that are not.
* The layers lie in one tensor and are looked up per token, so a step is one batched product instead of sixteen.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_GROUPS_PER_SIDE = 4
_DROPOUT = 0.1


class GroupLinear(nn.Module):
    """The projector from a student's map ``[B, c, g, g]`` to the teacher's tokens ``[B, g g, w]``.

    Attributes:
        group: Which layer token number ``i g + j`` goes through, int64 ``[g g]``.
        weight: ``[groups, c, w]``.
        bias: ``[groups, w]``.
    """

    group: Tensor

    def __init__(self, channels: int, width: int, side: int) -> None:
        super().__init__()
        self.register_buffer("group", groups(side))
        count = int(self.group.max()) + 1
        self.weight = nn.Parameter(torch.empty(count, channels, width).uniform_(-1.0, 1.0) / math.sqrt(channels))
        self.bias = nn.Parameter(torch.zeros(count, width))

    @torch.no_grad()
    def start_from(self, tokens: Tensor) -> None:
        """Let every neighbourhood start at the mean of its teacher tokens ``[B, n, w]``."""
        members = F.one_hot(self.group).to(tokens.dtype)
        self.bias.copy_(members.mT @ tokens.mean(dim=0) / members.sum(dim=0)[:, None])

    def forward(self, grid: Tensor) -> Tensor:
        """Return h'_S, ``[B, n, w]``."""
        dropped = F.dropout(grid, _DROPOUT, self.training)
        tokens = dropped.flatten(2).permute(2, 0, 1)
        projected = torch.baddbmm(self.bias[self.group, None], tokens, self.weight[self.group])
        return projected.transpose(0, 1)


def groups(side: int) -> Tensor:
    """Return the neighbourhood of each token of a ``side`` x ``side`` grid, row by row, int64 ``[side side]``."""
    per_side = min(_GROUPS_PER_SIDE, side)
    band = torch.arange(side) * per_side // side
    return (band[:, None] * per_side + band).flatten()


def group_linear(projected: Tensor, tokens: Tensor) -> Tensor:
    """Return L_2 of projected student tokens against teacher tokens, both ``[B, n, w]``; a scalar."""
    return F.mse_loss(projected, tokens.detach())
