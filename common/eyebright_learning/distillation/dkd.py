"""DKD: the two halves of logit distillation, each with its own weight (Zhao et al., CVPR 2022, arXiv 2203.08679).

    b = (p_t, 1 - p_t)      q_i = exp(z_i / T) / sum_{j != t} exp(z_j / T),  i != t          t: the true class
    TCKD = (1/B) sum_b KL(b_T || b_S)        NCKD = (1/B) sum_b KL(q_T || q_S)
    L_DKD = T^2 (alpha TCKD + beta NCKD)

* Plain KD is ``TCKD + (1 - p_t) NCKD`` with the teacher's p_t: a confident teacher mutes what it knows about the other
  classes. Here the two are weighed apart.
* It needs labels; unlabelled pictures can have ``kd`` or ``dist`` only.
* The paper raises the term's weight over the first epochs. Here the rate rises instead, in the schedule of all terms.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def dkd(
    student: Tensor, teacher: Tensor, labels: Tensor, *, temperature: float, alpha: float = 1.0, beta: float = 2.0
) -> Tensor:
    """Return L_DKD of student logits against teacher logits, both ``[B, C]``, with true classes ``[B]``; a scalar."""
    b_student, q_student = _decoupled(student.float() / temperature, labels)
    b_teacher, q_teacher = _decoupled(teacher.detach().float() / temperature, labels)
    return temperature**2 * (alpha * _divergence(b_student, b_teacher) + beta * _divergence(q_student, q_teacher))


def _decoupled(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``log b`` ``[B, 2]`` and ``log q`` ``[B, C-1]`` of scaled logits ``[B, C]``."""
    true = F.one_hot(labels, scores.shape[1]).bool()
    others = scores[~true].view(len(scores), -1)
    pair = torch.stack([scores[true], torch.logsumexp(others, dim=1)], dim=1)
    return F.log_softmax(pair, dim=1), F.log_softmax(others, dim=1)


def _divergence(log_student: Tensor, log_teacher: Tensor) -> Tensor:
    return F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
