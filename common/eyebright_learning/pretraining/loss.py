"""The I-JEPA loss and the slow copy it looks at (Assran et al., CVPR 2023, section 3).

With encoder f, slow target encoder f_ema, predictor g, target blocks B_1 … B_M and LN without scale and shift:

    s_y     = LN(f_ema(x))                                        [N, D], no gradient
    s_hat_i = g(f(x[context]), positions of B_i)                  [|B_i|, D]
    L       = mean_i mean_(j in B_i) smooth_l1(s_hat_i[j], s_y[j])
    theta_ema <- m theta_ema + (1 - m) theta                      after every step

* ``smooth_l1`` is the Huber loss at 1, averaged over D.
* Normalising the targets fixes their size, so that shrinking every token is no way to a small loss. It does not forbid
  equal tokens: that is what the monitor is for.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eyebright_learning.pretraining.predictor import target_tokens


def normalised_targets(tokens: Tensor, targets: Tensor) -> Tensor:
    """Return what is to be predicted, float32 ``[B, M, t, D]`` without gradient.

    Args:
        tokens: The target encoder's ``[B, N, D]`` of the whole view.
        targets: int64 ``[B, M, t]``.
    """
    full = tokens.detach().float()
    return target_tokens(F.layer_norm(full, (full.shape[-1],)), targets)


def jepa_loss(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Return L, a scalar; both ``[B, M, t, D]``, no gradient through ``wanted``."""
    return F.smooth_l1_loss(predicted.float(), wanted.detach())


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, *, momentum: float) -> None:
    """Move the slow network's weights a step towards the fast one's; same architecture, no buffers that learn."""
    for kept, new in zip(slow.parameters(), fast.parameters(), strict=True):
        kept.lerp_(new, 1.0 - momentum)
