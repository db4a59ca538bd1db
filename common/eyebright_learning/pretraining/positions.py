"""Fixed two-dimensional sine-cosine positions, for a grid of any size.

Half of the width D tells the row, the other half the column. With Q = D / 4 and frequencies f_k = 10000^(-k / Q):

    p(i, j) = [sin(i f_0) … sin(i f_(Q-1)), cos(i f_0) … cos(i f_(Q-1)), the same of j]

* A grid finer or coarser than the one an encoder was trained on covers the same picture: its patch centres are given in
  the trained grid's units, (i + 1/2) r / g - 1/2 for a reference of r patches. With r = g these are 0 … g - 1.
* There is no class token, so there is no slot for one: resampling that expects one shifts every position.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from eyebright_common.errors import InputError

_BASE = 10_000.0


@functools.lru_cache(maxsize=32)
def sine_cosine_positions(grid: int, width: int, *, reference: int | None = None) -> Tensor:
    """Return the positions of a grid of ``grid`` x ``grid`` patches, float32 ``[g², D]``, row by row.

    The tensor is shared between callers: read it, do not write it.

    Args:
        grid: Patches per side.
        width: D.
        reference: Patches per side of the grid in whose units places are told; the grid itself by default.

    Raises:
        InputError: the width is not a multiple of four.
    """
    if width % 4:
        raise InputError("positions need a width that is a multiple of 4", value=width)
    centres = (torch.arange(grid, dtype=torch.float64) + 0.5) * ((reference or grid) / grid) - 0.5
    quarter = width // 4
    angles = centres[:, None] * _BASE ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    along = torch.cat([angles.sin(), angles.cos()], dim=1)
    rows = along[:, None, :].expand(grid, grid, -1)
    columns = along[None, :, :].expand(grid, grid, -1)
    return torch.cat([rows, columns], dim=2).reshape(grid * grid, width).float()
