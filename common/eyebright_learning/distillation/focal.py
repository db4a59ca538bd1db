"""Focal loss: less weight on pictures that are already right (Lin et al., ICCV 2017, arXiv 1708.02002).

    L_focal = sum_b w[y_b] (1 - p_t)^gamma (-log p_t) / sum_b w[y_b]           p_t = softmax(z_S)_b[y_b]

* ``p_t`` is the probability of the true class. Class weights do not enter it: ``exp(-weighted cross-entropy)`` is
  ``p_t^w``, which mistakes a rare class for a well or badly known one.
* gamma = 0 is the weighted cross-entropy of ``cross_entropy``, to the last term.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_LEAST = 1e-7


def focal(student: Tensor, labels: Tensor, *, gamma: float, class_weights: Tensor | None = None) -> Tensor:
    """Return the focal loss of student logits ``[B, C]`` against labels ``[B]``; a scalar."""
    log_p = F.log_softmax(student.float(), dim=1).gather(1, labels[:, None]).squeeze(1)
    # 1 - p without cancellation. The floor keeps x^gamma, whose slope at 0 is infinite for gamma < 1, out of there.
    missing = (-torch.expm1(log_p)).clamp_min(_LEAST)
    each = missing**gamma * -log_p
    weights = torch.ones_like(each) if class_weights is None else class_weights[labels]
    return (weights * each).sum() / weights.sum()
