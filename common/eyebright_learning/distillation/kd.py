"""Logit distillation (Hinton, Vinyals, Dean 2015, arXiv 1503.02531).

    L_KD = T^2 (1/B) sum_b KL( softmax(z_T / T)_b || softmax(z_S / T)_b )

T^2 keeps the gradient's size when T changes. Both sides are log-softmaxed exactly once, from logits: a softmax of a
softmax still trains, only a thousand times too slowly, which is why this is said here.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def kd(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """Return L_KD of student logits against teacher logits, both ``[B, C]``; a scalar. The teacher gets no gradient."""
    log_student = F.log_softmax(student.float() / temperature, dim=1)
    log_teacher = F.log_softmax(teacher.detach().float() / temperature, dim=1)
    return temperature**2 * F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
