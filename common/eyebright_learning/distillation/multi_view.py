"""Multi-view generation: the student sees a harder picture than the teacher did (ACCV 2022, arXiv 2207.05273).

    x~ = Trans(x) for a picture in p of the cases, else x;  the targets stay those of x

* ``Trans`` is brightness and saturation, a crop with rotation, and dark patches on the stride-16 grid.
* It works on the batch, wherever the batch is, after the view: no picture is decoded twice and the cached targets of
  the view stay valid.
* Black stays black, since all changes of colour are gains; grey stays grey, so that OCT pictures do not turn coloured.
* All draws are from torch's generator, which the training loop seeds.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_BRIGHTNESS = 0.2
_SATURATION = 0.4
_ROTATION_DEG = 15.0
_LEAST_CROP = 0.75
_PATCH_PIXELS = 16
_DARK_PATCHES = 0.1
_GREY = (0.299, 0.587, 0.114)


def multi_view(batch: Tensor, *, probability: float) -> Tensor:
    """Return a batch ``[B, 3, H, W]`` in 0–255 with each picture transformed with this probability."""
    chosen = torch.nonzero(torch.rand(len(batch), device=batch.device) < probability).flatten()
    if len(chosen) == 0:
        return batch
    return batch.clone().index_copy_(0, chosen, _masked(_moved(_coloured(batch[chosen]))))


def _signed(count: int, like: Tensor) -> Tensor:
    """Return numbers from U(-1, 1), ``[count]``."""
    return 2.0 * torch.rand(count, device=like.device) - 1.0


def _coloured(pictures: Tensor) -> Tensor:
    gain = (1.0 + _BRIGHTNESS * _signed(len(pictures), pictures)).view(-1, 1, 1, 1)
    keep = (1.0 + _SATURATION * _signed(len(pictures), pictures)).view(-1, 1, 1, 1)
    grey = torch.einsum("bchw,c->bhw", pictures, pictures.new_tensor(_GREY))[:, None]
    return (gain * (keep * pictures + (1.0 - keep) * grey)).clamp(0.0, 255.0)


def _moved(pictures: Tensor) -> Tensor:
    """Return a rotated crop of each picture; what lies outside is black."""
    count = len(pictures)
    angle = math.radians(_ROTATION_DEG) * _signed(count, pictures)
    size = 1.0 - (1.0 - _LEAST_CROP) * torch.rand(count, device=pictures.device)
    shift = (1.0 - size) * _signed(2 * count, pictures).view(2, count)
    cos, sin = size * torch.cos(angle), size * torch.sin(angle)
    matrix = torch.stack([cos, -sin, shift[0], sin, cos, shift[1]], dim=1).view(count, 2, 3)
    where = F.affine_grid(matrix, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, where, align_corners=False)


def _masked(pictures: Tensor) -> Tensor:
    count, _, height, width = pictures.shape
    cells = (-(-height // _PATCH_PIXELS), -(-width // _PATCH_PIXELS))
    lit = (torch.rand(count, 1, *cells, device=pictures.device) >= _DARK_PATCHES).to(pictures.dtype)
    return pictures * F.interpolate(lit, size=(height, width), mode="nearest")
