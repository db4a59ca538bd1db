"""What feature losses look at: the teacher's last attention, and the reduced form of it that a cache keeps.

* ``TeacherFeatures`` is what a vision transformer says about a batch: its class token is dropped, heads are side by
  side in the width, and tokens lie row by row on a square grid.
* ``FeatureTargets`` is the same after pooling to a small grid and turning into a few orthonormal directions. ``scale``
  is still that of the teacher's own width, so ``query @ key.mT * scale`` approximates the teacher's own scores.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class TeacherFeatures(NamedTuple):
    """One batch through a teacher, with its last block laid open.

    Attributes:
        logits: Raw logits ``[B, C]``.
        tokens: Output tokens ``[B, N, D]`` after the last block, before the final normalisation.
        query: ``[B, N, D]``.
        key: ``[B, N, D]``.
        value: ``[B, N, D]``.
    """

    logits: Tensor
    tokens: Tensor
    query: Tensor
    key: Tensor
    value: Tensor


class FeatureTargets(NamedTuple):
    """Reduced teacher features of a batch, float32.

    Attributes:
        tokens: ``[B, n, w]``, layer-normalised without affine before they were reduced.
        query: ``[B, n, w]``.
        key: ``[B, n, w]``.
        value: ``[B, n, w]``.
        scale: ``1 / sqrt(D)`` of the teacher.
    """

    tokens: Tensor
    query: Tensor
    key: Tensor
    value: Tensor
    scale: float
