"""Pixel normalisation inside the network, so that no caller and no screening unit can get it wrong.

``y = (x / 255 - mean) / std`` per channel, written as one multiply and one add. The two constants are not part of the
state: they belong to the architecture, never travel in a round and are never averaged.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Normalise(nn.Module):
    """Map ``[B, 3, H, W]`` in 0–255 to zero mean and unit deviation of the pre-training pictures."""

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> None:
        super().__init__()
        scale = 1.0 / (255.0 * torch.tensor(std, dtype=torch.float64))
        shift = -torch.tensor(mean, dtype=torch.float64) / torch.tensor(std, dtype=torch.float64)
        self.register_buffer("scale", scale.float().view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", shift.float().view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised batch, same shape."""
        return x * self.scale + self.shift
