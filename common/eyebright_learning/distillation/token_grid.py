"""The student's map on the grid of the teacher's tokens.

* A map ``[B, c, h, w]`` is averaged to ``[B, c, g, g]``; cell (i, j) then covers what token ``i g + j`` covers.
* The mean is that of adaptive average pooling, written as two matrix products: the pooling itself has no deterministic
  backward pass on a GPU, and training is deterministic.
* Pooling comes before the projectors. It costs their convolutions nothing they would be compared on, a fourth of the
  arithmetic at 224 px, and a mean and a linear map commute but for the neighbourhood a 3 x 3 kernel sees.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def grid_side(tokens: int) -> int:
    """Return the side of the square grid that holds this many tokens."""
    side = math.isqrt(tokens)
    assert side * side == tokens, "the teacher's tokens lie on a square grid"
    return side


def on_grid(tap: Tensor, side: int) -> Tensor:
    """Return a map ``[B, c, h, w]`` averaged to ``[B, c, side, side]``."""
    if tap.shape[2:] == (side, side):
        return tap
    down, right = (_means(length, side).to(tap) for length in tap.shape[2:])
    return torch.einsum("hg,bchw,wk->bcgk", down, tap, right)


def in_rows(grid: Tensor) -> Tensor:
    """Return a map ``[B, c, g, g]`` as tokens ``[B, g g, c]``, row by row."""
    return grid.flatten(2).mT


def _means(length: int, side: int) -> Tensor:
    """Return ``[length, side]`` whose column g averages the g-th window."""
    return F.adaptive_avg_pool1d(torch.eye(length)[None], side)[0]
