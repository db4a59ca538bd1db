"""Teacher features made small: averaged over a coarse grid, then turned into a few orthonormal directions.

* Tokens are layer-normalised without affine first, so that a few tokens of huge norm do not swallow an average. What
  follows (averages, a basis) is linear.
* Averages over at most 7 x 7 places; a smaller grid is kept as it is.
* Directions come from a fixed sample: the leading eigenvectors of second moments, which are the right singular vectors
  of the sample (Eckart and Young 1936). One basis for tokens, one for values, one for query and key together, because
  ``(Q P)(K P)^T`` is near ``Q K^T`` only when both are turned by the same P. Query and key count alike in it whatever
  their norms: an error of either is multiplied by the other.
* Not centred: products, not variances, are what the losses compare.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from eyebright_learning.models.features import TeacherFeatures
from eyebright_learning.teacher_cache.layout import BASES

REDUCTION_ID = "features-1"
BASIS_NAMES = ("tokens", "query_key", "value")
SAMPLE_PICTURES = 64
_MAX_SIDE = 7
_MAX_WIDTH = 64
_BASIS_OF_PART = (0, 1, 1, 2)  # tokens, query, key, value


def sample_pictures(count: int) -> list[int]:
    """Return the pictures that bases are found from: evenly spread, because a split is often sorted by class."""
    return [int(i) for i in np.unique(np.linspace(0, count - 1, SAMPLE_PICTURES).round())]


def reduced_shape(features: TeacherFeatures) -> tuple[int, int, int]:
    """Return (n, w, D): tokens after pooling, directions kept, the teacher's width."""
    _, N, D = features.tokens.shape
    return min(math.isqrt(N), _MAX_SIDE) ** 2, min(_MAX_WIDTH, D), D


def pooled(features: TeacherFeatures) -> Tensor:
    """Return layer-normalised tokens, query, key and value on the coarse grid, float32 ``[4, B, n, D]``."""
    tokens = F.layer_norm(features.tokens.float(), features.tokens.shape[-1:])
    return torch.stack([_pool(part.float()) for part in (tokens, features.query, features.key, features.value)])


def find_bases(sample: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Return orthonormal bases and what they retain of the sample.

    Args:
        sample: ``[4, B, n, D]`` from ``pooled``.

    Returns:
        float32 ``[3, D, w]``, most energy first, the largest entry of each direction positive; and for each name in
        ``BASIS_NAMES`` the retained part of the energy in [0, 1].
    """
    moments = torch.stack([_moment(part) for part in sample.cpu().double().flatten(1, 2)])  # [4, D, D]
    shared = torch.stack([moments[0], moments[1] + moments[2], moments[3]])
    energy, directions = torch.linalg.eigh(shared)
    width = min(_MAX_WIDTH, energy.shape[-1])
    bases = directions[..., -width:].flip(-1)
    largest = bases.gather(1, bases.abs().argmax(1, keepdim=True))
    energy = energy.clamp_min(0.0)
    retained = energy[:, -width:].sum(-1) / energy.sum(-1).clamp_min(torch.finfo(energy.dtype).tiny)
    return (bases * largest.sign()).float(), dict(zip(BASIS_NAMES, retained.clamp_max(1.0).tolist(), strict=True))


def reduce(parts: Tensor, bases: Tensor) -> Tensor:
    """Return ``[4, B, n, D]`` turned by ``[3, D, w]`` as float32 ``[B, 4, n, w]``."""
    assert len(bases) == BASES
    return torch.einsum("pbnd,pdw->bpnw", parts, bases[list(_BASIS_OF_PART)])


def _pool(tokens: Tensor) -> Tensor:
    B, N, D = tokens.shape
    side = math.isqrt(N)
    assert side * side == N, "tokens lie on a square grid"
    grid = F.adaptive_avg_pool2d(tokens.mT.reshape(B, D, side, side), min(side, _MAX_SIDE))
    return grid.flatten(2).mT


def _moment(rows: Tensor) -> Tensor:
    return rows.mT @ rows / rows.square().sum().clamp_min(torch.finfo(rows.dtype).tiny)
